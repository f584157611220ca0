//! `split-1`: which sessions see a measured promotion.
//!
//! The session key is hashed once under a key that never changes; each epoch mixes its own salt
//! into the digest and compares the result with a threshold. Any change of a figure here is a
//! `split-2`, for new epochs only: the arms of a running measurement must never move.
#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher24;

use crate::domain::complaint::Fault;
use crate::domain::id::SessionKey;
use crate::domain::money::Percent;

/// Its name in answers. Another function gets another name, for figures of two never add up.
pub const FUNCTION: &str = "split-1";

/// Which side of a measurement a session stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Arm {
    /// The promotion acts as if it were not measured.
    Shown,
    /// For this session the promotion does not exist.
    Withheld,
}

/// The secret under which session keys are hashed: made once for all nodes, never rotated.
///
/// A shopper who knew it could pick a session key by its arms.
#[derive(Clone)]
pub struct SplitKey([u8; 16]);

impl SplitKey {
    /// From 16 random bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing them.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Hashes the key's UTF-8 bytes as they were received.
    pub fn digest(&self, session: &SessionKey) -> SessionDigest {
        self.digest_bytes(session.as_str().as_bytes())
    }

    /// Hashes any other text that the event log must tell apart but not keep: ids of events,
    /// orders and shoppers.
    pub fn digest_text(&self, text: &str) -> SessionDigest {
        self.digest_bytes(text.as_bytes())
    }

    fn digest_bytes(&self, bytes: &[u8]) -> SessionDigest {
        let hash = SipHasher24::new_with_key(&self.0).hash(bytes);
        SessionDigest {
            lo: hash.h1,
            hi: hash.h2,
        }
    }
}

impl std::fmt::Debug for SplitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SplitKey(hidden)")
    }
}

/// SipHash-2-4-128 of a session key: all that the split and the event log know of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionDigest {
    lo: u64,
    hi: u64,
}

impl SessionDigest {
    /// Partitions of the event log.
    pub const N_PARTITIONS: u8 = 16;

    /// From what [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let half = |from: usize| u64::from_le_bytes(std::array::from_fn(|at| bytes[from + at]));
        Self {
            lo: half(0),
            hi: half(8),
        }
    }

    /// The low half, then the high one, each little endian.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.lo) | u128::from(self.hi) << 64).to_le_bytes()
    }

    /// The low half: enough to tell shoppers apart in a count.
    pub fn first_half(self) -> u64 {
        self.lo
    }

    /// The partition that counts this session, from 0 to 15: the top four bits.
    pub fn partition(self) -> u8 {
        (self.hi >> 60) as u8
    }
}

/// Share of sessions that see a measured promotion, from 50 to 99 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(Percent);

impl Share {
    /// Takes 50 to 99 %, in hundredths of a percent.
    ///
    /// # Errors
    /// `out-of-range`.
    pub fn new(percent: Percent) -> Result<Self, Fault> {
        match percent.basis_points() {
            5_000..=9_900 => Ok(Self(percent)),
            _ => Err(Fault::OutOfRange {
                found: percent.to_string(),
                allowed: "50 to 99".to_owned(),
            }),
        }
    }

    /// The share as a percentage.
    pub fn percent(self) -> Percent {
        self.0
    }

    /// Numbers below it are shown: floor(share · 2^64), in 128 bits as the product needs 78.
    fn threshold(self) -> u64 {
        let scaled = (u128::from(self.0.basis_points()) << 64) / 10_000;
        u64::try_from(scaled).expect("a share below 100 % of 2^64 fits into 64 bits")
    }
}

/// The coin that one epoch of a promotion tosses for each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    salt: u64,
    threshold: u64,
}

impl Coin {
    /// A coin from the epoch's 64 random bits and its share.
    pub fn new(salt: u64, share: Share) -> Self {
        Self {
            salt,
            threshold: share.threshold(),
        }
    }

    /// A coin without random bits, for what is tried out and not measured yet: every session sees
    /// it, but for one number in 2^64.
    pub fn shown_to_all() -> Self {
        Self {
            salt: 0,
            threshold: u64::MAX,
        }
    }

    /// The number of one session, uniform over 64 bits; it is shown to those below the threshold.
    pub fn number(&self, session: SessionDigest) -> u64 {
        number(session, self.salt)
    }

    /// The arm of one session.
    pub fn toss(&self, session: SessionDigest) -> Arm {
        if self.number(session) < self.threshold {
            Arm::Shown
        } else {
            Arm::Withheld
        }
    }
}

/// What is withheld from a session, out of the measured things that each have a coin.
///
/// Asked once per request and never stored. `T` says which promotion, for example its slot.
pub fn assign<T>(
    session: SessionDigest,
    measured: impl IntoIterator<Item = (T, Coin)>,
) -> impl Iterator<Item = T> {
    let is_withheld = move |coin: &Coin| coin.toss(session) == Arm::Withheld;
    measured
        .into_iter()
        .filter_map(move |(what, coin)| is_withheld(&coin).then_some(what))
}

/// A number of the session under a salt, uniform over 64 bits.
///
/// Two rounds of mixing: after one, salts that differ in their top bits only give dependent arms.
fn number(session: SessionDigest, salt: u64) -> u64 {
    mix(mix(session.lo ^ salt) ^ session.hi)
}

/// The finisher of splitmix64, a permutation of all 64-bit numbers.
fn mix(number: u64) -> u64 {
    let once = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: u64 = 0x0123_4567_89ab_cdef;
    const B: u64 = 0x9e37_79b9_7f4a_7c15;

    fn key() -> SplitKey {
        SplitKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    fn share(percent: &str) -> Share {
        Share::new(Percent::parse(percent).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(session: &str, digest: &str, expected: [(u64, Arm); 2]) {
        let found = key().digest_bytes(session.as_bytes());
        let hex: String = found.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, digest);
        if let Ok(session_key) = SessionKey::parse(session) {
            assert_eq!(key().digest(&session_key), found);
        }
        let arms = [A, B].map(|salt| {
            (
                number(found, salt),
                Coin::new(salt, share("80")).toss(found),
            )
        });
        assert_eq!(arms, expected);
    }

    #[test]
    fn the_vectors_of_the_specification_hold() {
        use Arm::{Shown, Withheld};
        check(
            "",
            "a3817f04ba25a8e66df67214c7550293",
            [
                (0x8474_63e4_1e07_9433, Shown),
                (0x1179_dead_5abc_0298, Shown),
            ],
        );
        check(
            "s-000001",
            "bc1f07a4bd4a9fa06df779c9bb7eed7d",
            [
                (0xc5bb_d8db_4284_4fee, Shown),
                (0x4e5e_7f58_9c1c_2153, Shown),
            ],
        );
        check(
            "s-000004",
            "18194bb9d3de4f304a6a4ec3d2024c2e",
            [
                (0x55c7_3bd5_1b26_3b5e, Shown),
                (0xeda9_b41f_6054_6203, Withheld),
            ],
        );
        check(
            "s-000011",
            "7438c2a6d84558fcf94260872e73cd0a",
            [
                (0xfba0_40d0_c062_c645, Withheld),
                (0xa0e1_ac99_065a_cec3, Shown),
            ],
        );
        check(
            "s-000015",
            "d938cf7ea6d9a0894281eb196c8bdb91",
            [
                (0xe04d_f2a5_2596_f6b1, Withheld),
                (0x93c9_6f1d_4c9b_5829, Shown),
            ],
        );
        check(
            "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "9c4a0664f01c6b3af261ee64bbb036f7",
            [
                (0x5a84_3ca6_3346_c1e5, Shown),
                (0xc5b2_f29c_179a_6483, Shown),
            ],
        );
        check(
            "Sjö-🛒-17",
            "a2d335f7b4577e0a8d93ae5a7541b5d4",
            [
                (0x2d17_115d_7278_7471, Shown),
                (0x0e46_a0fb_f80a_50b5, Shown),
            ],
        );
    }

    #[test]
    fn mixing_and_thresholds_are_exact() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        assert_eq!(share("80").threshold(), 14_757_395_258_967_641_292);
        assert_eq!(share("80").threshold(), 0xcccc_cccc_cccc_cccc);
        assert_eq!(share("90").threshold(), 0xe666_6666_6666_6666);
        assert_eq!(share("50").threshold(), 1 << 63);
    }

    #[test]
    fn a_million_sessions_split_as_the_specification_counted() {
        let coins = [A, B].map(|salt| Coin::new(salt, share("80")));
        let split_key = key();
        let (mut n_shown, mut n_both, mut n_first) = ([0, 0], 0, 0);
        let mut name = *b"s-000000";
        for session in 0..1_000_000_u32 {
            for (place, digit) in (2..8).zip([100_000, 10_000, 1_000, 100, 10, 1]) {
                name[place] = b'0' + u8::try_from(session / digit % 10).unwrap();
            }
            let digest = split_key.digest_bytes(&name);
            let shown = coins.map(|coin| u32::from(coin.toss(digest) == Arm::Shown));
            n_shown = [n_shown[0] + shown[0], n_shown[1] + shown[1]];
            n_both += shown[0] & shown[1];
            n_first += u32::from(digest.partition() == 0);
        }
        assert_eq!(n_shown, [799_603, 800_045]);
        assert_eq!((n_both, n_first), (639_746, 62_866));
    }

    #[test]
    fn shares_lie_between_half_and_all_but_one_percent() {
        for (text, fits) in [
            ("49.99", false),
            ("50", true),
            ("99", true),
            ("99.01", false),
        ] {
            let found = Share::new(Percent::parse(text).unwrap());
            assert_eq!(found.is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn assignment_names_exactly_what_is_withheld() {
        let coins = [("a", A), ("b", B)].map(|(name, salt)| (name, Coin::new(salt, share("80"))));
        let withheld = |session: &str| {
            let digest = key().digest(&SessionKey::parse(session).unwrap());
            assign(digest, coins).collect::<Vec<_>>()
        };
        assert_eq!(withheld("s-000001"), Vec::<&str>::new());
        assert_eq!(withheld("s-000004"), ["b"]);
        assert_eq!(withheld("s-000011"), ["a"]);
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", key()), "SplitKey(hidden)");
    }

    /// Pairs of salts whose arms over `n_sessions` look dependent at p < 0.001, of all pairs.
    fn n_dependent_pairs(salts: &[u64], n_sessions: u32) -> (u32, usize) {
        let split_key = key();
        let digests: Vec<_> = (0..n_sessions)
            .map(|session| split_key.digest_bytes(format!("s-{session:06}").as_bytes()))
            .collect();
        let columns: Vec<Vec<u64>> = salts
            .iter()
            .map(|&salt| withheld_bits(Coin::new(salt, share("80")), &digests))
            .collect();
        let mut n_dependent = 0;
        let mut n_pairs = 0;
        for (at, one) in columns.iter().enumerate() {
            for other in &columns[..at] {
                n_pairs += 1;
                n_dependent += u32::from(looks_dependent(one, other, u64::from(n_sessions)));
            }
        }
        (n_dependent, n_pairs)
    }

    fn withheld_bits(coin: Coin, digests: &[SessionDigest]) -> Vec<u64> {
        let bit = |digest: &SessionDigest| u64::from(coin.toss(*digest) == Arm::Withheld);
        let word = |chunk: &[SessionDigest]| chunk.iter().fold(0, |word, d| word << 1 | bit(d));
        digests.chunks(64).map(word).collect()
    }

    /// χ² of the 2 × 2 table above 10.828, in integers: n·(n·n11 − a·b)² > 10.828·a·b·(n−a)(n−b).
    fn looks_dependent(one: &[u64], other: &[u64], n: u64) -> bool {
        let count = |words: &mut dyn Iterator<Item = u64>| -> u64 {
            words.map(|word| u64::from(word.count_ones())).sum()
        };
        let a = i128::from(count(&mut one.iter().copied()));
        let b = i128::from(count(&mut other.iter().copied()));
        let both = i128::from(count(&mut one.iter().zip(other).map(|(x, y)| x & y)));
        let n = i128::from(n);
        let excess = n * both - a * b;
        10_828 * a * b * (n - a) * (n - b) < 1_000 * n * excess * excess
    }

    #[test]
    fn arms_of_different_salts_are_independent() {
        let counting: Vec<u64> = (0..100).collect();
        let one_bit: Vec<u64> = (0..64).map(|bit| 1 << bit).collect();
        let top_bits: Vec<u64> = (0..64).map(|top| A ^ (top << 58)).collect();
        for salts in [counting, one_bit, top_bits] {
            let (n_dependent, n_pairs) = n_dependent_pairs(&salts, 20_000);
            assert!(
                n_dependent as usize <= n_pairs / 500,
                "{n_dependent}/{n_pairs}"
            );
        }
    }

    /// SipHash-2-4-128 word for word from its paper (Aumasson and Bernstein, with the 128-bit
    /// output of the reference code), without any speed.
    fn slow_digest(key: [u8; 16], message: &[u8]) -> [u8; 16] {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let (k0, k1) = (word(&key[..8]), word(&key[8..]));
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let mut padded = message.to_vec();
        padded.resize(message.len() / 8 * 8 + 7, 0);
        padded.push(u8::try_from(message.len() % 256).unwrap());
        for chunk in padded.chunks(8) {
            v[3] ^= word(chunk);
            slow_rounds(&mut v, 2);
            v[0] ^= word(chunk);
        }
        v[2] ^= 0xee;
        slow_rounds(&mut v, 4);
        let low = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xdd;
        slow_rounds(&mut v, 4);
        let high = v[0] ^ v[1] ^ v[2] ^ v[3];
        [low.to_le_bytes(), high.to_le_bytes()]
            .concat()
            .try_into()
            .unwrap()
    }

    fn slow_rounds(v: &mut [u64; 4], n_rounds: u32) {
        for _ in 0..n_rounds {
            v[0] = v[0].wrapping_add(v[1]);
            v[2] = v[2].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(13) ^ v[0];
            v[3] = v[3].rotate_left(16) ^ v[2];
            v[0] = v[0].rotate_left(32);
            v[2] = v[2].wrapping_add(v[1]);
            v[0] = v[0].wrapping_add(v[3]);
            v[1] = v[1].rotate_left(17) ^ v[2];
            v[3] = v[3].rotate_left(21) ^ v[0];
            v[2] = v[2].rotate_left(32);
        }
    }

    proptest! {
        #[test]
        fn the_digest_is_siphash_of_the_paper(
            bytes in any::<[u8; 16]>(),
            message in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let fast = SplitKey::new(bytes).digest_bytes(&message);
            prop_assert_eq!(fast.to_bytes(), slow_digest(bytes, &message));
            prop_assert_eq!(SessionDigest::from_bytes(fast.to_bytes()), fast);
            prop_assert_eq!(fast.partition(), fast.to_bytes()[15] >> 4);
            prop_assert!(fast.partition() < SessionDigest::N_PARTITIONS);
        }

        #[test]
        fn a_larger_share_withholds_no_more(
            lo in any::<u64>(),
            hi in any::<u64>(),
            salt in any::<u64>(),
            (less, more) in (5_000_u32..=9_900, 5_000_u32..=9_900),
        ) {
            let arm = |points: u32| {
                let percent = Percent::from_basis_points(points).unwrap();
                Coin::new(salt, Share::new(percent).unwrap()).toss(SessionDigest { lo, hi })
            };
            prop_assert!(arm(less.max(more)) <= arm(less.min(more)));
        }
    }
}

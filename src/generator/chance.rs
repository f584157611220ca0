//! Seeded chance in whole numbers.
//!
//! Every subject draws from a stream of its own, so that one more subject, or one more draw of a
//! subject, leaves what the others drew as it was. Nothing here is a float: the same seed gives
//! the same bytes on every machine.

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

/// What is drawn. The numbers are part of every seed's output: never changed, never used again.
#[derive(Clone, Copy, Debug)]
pub(in crate::generator) enum Subject {
    /// Which leaf categories are popular, and which nodes have a second parent.
    Tree = 1,
    /// How many products a model has.
    Groups = 2,
    /// How many variants a product has.
    Counts = 3,
    /// Categories of models.
    Categories = 4,
    /// Brands of models.
    Brands = 5,
    /// Words of titles.
    Titles = 6,
    /// Colours.
    Colours = 7,
    /// Sizes.
    Sizes = 8,
    /// Seasons.
    Seasons = 9,
    /// List prices.
    Prices = 10,
    /// Sale prices.
    Sales = 11,
    /// Stock.
    Stocks = 12,
    /// Cost.
    Costs = 13,
    /// Scores.
    Scores = 14,
    /// Days of release.
    Releases = 15,
    /// Sellers.
    Sellers = 16,
    /// Ratings.
    Ratings = 17,
    /// Whether it is made of what was used before.
    Recycled = 18,
    /// Weights.
    Weights = 19,
    /// Promotions: what they hold.
    Selections = 20,
    /// Promotions: where they act.
    Restrictions = 21,
}

/// The draws of one subject.
pub(in crate::generator) struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream of a subject under a seed.
    pub(in crate::generator) fn new(seed: u64, subject: Subject) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut chacha = ChaCha12Rng::from_seed(key);
        chacha.set_stream(subject as u64);
        Self(chacha)
    }

    /// Below `bound`, which is not 0; a bias of `bound` in 2^64 is nothing here.
    pub(in crate::generator) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("less than the bound")
    }

    /// A place in a list of `n`, which is not 0.
    pub(in crate::generator) fn place(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).expect("less than a list is long")
    }

    /// True in `n` of 1,000 draws.
    pub(in crate::generator) fn permille(&mut self, n: u64) -> bool {
        self.below(1_000) < n
    }

    /// One of a list that is not empty.
    pub(in crate::generator) fn among<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.place(list.len())]
    }

    /// Numbers from 0 in some order.
    pub(in crate::generator) fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.place(last + 1));
        }
        order
    }

    /// Nearly normal, in 1/65,536 of a standard deviation: the sum of twelve uniform draws.
    pub(in crate::generator) fn bell(&mut self) -> i64 {
        let sum: u64 = (0..12).map(|_| self.below(1 << 16)).sum();
        i64::try_from(sum).expect("at most twelve times 65,535") - 6 * (1 << 16)
    }

    /// `median` × 2^(`bell` × `spread` / 1,000): nearly log-normal around the median.
    pub(in crate::generator) fn spread(&mut self, median: u64, spread: i64) -> u64 {
        scaled(median, self.bell() * spread / 1_000)
    }

    /// From `least` to a hundred times as much, each octave as likely as any other.
    pub(in crate::generator) fn log_uniform(&mut self, least: u64) -> u64 {
        let exponent = i64::try_from(self.below(LOG2_OF_100)).expect("seven octaves");
        scaled(least, exponent)
    }

    /// `least` × n / u for u uniform in 1 … n, at most `most`: half of them below twice the least,
    /// one in a hundred above a hundred times (Pareto with shape 1).
    pub(in crate::generator) fn tail(&mut self, least: u64, most: u64) -> u64 {
        let u = self.below(1 << 32) + 1;
        ((least << 32) / u).min(most)
    }
}

/// In 1/65,536.
const LOG2_OF_100: u64 = 435_412;

/// 2^(k/16) in 1/65,536.
const POWERS: [u64; 17] = [
    65_536, 68_438, 71_468, 74_632, 77_936, 81_386, 84_990, 88_752, 92_682, 96_785, 101_070,
    105_545, 110_218, 115_098, 120_194, 125_515, 131_072,
];

/// `base` × 2^(`exponent` / 65,536), to one part in a thousand; exponents up to ±20.
fn scaled(base: u64, exponent: i64) -> u64 {
    let whole = exponent.div_euclid(1 << 16);
    let part = u64::try_from(exponent.rem_euclid(1 << 16)).expect("a remainder");
    let place = usize::try_from(part >> 12).expect("below 16");
    let (low, high) = (POWERS[place], POWERS[place + 1]);
    let power = low + (((high - low) * (part & 0xfff)) >> 12);
    let product = base * power;
    match u32::try_from(whole) {
        Ok(up) => product << up >> 16,
        Err(_) => product >> 16 >> whole.unsigned_abs(),
    }
}

/// Places with weights.
pub(in crate::generator) struct Weighted {
    /// Of each place, its weight and those of all places before it.
    sums: Vec<u64>,
}

impl Weighted {
    /// Log-uniform: place n, from 0, has the weight 1 / (n + 1) (Zipf with exponent 1).
    pub(in crate::generator) fn zipf(n: usize) -> Self {
        let in_order: Vec<usize> = (0..n).collect();
        Self::zipf_in_order(&in_order)
    }

    /// As [`zipf`](Self::zipf), with the weights handed out in another order.
    pub(in crate::generator) fn zipf_in_order(order: &[usize]) -> Self {
        let mut sum = 0;
        let sums = order.iter().map(|rank| {
            sum += (1 << 32) / (*rank as u64 + 1);
            sum
        });
        Self {
            sums: sums.collect(),
        }
    }

    fn sum(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// A place.
    pub(in crate::generator) fn draw(&self, stream: &mut Stream) -> usize {
        let drawn = stream.below(self.sum());
        self.sums.partition_point(|sum| *sum <= drawn)
    }

    /// Share of the draws that fall on these places, in millionths.
    pub(in crate::generator) fn share(&self, places: impl IntoIterator<Item = usize>) -> u64 {
        let before = |place: usize| place.checked_sub(1).map_or(0, |before| self.sums[before]);
        let own: u64 = places
            .into_iter()
            .map(|place| self.sums[place] - before(place))
            .sum();
        let share = u128::from(own) * 1_000_000 / u128::from(self.sum());
        u64::try_from(share).expect("a share is at most 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_by_subject() {
        let draw = |seed, subject| Stream::new(seed, subject).below(u64::MAX);
        assert_eq!(draw(1, Subject::Tree), draw(1, Subject::Tree));
        assert_ne!(draw(1, Subject::Tree), draw(2, Subject::Tree));
        assert_ne!(draw(1, Subject::Tree), draw(1, Subject::Groups));
    }

    #[test]
    fn powers_of_two_are_nearly_exact() {
        assert_eq!(scaled(1_000, 0), 1_000);
        assert_eq!(scaled(1_000, 3 << 16), 8_000);
        assert_eq!(scaled(8_000, -(3 << 16)), 1_000);
        assert_eq!(scaled(1_000_000, 1 << 15), 1_414_215);
        assert!((1_090_000..1_091_000).contains(&scaled(1_000_000, 1 << 13)));
        assert!(POWERS.is_sorted());
    }

    #[test]
    fn draws_spread_as_they_say() {
        let mut stream = Stream::new(7, Subject::Prices);
        let n = 20_000;
        let bells: Vec<i64> = (0..n).map(|_| stream.bell()).collect();
        let within = bells.iter().filter(|bell| bell.abs() < 1 << 16).count();
        assert!(
            (13_300..14_000).contains(&within),
            "68.3 % within one deviation: {within}"
        );
        let tails: Vec<u64> = (0..n).map(|_| stream.tail(100, 1_000_000)).collect();
        let low = tails.iter().filter(|tail| **tail < 200).count();
        let high = tails.iter().filter(|tail| 10_000 <= **tail).count();
        assert!(
            (9_700..10_300).contains(&low) && (150..250).contains(&high),
            "{low} {high}"
        );
        let wide: Vec<u64> = (0..n).map(|_| stream.log_uniform(50)).collect();
        assert!(wide.iter().all(|drawn| (50..5_000).contains(drawn)));
        let low = wide.iter().filter(|drawn| **drawn < 500).count();
        assert!(
            (9_700..10_300).contains(&low),
            "half lies below ten times: {low}"
        );
        assert!(tails.iter().all(|tail| (100..=1_000_000).contains(tail)));
    }

    #[test]
    fn weights_fall_with_the_rank() {
        let weighted = Weighted::zipf(3);
        assert_eq!(weighted.share([0]), 545_454);
        let mut counts = [0; 3];
        let mut stream = Stream::new(1, Subject::Brands);
        for _ in 0..11_000 {
            counts[weighted.draw(&mut stream)] += 1;
        }
        assert!((5_800..6_200).contains(&counts[0]) && (1_850..2_150).contains(&counts[2]));
        let order = Stream::new(1, Subject::Tree).shuffled(3);
        let shuffled = Weighted::zipf_in_order(&order);
        let first = order.iter().position(|rank| *rank == 0).unwrap();
        assert_eq!(shuffled.share([first]), 545_454);
    }
}

//! The only randomness: ids, salts, secrets.

use std::sync::{Arc, Mutex};

use rand::rngs::ChaCha12Rng;
use rand::{Rng, RngExt, SeedableRng};

use crate::store::commit::CommitId;

/// Draws random bytes and makes ids that ascend in order of creation.
#[derive(Clone, Debug)]
pub struct Entropy(Arc<Mutex<Source>>);

#[derive(Debug)]
struct Source {
    random: ChaCha12Rng,
    last_id: u128,
}

impl Entropy {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Self::over(rand::make_rng())
    }

    /// The same draws for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::over(ChaCha12Rng::seed_from_u64(seed))
    }

    fn over(random: ChaCha12Rng) -> Self {
        Self(Arc::new(Mutex::new(Source { random, last_id: 0 })))
    }

    /// A UUIDv7 of the instant `ms` (RFC 9562 section 5.7), greater than every one before.
    pub fn id(&self, ms: i64) -> [u8; 16] {
        let mut source = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let random: u128 = source.random.random();
        let millis = u64::try_from(ms).unwrap_or(0);
        let drawn = uuid::Builder::from_unix_timestamp_millis(
            millis,
            random.to_be_bytes()[..10]
                .try_into()
                .expect("ten of sixteen bytes"),
        );
        let id = drawn.into_uuid().as_u128().max(source.last_id + 1);
        source.last_id = id;
        id.to_be_bytes()
    }

    /// An id of a commit that nobody will repeat.
    pub fn commit_id(&self) -> CommitId {
        CommitId(self.bytes())
    }

    /// Random bits for an epoch.
    pub fn salt(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// Random bytes, fit for secrets.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut source = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        source.random.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_even_within_a_millisecond_and_when_the_clock_steps_back() {
        let entropy = Entropy::seeded(1);
        let ids: Vec<_> = [5, 5, 5, 3, 9].iter().map(|ms| entropy.id(*ms)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(uuid::Uuid::from_bytes(ids[0]).get_version_num(), 7);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        assert_eq!(
            Entropy::seeded(7).bytes::<32>(),
            Entropy::seeded(7).bytes::<32>()
        );
        assert_ne!(Entropy::seeded(7).salt(), Entropy::seeded(8).salt());
    }
}

//! The only clock.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::Timestamp;

/// Tells the time: the real one, or one that tests move.
///
/// A test clock begins at the real time, stands still from the first time it is set, and only
/// moves forward.
#[derive(Debug)]
pub struct Clock {
    /// Milliseconds at which a test clock stands; `REAL` follows the system's clock.
    standing: AtomicI64,
    is_test: bool,
}

const REAL: i64 = i64::MIN;

/// Time only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {now} already")]
pub struct Backwards {
    /// What the clock says.
    pub now: Timestamp,
}

impl Clock {
    /// Follows the system's clock.
    pub fn real() -> Self {
        Self {
            standing: AtomicI64::new(REAL),
            is_test: false,
        }
    }

    /// Follows the system's clock until it is set.
    pub fn test() -> Self {
        Self {
            is_test: true,
            ..Self::real()
        }
    }

    /// Stands at `now` from the beginning.
    pub fn standing_at(now: Timestamp) -> Self {
        Self {
            standing: AtomicI64::new(now.0),
            is_test: true,
        }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match self.standing.load(Ordering::Acquire) {
            REAL => real_now(),
            standing => Timestamp(standing),
        }
    }

    /// Whether it can be set.
    pub fn is_test(&self) -> bool {
        self.is_test
    }

    /// Sets a test clock; it stands from then on.
    ///
    /// # Errors
    /// [`Backwards`] if it would go back.
    pub fn set(&self, now: Timestamp) -> Result<(), Backwards> {
        let current = self.now();
        if now < current {
            return Err(Backwards { now: current });
        }
        self.standing.store(now.0, Ordering::Release);
        Ok(())
    }
}

/// Milliseconds of the system's clock since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
fn real_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_stands_and_only_moves_forward() {
        let clock = Clock::standing_at(Timestamp(5));
        assert_eq!(
            clock.set(Timestamp(4)),
            Err(Backwards { now: Timestamp(5) })
        );
        assert_eq!(clock.set(Timestamp(9)), Ok(()));
        assert_eq!(clock.now(), Timestamp(9));
    }
}

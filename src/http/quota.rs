//! How many calls fit into how long a time, and what taking one leaves.
//!
//! A bucket is one instant, the one at which it will be full again (GCRA, ITU-T I.371): taking a
//! token moves it on by the time one token takes to grow. So a bucket that is full is no bucket at
//! all and can be swept away. `governor` does the same sum, but keeps its keyed buckets behind one
//! lock unless it gets a map crate beside it, does not bound their number, and tells no remainder
//! without more plumbing; what is left of it is the twenty lines of [`Quota::take`].

use std::time::Duration;

/// Nanoseconds since the server's start, of the real clock.
pub(in crate::http) type Nanos = u64;

const SECOND: Nanos = 1_000_000_000;

/// So many tokens grow in so long a time; so many fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// As the headers name it.
    pub name: &'static str,
    /// Tokens that grow in a window, at least one.
    pub tokens: u32,
    /// Length of a window in seconds.
    pub window_s: u32,
    /// Tokens of a full bucket, at least one.
    pub burst: u32,
}

/// The quota of everything that is limited; the defaults are those of the specification.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Pages, by key of the shop's own servers and people.
    pub rank: Quota,
    /// Pages of public keys, by address.
    pub rank_address: Quota,
    /// Pages of one public key, from wherever.
    pub rank_public: Quota,
    /// Calls that bring events: by key, of public keys by address.
    pub events: Quota,
    /// Calls that change something, by key.
    pub writes: Quota,
    /// Exports begun, by key.
    pub exports: Quota,
    /// Backups begun, by key.
    pub backups: Quota,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            rank: Quota::per_s("rank", 2_000, 4_000),
            rank_address: Quota::per_s("rank", 20, 60),
            rank_public: Quota::per_s("rank", 4_000, 8_000),
            events: Quota::per_s("events", 200, 400),
            writes: Quota::per_s("writes", 20, 60),
            exports: Quota::per_h("exports", 20),
            backups: Quota::per_h("backups", 4),
        }
    }
}

/// What is left after a token was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Left {
    pub(in crate::http) quota: Quota,
    /// Whole tokens.
    pub(in crate::http) tokens: u32,
    /// Until the bucket is full again, in seconds, at least one.
    pub(in crate::http) full_in_s: u64,
}

/// No token is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Empty {
    pub(in crate::http) quota: Quota,
    /// Until the next token has grown.
    pub(in crate::http) wait: Duration,
}

impl Quota {
    /// So many a second, and so many at once.
    pub const fn per_s(name: &'static str, tokens: u32, burst: u32) -> Self {
        Self {
            name,
            tokens,
            window_s: 1,
            burst,
        }
    }

    /// So many an hour, all of which may come at once.
    pub const fn per_h(name: &'static str, tokens: u32) -> Self {
        Self {
            name,
            tokens,
            window_s: 3_600,
            burst: tokens,
        }
    }

    /// With the rate that one key is held to, and twice as much at once. What is counted by the
    /// hour stays: a key's own rate is one of calls a second.
    #[must_use]
    pub(in crate::http) fn of_key(self, own: Option<u32>) -> Self {
        match own {
            Some(tokens) if self.window_s == 1 => {
                Self::per_s(self.name, tokens, tokens.saturating_mul(2))
            }
            _ => self,
        }
    }

    /// Takes a token from a bucket that is full again at `full_at`.
    pub(in crate::http) fn take(self, full_at: &mut Nanos, now: Nanos) -> Result<Left, Empty> {
        let token = u64::from(self.window_s) * SECOND / u64::from(self.tokens.max(1));
        let full = token * u64::from(self.burst.max(1));
        let next = (*full_at).max(now) + token;
        let lacking = next - now;
        if full < lacking {
            let wait = Duration::from_nanos(lacking - full);
            return Err(Empty { quota: self, wait });
        }
        *full_at = next;
        let tokens = u32::try_from((full - lacking) / token).unwrap_or(u32::MAX);
        let full_in_s = lacking.div_ceil(SECOND).max(1);
        Ok(Left {
            quota: self,
            tokens,
            full_in_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tokens a full bucket gives at once, and what then is to be waited.
    #[track_caller]
    fn check(quota: Quota, burst: u32, wait: Duration) {
        let mut full_at = 0;
        for n in 0..burst {
            let left = quota.take(&mut full_at, SECOND).expect("a token is left");
            assert_eq!(left.tokens, burst - n - 1);
        }
        let empty = quota.take(&mut full_at, SECOND);
        assert_eq!(empty, Err(Empty { quota, wait }));
        let grown = SECOND + u64::try_from(wait.as_nanos()).unwrap();
        assert!(quota.take(&mut full_at, grown - 1).is_err());
        assert!(quota.take(&mut full_at, grown).is_ok());
    }

    #[test]
    fn every_rate_gives_its_burst_and_then_one_by_one() {
        let rates = Rates::default();
        check(rates.rank, 4_000, Duration::from_micros(500));
        check(rates.rank_address, 60, Duration::from_millis(50));
        check(rates.rank_public, 8_000, Duration::from_micros(250));
        check(rates.events, 400, Duration::from_millis(5));
        check(rates.writes, 60, Duration::from_millis(50));
        check(rates.exports, 20, Duration::from_mins(3));
        check(rates.backups, 4, Duration::from_mins(15));
    }

    #[test]
    fn a_rate_of_its_own_takes_the_place_of_what_is_counted_by_the_second() {
        let rates = Rates::default();
        let own = rates.writes.of_key(Some(5));
        check(own, 10, Duration::from_millis(200));
        assert_eq!((own.name, own.tokens), ("writes", 5));
        assert_eq!(rates.rank.of_key(None), rates.rank);
        assert_eq!(rates.backups.of_key(Some(5)), rates.backups);
    }
}

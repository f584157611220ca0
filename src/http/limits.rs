//! How often one may call: token buckets per key, and per address for public keys.
//!
//! A bucket is one instant, the one at which it will be full again (GCRA, ITU-T I.371): taking a
//! token moves it on by the time one token takes to grow. So a bucket that is full is no bucket at
//! all and can be swept away. `governor` keeps its keyed buckets behind one lock unless it gets a
//! map crate beside it, does not bound their number, and tells no remainder without more plumbing;
//! what is left of it is the twenty lines of [`Quota::take`].
//!
//! Buckets lie in shards, each behind a lock held for one look-up. When there are too many of them,
//! new addresses share one with their neighbours, and in the end all share one.
//!
//! Time is an argument: nanoseconds since the server's start, of the real clock.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::access::principal::{Actor, Principal};

/// Locks among which the buckets are spread; a power of two.
const N_SHARDS: usize = 64;

/// Nanoseconds since the server's start.
pub(in crate::http) type Nanos = u64;

/// Which limit a route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Pages, teasers, prices.
    Rank,
    /// Calls that bring events.
    Events,
    /// Calls that change something; those that only read are free.
    Writes,
    /// Starting an export.
    Exports,
    /// Starting a backup.
    Backups,
}

/// So many tokens grow in so long a time; so many fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// As the headers name it.
    pub name: &'static str,
    /// Tokens that grow in a window.
    pub tokens: u32,
    /// Length of a window in seconds.
    pub window_s: u32,
    /// Tokens of a full bucket.
    pub burst: u32,
    /// The header `RateLimit-Policy`.
    pub policy: &'static str,
}

/// What is left after a token was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Left {
    pub(in crate::http) quota: &'static Quota,
    /// Whole tokens.
    pub(in crate::http) tokens: u32,
    /// Until the bucket is full again, in seconds, at least one.
    pub(in crate::http) full_in_s: u64,
}

/// No token is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Empty {
    pub(in crate::http) quota: &'static Quota,
    /// Until the next token has grown.
    pub(in crate::http) wait: Duration,
}

macro_rules! quota {
    ($name:literal, $tokens:literal in $window_s:literal s, burst $burst:literal) => {
        Quota {
            name: $name,
            tokens: $tokens,
            window_s: $window_s,
            burst: $burst,
            policy: concat!("\"", $name, "\";q=", $tokens, ";w=", $window_s),
        }
    };
}

static RANK: Quota = quota!("rank", 2000 in 1 s, burst 4000);
static RANK_PUBLIC: Quota = quota!("rank", 4000 in 1 s, burst 8000);
static RANK_ADDRESS: Quota = quota!("rank", 20 in 1 s, burst 60);
static EVENTS: Quota = quota!("events", 200 in 1 s, burst 400);
static WRITES: Quota = quota!("writes", 20 in 1 s, burst 60);
static EXPORTS: Quota = quota!("exports", 20 in 3600 s, burst 20);
static BACKUPS: Quota = quota!("backups", 4 in 3600 s, burst 4);

/// Keys that open nothing, from one address: so many in a window, then none is looked at.
const FAILURES_MAX: u32 = 100;
const FAILURES_WINDOW: Duration = Duration::from_mins(10);

impl Quota {
    /// Takes a token from a bucket that is full again at `full_at`.
    fn take(&'static self, full_at: &mut Nanos, now: Nanos) -> Result<Left, Empty> {
        let token = u64::from(self.window_s) * 1_000_000_000 / u64::from(self.tokens);
        let full = token * u64::from(self.burst);
        let next = (*full_at).max(now) + token;
        let lacking = next - now;
        if full < lacking {
            let wait = Duration::from_nanos(lacking - full);
            return Err(Empty { quota: self, wait });
        }
        *full_at = next;
        let tokens = u32::try_from((full - lacking) / token).unwrap_or(u32::MAX);
        let full_in_s = lacking.div_ceil(1_000_000_000).max(1);
        Ok(Left {
            quota: self,
            tokens,
            full_in_s,
        })
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A key or user, by its id.
    Caller(Rate, [u8; 16]),
    /// The process itself.
    System(Rate),
    /// An address, or one that stands for its neighbourhood or for all.
    Address(Rate, IpAddr),
}

/// The buckets of one server.
pub(in crate::http) struct Limits {
    buckets: Sharded<Holder, Nanos>,
    failures: Sharded<IpAddr, Failures>,
}

/// Wrong keys from one address.
#[derive(Clone, Copy, Debug)]
struct Failures {
    n: u32,
    window_ends: Nanos,
}

impl Limits {
    /// At most so many buckets.
    pub(in crate::http) fn new(buckets_max: usize) -> Self {
        Self {
            buckets: Sharded::new(buckets_max),
            failures: Sharded::new(buckets_max),
        }
    }

    /// Takes a token of everything that limits this call, and tells what is left of the scarcest.
    ///
    /// # Errors
    /// [`Empty`]: the address first, then the key.
    pub(in crate::http) fn take(
        &self,
        rate: Rate,
        principal: &Principal,
        address: IpAddr,
        now: Nanos,
    ) -> Result<Left, Empty> {
        let caller = match principal.by {
            Actor::Key(id) => Holder::Caller(rate, id.0),
            Actor::User(id) => Holder::Caller(rate, id.0),
            Actor::System => Holder::System(rate),
        };
        let quota = match rate {
            Rate::Rank => &RANK,
            Rate::Events => &EVENTS,
            Rate::Writes => &WRITES,
            Rate::Exports => &EXPORTS,
            Rate::Backups => &BACKUPS,
        };
        match rate {
            Rate::Rank if principal.is_public() => {
                let of_address = self.take_of_address(rate, &RANK_ADDRESS, address, now)?;
                let of_key = self.take_of(caller, &RANK_PUBLIC, now)?;
                Ok(if of_key.tokens < of_address.tokens {
                    of_key
                } else {
                    of_address
                })
            }
            _ if principal.is_public() => self.take_of_address(rate, quota, address, now),
            _ => self.take_of(caller, quota, now),
        }
    }

    /// Until when keys from an address are not looked at; `None` if they are.
    pub(in crate::http) fn barred_for(&self, address: IpAddr, now: Nanos) -> Option<Duration> {
        if self.failures.is_empty() {
            return None;
        }
        let holder = self.failures.find(&places_of(address))?;
        let found = self.failures.shard(&holder).get(&holder).copied()?;
        let is_barred = FAILURES_MAX <= found.n && now < found.window_ends;
        is_barred.then(|| Duration::from_nanos(found.window_ends - now))
    }

    /// Counts a key that opens nothing.
    pub(in crate::http) fn failed(&self, address: IpAddr, now: Nanos) {
        let holder = self.failures.choose(&places_of(address));
        let window = u64::try_from(FAILURES_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let fresh = Failures {
            n: 0,
            window_ends: now + window,
        };
        self.failures.with(holder, fresh, |failures| {
            if failures.window_ends <= now {
                *failures = fresh;
            }
            failures.n += 1;
        });
    }

    /// Throws away what says nothing any more.
    pub(in crate::http) fn sweep(&self, now: Nanos) {
        self.buckets.retain(|full_at| now < *full_at);
        self.failures.retain(|failures| now < failures.window_ends);
    }

    fn take_of_address(
        &self,
        rate: Rate,
        quota: &'static Quota,
        address: IpAddr,
        now: Nanos,
    ) -> Result<Left, Empty> {
        let places = places_of(address).map(|place| Holder::Address(rate, place));
        self.take_of(self.buckets.choose(&places), quota, now)
    }

    fn take_of(&self, holder: Holder, quota: &'static Quota, now: Nanos) -> Result<Left, Empty> {
        self.buckets
            .with(holder, now, |full_at| quota.take(full_at, now))
    }
}

/// An address, its neighbourhood (/24 or /56), and the whole of its family.
fn places_of(address: IpAddr) -> [IpAddr; 3] {
    match address {
        IpAddr::V4(v4) => {
            let near = Ipv4Addr::from_bits(v4.to_bits() & !0xff);
            [address, near.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        IpAddr::V6(v6) => {
            let near = Ipv6Addr::from_bits(v6.to_bits() >> 72 << 72);
            [address, near.into(), Ipv6Addr::UNSPECIFIED.into()]
        }
    }
}

/// A map in shards, with a bound on its entries.
struct Sharded<K, V> {
    shards: [Mutex<HashMap<K, V>>; N_SHARDS],
    hasher: RandomState,
    n: AtomicUsize,
    n_max: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Sharded<K, V> {
    fn new(n_max: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self {
            shards,
            hasher: RandomState::new(),
            n: AtomicUsize::new(0),
            n_max,
        }
    }

    fn is_empty(&self) -> bool {
        self.n.load(Ordering::Relaxed) == 0
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, V>> {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash % N_SHARDS as u64).unwrap_or(0);
        // An entry is one plain value, so a panic elsewhere leaves none half written.
        self.shards[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The first of `places` that has an entry.
    fn find(&self, places: &[K; 3]) -> Option<K> {
        places
            .iter()
            .copied()
            .find(|place| self.shard(place).contains_key(place))
    }

    /// The first of `places` while there is room; then the first that has an entry already; else
    /// the second, for which an eighth more than the bound is kept; else the last.
    fn choose(&self, places: &[K; 3]) -> K {
        let n = self.n.load(Ordering::Relaxed);
        if n < self.n_max {
            return places[0];
        }
        let second_or_last = if n < self.n_max + self.n_max / 8 {
            places[1]
        } else {
            places[2]
        };
        self.find(places).unwrap_or(second_or_last)
    }

    fn with<T>(&self, key: K, fresh: V, change: impl FnOnce(&mut V) -> T) -> T {
        let mut shard = self.shard(&key);
        let value = shard.entry(key).or_insert_with(|| {
            self.n.fetch_add(1, Ordering::Relaxed);
            fresh
        });
        change(value)
    }

    fn retain(&self, keep: impl Fn(&V) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|_, value| keep(value));
            self.n.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::access::principal::Role;
    use crate::domain::id::KeyId;

    const SECOND: Nanos = 1_000_000_000;

    fn caller(role: Role, id: u8) -> Principal {
        Principal {
            by: Actor::Key(KeyId([id; 16])),
            roles: BTreeSet::from([role]),
            ..Principal::system()
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// How many calls pass at `now`, one after the other, up to `tries`.
    fn passing(limits: &Limits, who: &Principal, from: IpAddr, now: Nanos, tries: u32) -> u32 {
        let passes = |_: &u32| limits.take(Rate::Rank, who, from, now).is_ok();
        u32::try_from((0..tries).take_while(passes).count()).unwrap()
    }

    /// The worked example: 20 a second, burst 60.
    #[test]
    fn sixty_at_once_pass_and_the_next_waits_fifty_milliseconds() {
        let limits = Limits::new(100);
        let browser = caller(Role::StorefrontPublic, 1);
        assert_eq!(passing(&limits, &browser, address(1), SECOND, 100), 60);
        let empty = limits
            .take(Rate::Rank, &browser, address(1), SECOND)
            .unwrap_err();
        assert_eq!(empty.wait, Duration::from_millis(50));
        let later = SECOND + 49_999_999;
        assert!(
            limits
                .take(Rate::Rank, &browser, address(1), later)
                .is_err()
        );
        let left = limits
            .take(Rate::Rank, &browser, address(1), later + 1)
            .unwrap();
        assert_eq!((left.tokens, left.full_in_s), (0, 3));
        assert_eq!(passing(&limits, &browser, address(1), 2 * SECOND, 100), 19);
        assert_eq!(passing(&limits, &browser, address(1), 10 * SECOND, 100), 60);
    }

    #[test]
    fn every_rate_has_its_quota() {
        #[track_caller]
        fn check(rate: Rate, role: Role, policy: &str, burst: u32) {
            let left = Limits::new(9)
                .take(rate, &caller(role, 1), address(1), 0)
                .unwrap();
            assert_eq!((left.quota.policy, left.tokens + 1), (policy, burst));
        }
        check(
            Rate::Rank,
            Role::StorefrontServer,
            "\"rank\";q=2000;w=1",
            4_000,
        );
        check(Rate::Rank, Role::StorefrontPublic, "\"rank\";q=20;w=1", 60);
        check(
            Rate::Events,
            Role::StorefrontServer,
            "\"events\";q=200;w=1",
            400,
        );
        check(Rate::Writes, Role::Merchandiser, "\"writes\";q=20;w=1", 60);
        check(Rate::Exports, Role::Analyst, "\"exports\";q=20;w=3600", 20);
        check(Rate::Backups, Role::Operator, "\"backups\";q=4;w=3600", 4);
    }

    #[test]
    fn callers_addresses_and_rates_have_buckets_of_their_own() {
        let limits = Limits::new(100);
        let [one, two] = [1, 2].map(|id| caller(Role::StorefrontPublic, id));
        assert_eq!(passing(&limits, &one, address(1), 0, 100), 60);
        assert_eq!(passing(&limits, &one, address(2), 0, 100), 60);
        // Another key from the same address shares the address's bucket.
        assert_eq!(passing(&limits, &two, address(1), 0, 100), 0);
        assert!(limits.take(Rate::Events, &one, address(1), 0).is_ok());
        let [server, other] = [3, 4].map(|id| caller(Role::StorefrontServer, id));
        assert_eq!(passing(&limits, &server, address(1), 0, 5_000), 4_000);
        assert_eq!(passing(&limits, &server, address(2), 0, 1), 0);
        assert_eq!(passing(&limits, &other, address(1), 0, 1), 1);
    }

    #[test]
    fn a_public_key_is_limited_as_a_whole_too() {
        let limits = Limits::new(10_000);
        let browser = caller(Role::StorefrontPublic, 1);
        let from = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let n: u32 = (0..200)
            .map(|n| passing(&limits, &browser, from(n), 0, 60))
            .sum();
        assert_eq!(n, 8_000);
    }

    #[test]
    fn too_many_addresses_share_with_their_neighbours_and_then_with_all() {
        let limits = Limits::new(16);
        let browser = caller(Role::StorefrontPublic, 1);
        // 15 addresses fill the bound, with the key's own bucket.
        for n in 0..15 {
            assert_eq!(
                passing(&limits, &browser, IpAddr::from([10, n, 0, 1]), 0, 60),
                60
            );
        }
        let near = |last: u8| IpAddr::from([10, 99, 0, last]);
        assert_eq!(passing(&limits, &browser, near(1), 0, 100), 60);
        assert_eq!(
            passing(&limits, &browser, near(2), 0, 100),
            0,
            "one /24 shares a bucket"
        );
        assert_eq!(
            passing(&limits, &browser, IpAddr::from([10, 98, 0, 1]), 0, 100),
            60
        );
        let far = |n: u8| IpAddr::from([11, n, 0, 1]);
        assert_eq!(passing(&limits, &browser, far(1), 0, 100), 60);
        assert_eq!(
            passing(&limits, &browser, far(2), 0, 100),
            0,
            "all others share one"
        );
        assert_eq!(limits.buckets.n.load(Ordering::Relaxed), 19);
        limits.sweep(100 * SECOND);
        assert!(limits.buckets.is_empty());
        assert_eq!(passing(&limits, &browser, near(2), 100 * SECOND, 100), 60);
    }

    #[test]
    fn a_hundred_wrong_keys_bar_an_address_for_the_rest_of_ten_minutes() {
        let limits = Limits::new(100);
        for n in 0..100 {
            assert_eq!(limits.barred_for(address(1), n), None, "{n}");
            limits.failed(address(1), n);
        }
        let now = 60 * SECOND;
        assert_eq!(
            limits.barred_for(address(1), now),
            Some(Duration::from_mins(9))
        );
        assert_eq!(limits.barred_for(address(2), now), None);
        assert_eq!(limits.barred_for(address(1), 600 * SECOND), None);
        limits.failed(address(1), 600 * SECOND);
        assert_eq!(limits.barred_for(address(1), 601 * SECOND), None);
        limits.sweep(1_300 * SECOND);
        assert!(limits.failures.is_empty());
    }

    #[test]
    fn neighbours_are_those_of_24_and_56_bits() {
        let [_, near, _] = places_of(IpAddr::from([192, 0, 2, 77]));
        assert_eq!(near, IpAddr::from([192, 0, 2, 0]));
        let [_, near, _] = places_of("2001:db8:1:2345:6789::1".parse().unwrap());
        assert_eq!(near, "2001:db8:1:2300::".parse::<IpAddr>().unwrap());
    }
}

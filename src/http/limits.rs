//! How often one may call: token buckets per key, and per address for public keys.
//!
//! A bucket is one instant ([`quota`](crate::http::quota)). Buckets lie in shards, each behind a
//! lock held for one look-up. When there are too many of them, new addresses share one with their
//! neighbours, and in the end all share one.
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
use crate::http::quota::{Empty, Left, Nanos, Quota, Rates};

/// Locks among which the buckets are spread; a power of two.
const N_SHARDS: usize = 64;

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

/// Keys that open nothing, from one address: so many in a window, then none is looked at.
const FAILURES_MAX: u32 = 100;
const FAILURES_WINDOW: Duration = Duration::from_mins(10);

/// Refusals of one caller that are remembered, on average; the others are counted.
const REMEMBERED: Quota = Quota::per_s("refusals", 10, 10);

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A key or user, by its id.
    Caller(Rate, [u8; 16]),
    /// The same for the refusals that it is told.
    Refused([u8; 16]),
    /// The process itself.
    System(Rate),
    /// An address, or one that stands for its neighbourhood or for all.
    Address(Rate, IpAddr),
}

/// The buckets of one server.
pub(in crate::http) struct Limits {
    rates: Rates,
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
    /// At most so many buckets of addresses, and one for each key and rate.
    pub(in crate::http) fn new(rates: Rates, buckets_max: usize) -> Self {
        Self {
            rates,
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
        let own = principal.rate;
        let quota = match rate {
            Rate::Rank if principal.is_public() => {
                let of_address =
                    self.take_of_address(rate, self.rates.rank_address, address, now)?;
                let of_key = self.take_of(caller, self.rates.rank_public.of_key(own), now)?;
                return Ok(if of_key.tokens < of_address.tokens {
                    of_key
                } else {
                    of_address
                });
            }
            Rate::Rank => self.rates.rank,
            Rate::Events => self.rates.events,
            Rate::Writes => self.rates.writes,
            Rate::Exports => self.rates.exports,
            Rate::Backups => self.rates.backups,
        };
        if principal.is_public() {
            return self.take_of_address(rate, quota, address, now);
        }
        self.take_of(caller, quota.of_key(own), now)
    }

    /// Whether one more refusal of a caller is to be remembered.
    pub(in crate::http) fn may_remember(&self, by: Actor, now: Nanos) -> bool {
        let id = match by {
            Actor::Key(id) => id.0,
            Actor::User(id) => id.0,
            Actor::System => return true,
        };
        self.take_of(Holder::Refused(id), REMEMBERED, now).is_ok()
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
        quota: Quota,
        address: IpAddr,
        now: Nanos,
    ) -> Result<Left, Empty> {
        let places = places_of(address).map(|place| Holder::Address(rate, place));
        self.take_of(self.buckets.choose(&places), quota, now)
    }

    fn take_of(&self, holder: Holder, quota: Quota, now: Nanos) -> Result<Left, Empty> {
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

/// A map in shards, with a bound on its entries beyond which they are shared.
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
    /// the second, for which the last eighth of the room is kept; else the last.
    fn choose(&self, places: &[K; 3]) -> K {
        let n = self.n.load(Ordering::Relaxed);
        if n < self.n_max - self.n_max / 8 {
            return places[0];
        }
        let second_or_last = if n < self.n_max { places[1] } else { places[2] };
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

    fn limits_of(buckets_max: usize) -> Limits {
        Limits::new(Rates::default(), buckets_max)
    }

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
        let limits = limits_of(100);
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
        fn check(rate: Rate, role: Role, expected: Quota) {
            let left = limits_of(9).take(rate, &caller(role, 1), address(1), 0);
            let left = left.unwrap();
            assert_eq!((left.quota, left.tokens + 1), (expected, expected.burst));
        }
        let rates = Rates::default();
        check(Rate::Rank, Role::StorefrontServer, rates.rank);
        check(Rate::Rank, Role::StorefrontPublic, rates.rank_address);
        check(Rate::Events, Role::StorefrontServer, rates.events);
        check(Rate::Events, Role::StorefrontPublic, rates.events);
        check(Rate::Writes, Role::Merchandiser, rates.writes);
        check(Rate::Exports, Role::Analyst, rates.exports);
        check(Rate::Backups, Role::Operator, rates.backups);
    }

    #[test]
    fn ten_refusals_of_a_caller_are_remembered_a_second() {
        let limits = limits_of(100);
        let one = Actor::Key(KeyId([1; 16]));
        let n_of = |now| (0..100).filter(|_| limits.may_remember(one, now)).count();
        assert_eq!(n_of(0), 10);
        assert_eq!(n_of(SECOND / 10 - 1), 0);
        assert_eq!(n_of(SECOND / 10), 1);
        assert_eq!(n_of(60 * SECOND), 10);
        assert!(limits.may_remember(Actor::Key(KeyId([2; 16])), 60 * SECOND));
    }

    #[test]
    fn a_key_with_a_rate_of_its_own_is_held_to_it() {
        let limits = limits_of(100);
        let own = |role, id, rate| Principal {
            rate: Some(rate),
            ..caller(role, id)
        };
        let slow = own(Role::StorefrontServer, 1, 3);
        assert_eq!(passing(&limits, &slow, address(1), 0, 100), 6);
        assert_eq!(passing(&limits, &slow, address(1), SECOND, 100), 3);
        let fast = own(Role::StorefrontServer, 2, 5_000);
        assert_eq!(passing(&limits, &fast, address(1), 0, 20_000), 10_000);
        // A public key has one beside what each address is held to.
        let browser = own(Role::StorefrontPublic, 3, 50);
        assert_eq!(passing(&limits, &browser, address(1), 0, 1_000), 60);
        assert_eq!(passing(&limits, &browser, address(2), 0, 1_000), 40);
    }

    #[test]
    fn callers_addresses_and_rates_have_buckets_of_their_own() {
        let limits = limits_of(100);
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
        let limits = limits_of(10_000);
        let browser = caller(Role::StorefrontPublic, 1);
        let from = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let n: u32 = (0..200)
            .map(|n| passing(&limits, &browser, from(n), 0, 60))
            .sum();
        assert_eq!(n, 8_000);
    }

    #[test]
    fn too_many_addresses_share_with_their_neighbours_and_then_with_all() {
        let limits = limits_of(16);
        let browser = caller(Role::StorefrontPublic, 1);
        // 13 addresses and the key's own bucket leave the last eighth of the bound.
        for n in 0..13 {
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
        assert_eq!(limits.buckets.n.load(Ordering::Relaxed), 17);
        limits.sweep(100 * SECOND);
        assert!(limits.buckets.is_empty());
        assert_eq!(passing(&limits, &browser, near(2), 100 * SECOND, 100), 60);
    }

    #[test]
    fn a_hundred_wrong_keys_bar_an_address_for_the_rest_of_ten_minutes() {
        let limits = limits_of(100);
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

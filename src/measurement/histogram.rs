//! What sessions spent, in buckets narrow enough to cap money afterwards.
//!
//! A few large baskets make any average of money uncertain; sums capped at the 99th percentile are
//! not. Buckets keep their exact sums, so moments capped at the upper end of a bucket are exact for
//! *any* such cap, also one that is chosen when all is counted.
//!
//! ```text
//! |v| < 128: bucket |v|       else, e = floor(log₂|v|): bucket 128 + 64(e − 7) + (|v| >> (e − 6)) − 64
//! 10,000 and 10,111 → 526     10,112 → 527     a bucket is at most 1.6 % wide; negative values mirror
//! ```
//!
//! Cost: a change is two binary searches over the buckets in use, some hundreds.
#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};

use crate::measurement::moments::Overflow;
use crate::measurement::summary::Sums;

/// Sessions by the money they stand for, ascending. Empty buckets are left out, so equal contents
/// are equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    is_poisoned: bool,
    buckets: Vec<(i32, Bucket)>,
}

/// Exact sums of the sessions of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    n: i64,
    sum: i128,
    squares: i128,
    cubes: i128,
}

/// Upper end of a bucket, above which money counts no more; by size, for both signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cap(u64);

impl Histogram {
    /// Counts a session.
    pub fn add(&mut self, value: i64) {
        self.shift(value, 1);
    }

    /// Counts a session no more.
    pub fn remove(&mut self, value: i64) {
        self.shift(value, -1);
    }

    /// A session that is counted went from one value to another.
    pub fn change(&mut self, from: i64, to: i64) {
        if from != to {
            self.remove(from);
            self.add(to);
        }
    }

    /// Adds the sessions of another histogram.
    pub fn merge(&mut self, other: &Self) {
        let mut went_well = !other.is_poisoned;
        for (place, more) in &other.buckets {
            went_well &= self.add_to(*place, more).is_some();
        }
        self.poison_unless(went_well);
    }

    /// Sums with every value cut off at the cap.
    ///
    /// # Errors
    /// [`Overflow`] if a sum ever overflowed, or there are fewer than no sessions.
    pub fn capped(&self, cap: Cap) -> Result<Sums, Overflow> {
        if self.is_poisoned {
            return Err(Overflow);
        }
        let last = place(i64::try_from(cap.0).unwrap_or(i64::MAX));
        let mut all = Bucket::default();
        for (place, own) in &self.buckets {
            let cut = if last < place.abs() {
                let value = i128::from(place.signum()) * i128::from(cap.0);
                Bucket::of(value, own.n).ok_or(Overflow)?
            } else {
                *own
            };
            all = all.plus(&cut).ok_or(Overflow)?;
        }
        Ok(Sums {
            n: u64::try_from(all.n).map_err(|_| Overflow)?,
            sum: all.sum,
            squares: Some(all.squares),
            cubes: Some(all.cubes),
        })
    }

    /// Sessions whose value is not 0.
    ///
    /// # Errors
    /// [`Overflow`] if a sum ever overflowed: the buckets are gone, and 0 would be a lie.
    pub fn nonzero(&self) -> Result<i64, Overflow> {
        if self.is_poisoned {
            return Err(Overflow);
        }
        let others = self.buckets.iter().filter(|(place, _)| *place != 0);
        Ok(others.map(|(_, own)| own.n).sum())
    }

    fn shift(&mut self, value: i64, n: i64) {
        let one = Bucket::of(i128::from(value), n);
        let added = one.and_then(|one| self.add_to(place(value), &one));
        self.poison_unless(added.is_some());
    }

    fn add_to(&mut self, place: i32, more: &Bucket) -> Option<()> {
        match self.buckets.binary_search_by_key(&place, |(own, _)| *own) {
            Ok(at) => {
                let sum = self.buckets[at].1.plus(more)?;
                if sum == Bucket::default() {
                    self.buckets.remove(at);
                } else {
                    self.buckets[at].1 = sum;
                }
            }
            Err(_) if *more == Bucket::default() => {}
            Err(at) => self.buckets.insert(at, (place, *more)),
        }
        Some(())
    }

    fn poison_unless(&mut self, went_well: bool) {
        if self.is_poisoned || !went_well {
            self.is_poisoned = true;
            self.buckets.clear();
        }
    }
}

impl Cap {
    /// Upper end of the bucket that holds the 99th percentile, by size, of the values of all these
    /// histograms that are not 0; `None` if there are fewer than `at_least` of them.
    ///
    /// # Errors
    /// [`Overflow`] if a sum of one of them ever overflowed: a cap of the others alone would stand
    /// for one arm only, and it is fixed for the epoch.
    pub fn of(all: &[&Histogram], at_least: u64) -> Result<Option<Self>, Overflow> {
        if all.iter().any(|histogram| histogram.is_poisoned) {
            return Err(Overflow);
        }
        let own = all.iter().flat_map(|histogram| &histogram.buckets);
        let nonzero = own.filter(|(place, _)| *place != 0);
        let mut sizes: Vec<(i32, i64)> = nonzero.map(|(place, own)| (place.abs(), own.n)).collect();
        sizes.sort_unstable();
        let n: i128 = sizes.iter().map(|(_, n)| i128::from(*n)).sum();
        if n < i128::from(at_least.max(1)) {
            return Ok(None);
        }
        let mut below = 0;
        let reached = sizes.into_iter().find(|(_, own)| {
            below += i128::from(*own);
            99 * n <= 100 * below
        });
        Ok(reached.map(|(place, _)| Self(end_of(place))))
    }

    /// In minor units.
    pub fn minor(self) -> u64 {
        self.0
    }
}

impl Bucket {
    /// `n` sessions of one value.
    fn of(value: i128, n: i64) -> Option<Self> {
        let times = i128::from(n);
        let squares = value.checked_mul(value)?.checked_mul(times)?;
        Some(Self {
            n,
            sum: value.checked_mul(times)?,
            squares,
            cubes: squares.checked_mul(value)?,
        })
    }

    fn plus(&self, more: &Self) -> Option<Self> {
        Some(Self {
            n: self.n.checked_add(more.n)?,
            sum: self.sum.checked_add(more.sum)?,
            squares: self.squares.checked_add(more.squares)?,
            cubes: self.cubes.checked_add(more.cubes)?,
        })
    }
}

/// The bucket of a value; negative for negative ones.
fn place(value: i64) -> i32 {
    let size = value.unsigned_abs();
    let own = if size < 128 {
        size
    } else {
        let e = u64::from(size.ilog2());
        128 + 64 * (e - 7) + (size >> (e - 6)) - 64
    };
    let own = i32::try_from(own).expect("64 bits have 3,840 buckets");
    if value < 0 { -own } else { own }
}

/// The largest size in a bucket.
fn end_of(place: i32) -> u64 {
    let own = u64::from(place.unsigned_abs());
    if own < 128 {
        return own;
    }
    let (octave, part) = ((own - 128) / 64, (own - 128) % 64);
    let width = 1_u64 << (octave + 1);
    (64 + part) * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measurement::moments::{Figure, Moments, Vector};

    #[test]
    fn buckets_are_those_of_the_specification() {
        for (value, expected) in [
            (0, 0),
            (127, 127),
            (128, 128),
            (10_000, 526),
            (10_111, 526),
            (10_112, 527),
            (-10_000, -526),
        ] {
            assert_eq!(place(value), expected, "{value}");
        }
        assert_eq!(end_of(526), 10_111);
        assert_eq!(end_of(place(i64::MAX)), i64::MAX as u64);
    }

    fn a_value() -> impl Strategy<Value = i64> {
        prop_oneof![Just(0), -300_i64..300, -100_000_000_i64..1_000_000_000]
    }

    fn values() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(a_value(), 0..60)
    }

    fn of(values: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(*value);
        }
        histogram
    }

    /// Sums of values cut off at a size, by their definition.
    fn cut(values: &[i64], most: u64) -> Sums {
        let most = i128::from(most);
        let all = || {
            values
                .iter()
                .map(|value| i128::from(*value).clamp(-most, most))
        };
        Sums {
            n: values.len() as u64,
            sum: all().sum(),
            squares: Some(all().map(|value| value * value).sum()),
            cubes: Some(all().map(|value| value * value * value).sum()),
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_narrow_and_ends_where_the_next_begins(value in 1_i64..i64::MAX) {
            let end = end_of(place(value));
            prop_assert!(value.unsigned_abs() <= end);
            let wide = end - value.unsigned_abs();
            prop_assert!(u128::from(wide) * 1_000 <= u128::from(end) * 16);
            if let Ok(next) = i64::try_from(end + 1) {
                prop_assert_eq!(place(next), place(value) + 1);
            }
        }

        /// Law 10: exact for the end of any bucket; at the largest value nothing is cut.
        #[test]
        fn capped_sums_are_those_of_cut_values(own in values(), at in 0_i64..2_000_000_000) {
            let cap = Cap(end_of(place(at)));
            prop_assert_eq!(of(&own).capped(cap), Ok(cut(&own, cap.minor())));
            let all = Cap(end_of(own.iter().map(|value| place(*value).abs()).max().unwrap_or(0)));
            prop_assert_eq!(of(&own).capped(all), Ok(cut(&own, u64::MAX >> 1)));
        }

        /// Law 10: uncapped, a histogram holds what the moments of the same sessions hold.
        #[test]
        fn uncapped_sums_are_the_moments(own in values()) {
            let mut moments = Moments::default();
            for value in &own {
                moments.add(&Vector([0, 0, 0, 0, *value, 0]));
            }
            let expected = moments.read().unwrap().figure(Figure::Revenue);
            let all = Cap(end_of(place(i64::MAX)));
            prop_assert_eq!(of(&own).capped(all), expected);
            let n_nonzero = moments.read().unwrap().nonzero(Figure::Revenue);
            prop_assert_eq!(of(&own).nonzero(), Ok(n_nonzero));
        }

        /// Law 4: brackets and sides do not matter, and nothing added is nothing changed.
        #[test]
        fn merging_has_no_brackets_no_sides_and_a_neutral(
            one in values(), other in values(), third in values(),
        ) {
            let merged = |one: &Histogram, other: &Histogram| {
                let mut both = one.clone();
                both.merge(other);
                both
            };
            let (one, other, third) = (of(&one), of(&other), of(&third));
            let left = merged(&merged(&one, &other), &third);
            prop_assert_eq!(left, merged(&one, &merged(&other, &third)));
            prop_assert_eq!(merged(&one, &other), merged(&other, &one));
            prop_assert_eq!(&merged(&one, &Histogram::default()), &one);
            prop_assert_eq!(&merged(&Histogram::default(), &one), &one);
        }

        #[test]
        fn the_cap_holds_ninety_nine_of_a_hundred(one in values(), other in values()) {
            let mut sizes: Vec<i32> = one.iter().chain(&other).map(|value| place(*value).abs()).collect();
            sizes.retain(|size| *size != 0);
            sizes.sort_unstable();
            let expected = (99 * sizes.len()).div_ceil(100).checked_sub(1);
            let expected = expected.map(|place| Cap(end_of(sizes[place])));
            prop_assert_eq!(Cap::of(&[&of(&one), &of(&other)], 1), Ok(expected));
            prop_assert_eq!(Cap::of(&[&of(&one), &of(&other)], sizes.len() as u64 + 1), Ok(None));
        }

        /// Laws 4 and 8.
        #[test]
        fn changing_removing_and_merging_leave_what_adding_would(
            own in prop::collection::vec((a_value(), a_value()), 0..20),
            gone in values(),
        ) {
            let last: Vec<i64> = own.iter().map(|(_, to)| *to).collect();
            let first: Vec<i64> = own.iter().map(|(from, _)| *from).collect();
            let mut histogram = of(&gone);
            histogram.merge(&of(&first));
            for (from, to) in &own {
                histogram.change(*from, *to);
            }
            for value in &gone {
                histogram.remove(*value);
            }
            prop_assert_eq!(histogram, of(&last));
        }
    }

    #[test]
    fn what_overflowed_never_heals() {
        let mut histogram = Histogram::default();
        histogram.add(i64::MAX);
        assert_eq!(histogram.capped(Cap(100)), Err(Overflow));
        histogram.remove(i64::MAX);
        let mut other = of(&[1]);
        other.merge(&histogram);
        assert_eq!(other.capped(Cap(100)), Err(Overflow));
    }

    /// A poisoned histogram has lost its buckets. Its arm once dropped out of the pool without a
    /// word, so that the other arm alone fixed the cap of both.
    #[test]
    fn no_cap_comes_from_what_overflowed() {
        let mut poisoned = of(&[50_000; 300]);
        poisoned.add(i64::MAX);
        let sound = of(&[100; 300]);
        assert_eq!(Cap::of(&[&poisoned, &sound], 200), Err(Overflow));
        assert_eq!(poisoned.nonzero(), Err(Overflow));
        assert_eq!(sound.nonzero(), Ok(300));
    }
}

//! Whether a full import would do harm, as a truncated feed does.

use crate::catalogue::Catalogue;
use crate::domain::money::Percent;

/// What a full import would do beyond a threshold of the market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Products that the feed lacks.
    Vanished {
        /// Products gone.
        count: u32,
        /// Products before.
        of: u32,
        /// Most that may go, in percent.
        allowed: Percent,
    },
    /// Variants that were in stock and are sold out now; vanished ones do not count here.
    SoldOut {
        /// Variants sold out.
        count: u32,
        /// Variants in stock before.
        of: u32,
        /// Most that may sell out, in percent.
        allowed: Percent,
    },
}

/// The harms of going from `current` to `next`, by the thresholds of `current`'s market.
///
/// Whether an active promotion loses its last unit is asked by whoever knows promotions.
pub fn harms(current: &Catalogue, next: &Catalogue) -> Vec<Harm> {
    let guard = current.market().harm_guard;
    let mut harms = Vec::new();
    let (count, of) = vanished(current, next);
    let allowed = guard.vanished_percent_max;
    if exceeds(count, of, allowed) {
        harms.push(Harm::Vanished { count, of, allowed });
    }
    let (count, of) = sold_out(current, next);
    let allowed = guard.sold_out_percent_max;
    if exceeds(count, of, allowed) {
        harms.push(Harm::SoldOut { count, of, allowed });
    }
    harms
}

fn vanished(current: &Catalogue, next: &Catalogue) -> (u32, u32) {
    let (mut count, mut of) = (0, 0);
    for (_, record) in current.products() {
        of += 1;
        count += u32::from(next.find_product(record.key.as_str()).is_none());
    }
    (count, of)
}

fn sold_out(current: &Catalogue, next: &Catalogue) -> (u32, u32) {
    let (mut count, mut of) = (0, 0);
    for row in current.live().iter() {
        let variant = current.variant_record(row);
        if variant.in_stock() {
            of += 1;
            let after = next.find_variant(variant.key.as_str());
            let is_out = after.is_some_and(|after| !next.variant_record(after).in_stock());
            count += u32::from(is_out);
        }
    }
    (count, of)
}

/// Whether `count` of `of` is more than `allowed`, in exact arithmetic.
fn exceeds(count: u32, of: u32, allowed: Percent) -> bool {
    u64::from(of) * u64::from(allowed.basis_points()) < u64::from(count) * 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: u32, after: u32, percent: &str, refused: bool) {
        let allowed = Percent::parse(percent).unwrap();
        assert_eq!(exceeds(before - after, before, allowed), refused);
    }

    #[test]
    fn a_fifth_may_vanish_and_no_product_more() {
        check(35_000, 28_000, "20", false);
        check(35_000, 27_999, "20", true);
        check(10, 8, "20", false);
        check(10, 7, "20", true);
        check(0, 0, "20", false);
        check(1, 0, "100", false);
        check(3, 2, "0", true);
    }
}

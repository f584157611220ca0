//! The base order: score descending, then key ascending; missing scores last.

use std::cmp::{Ordering, Reverse};

use rayon::slice::ParallelSliceMut;

use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::number::Score;

/// Order of two variants in the base ranking, better first.
///
/// Scores are compared exactly, descending; all missing ones stand after all others, as one tie
/// block; equal scores go by variant key, ascending by code point.
pub fn base_order(left: (Option<Score>, &str), right: (Option<Score>, &str)) -> Ordering {
    // `None` is less than any score, so in reverse it comes last. UTF-8 keeps code point order.
    (Reverse(left.0), left.1).cmp(&(Reverse(right.0), right.1))
}

/// The live rows in base order, each with a number that is equal within a tie block and nowhere else.
pub fn in_base_order(catalogue: &Catalogue) -> Vec<(Row, i128)> {
    let number = |score: Option<Score>| score.map_or(MISSING, Score::fixed);
    let rows = catalogue.live().iter();
    let mut order: Vec<_> = rows
        .map(|row| (row, number(catalogue.score(row))))
        .collect();
    order.par_sort_unstable_by(|left, right| {
        let key = |row: Row| catalogue.variant_key(row).as_str();
        let by_score = right.1.cmp(&left.1);
        by_score.then_with(|| key(left.0).cmp(key(right.0)))
    });
    order
}

/// Below every score.
const MISSING: i128 = i128::MIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(better: (Option<&str>, &str), worse: (Option<&str>, &str)) {
        let score = |text: Option<&str>| text.map(|text| Score::parse(text).unwrap());
        let (left, right) = ((score(better.0), better.1), (score(worse.0), worse.1));
        assert_eq!(base_order(left, right), Ordering::Less);
        assert_eq!(base_order(right, left), Ordering::Greater);
        let number = |score: Option<Score>| score.map_or(MISSING, Score::fixed);
        assert_eq!(number(left.0).cmp(&number(right.0)), left.0.cmp(&right.0));
    }

    #[test]
    fn scores_descend_then_keys_ascend() {
        check((Some("10"), "b"), (Some("9.9"), "a"));
        check((Some("-1"), "b"), (Some("-1.5"), "a"));
        check((Some("10"), "a"), (Some("10.0"), "b"));
        check((Some("-99999"), "z"), (None, "a"));
        check((None, "a"), (None, "b"));
        check((Some("1"), "Z"), (Some("1"), "a"));
        check((Some("1"), "z"), (Some("1"), "ä"));
        check((Some("1.00000000000000001"), "b"), (Some("1"), "a"));
        check((Some("1"), "\u{ffff}"), (Some("1"), "\u{10000}"));
    }
}

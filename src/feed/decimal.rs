//! Numbers as people of a country write them, made plain.

use std::borrow::Cow;

use crate::domain::complaint::Fault;
use crate::feed::mapping::DecimalMark;

/// What may stand between groups of three digits, beside the other decimal mark.
const GROUPERS: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '’'];

/// The number with a point and without groups. Without a `mark` it must be plain already: a shop
/// that did not say how it writes numbers shall not have its prices guessed.
///
/// # Errors
/// `bad-format`.
pub(super) fn plain(text: &str, mark: Option<DecimalMark>) -> Result<Cow<'_, str>, Fault> {
    let Some(mark) = mark else {
        return Ok(Cow::Borrowed(text));
    };
    let refused = || Fault::bad_format(expected(mark), text);
    let n_sign = usize::from(text.starts_with(['-', '+']));
    let (sign, unsigned) = text.split_at(n_sign);
    let (whole, fraction) = match unsigned.split_once(mark.char()) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    if !fraction.is_none_or(|digits| !digits.is_empty() && is_digits(digits)) {
        return Err(refused());
    }
    let whole = ungrouped(whole, mark).ok_or_else(refused)?;
    let number = match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    };
    Ok(Cow::Owned(number))
}

fn expected(mark: DecimalMark) -> &'static str {
    match mark {
        DecimalMark::Point => "a number such as 1,299.50",
        DecimalMark::Comma => "a number such as 1.299,50",
    }
}

/// Digits whose groups, if any, are all of three but the first, and parted by the same character.
fn ungrouped(whole: &str, mark: DecimalMark) -> Option<String> {
    let Some(grouper) = whole.chars().find(|char| !char.is_ascii_digit()) else {
        return Some(whole.to_owned());
    };
    let other = match mark {
        DecimalMark::Point => ',',
        DecimalMark::Comma => '.',
    };
    if grouper != other && !GROUPERS.contains(&grouper) {
        return None;
    }
    let mut groups = whole.split(grouper);
    let first = groups
        .next()
        .filter(|first| (1..=3).contains(&first.len()))?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        digits.push_str(group);
    }
    is_digits(&digits).then_some(digits)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mark: Option<DecimalMark>, text: &str, expected: Option<&str>) {
        assert_eq!(plain(text, mark).ok().as_deref(), expected);
    }

    #[test]
    fn a_comma_may_be_the_decimal_mark() {
        let comma = Some(DecimalMark::Comma);
        check(comma, "1.299,50", Some("1299.50"));
        check(comma, "-1 299 000,5", Some("-1299000.5"));
        check(comma, "1\u{a0}299", Some("1299"));
        check(comma, "1299,5", Some("1299.5"));
        check(comma, "1,299.50", None);
        check(comma, "12.99", None);
        check(comma, "1.299.50", None);
        check(comma, "1.299,", None);
        check(comma, "1. 299", None);
        check(comma, "1299.500", None);
        check(comma, "x", None);
    }

    #[test]
    fn a_point_that_was_named_allows_groups() {
        let point = Some(DecimalMark::Point);
        check(point, "1.299,50", None);
        check(point, "1,299.50", Some("1299.50"));
        check(point, "1’299.50", Some("1299.50"));
        check(point, ".5", Some(".5"));
    }

    #[test]
    fn without_a_mark_nothing_is_guessed() {
        check(None, "1,299", Some("1,299"));
    }
}

//! Text as people type it: trimmed, in normal form C, bounded, without control characters.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::domain::complaint::Fault;

/// `text` without outer white space and in normal form C; borrowed if it already is.
pub fn normal(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if trimmed.is_ascii() || is_nfc_quick(trimmed.chars()) == IsNormalized::Yes {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(trimmed.nfc().collect())
    }
}

/// `text` in normal form, if it then has 1 to `max` Unicode scalar values and no control character.
///
/// # Errors
/// `too-short`, `too-long` or `bad-format`.
pub fn bounded(text: &str, max: usize) -> Result<Cow<'_, str>, Fault> {
    let normal = normal(text);
    let have = normal.chars().count();
    if have == 0 {
        return Err(Fault::TooShort { have, min: 1 });
    }
    if max < have {
        return Err(Fault::TooLong { have, max });
    }
    if normal.chars().any(char::is_control) {
        return Err(Fault::bad_format(
            "text without control characters",
            &normal.escape_debug().to_string(),
        ));
    }
    Ok(normal)
}

/// `text` in normal form and folded for comparing names without regard to case.
pub fn caseless(text: &str) -> String {
    normal(text).to_lowercase()
}

/// The candidate nearest to `word` by edit distance, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = |candidate: &&str| {
        let distance = strsim::damerau_levenshtein(word, candidate);
        let bound = (word.chars().count().max(candidate.chars().count()) / 3).max(1);
        (distance <= bound).then_some(distance)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((near(&candidate)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_in_scalars_after_normalising() {
        let fifty = "o\u{308}".repeat(50);
        assert_eq!(bounded(&fifty, 50).unwrap(), "ö".repeat(50));
        assert_eq!(
            bounded(&"x".repeat(51), 50),
            Err(Fault::TooLong { have: 51, max: 50 })
        );
        assert_eq!(bounded("  a ", 50).unwrap(), "a");
        assert_eq!(bounded(" \t", 50), Err(Fault::TooShort { have: 0, min: 1 }));
        assert_eq!(bounded("a\u{7}b", 50).unwrap_err().code(), "bad-format");
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("atr", ["attr", "op"]), Some("attr".to_owned()));
        assert_eq!(
            nearest("include", ["exclude", "in"]),
            Some("exclude".to_owned())
        );
        assert_eq!(nearest("colour", ["price", "stock"]), None);
    }
}

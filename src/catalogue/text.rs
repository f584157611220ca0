//! The matcher of `q`: which variants does a text mean, and how well?

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{PRODUCT_KEY, TITLE, VARIANT_KEY};
use crate::catalogue::column::Column;
use crate::catalogue::row::RowSet;
use crate::domain::value::Value;

/// Number of match classes.
pub const CLASSES: usize = 3;

/// Rows that `q` means, in disjoint classes, best first.
///
/// `q` is folded (accents and case away) and split at everything that is neither letter nor digit;
/// all tokens must be found, the last as the beginning of a word. Class 0: `q` is the key of the
/// variant or its product, or all tokens are whole words of the title. Class 1: the same, the last
/// token beginning a word of the title. Class 2: tokens anywhere in title, keys and the market's
/// search attributes. A variant without title goes by its key. No tokens mean nothing.
pub fn match_classes(catalogue: &Catalogue, q: &str) -> Vec<RowSet> {
    let tokens: Vec<String> = words(q);
    let mut classes = vec![RowSet::new(); CLASSES];
    let Some((last, firsts)) = tokens.split_last() else {
        return classes;
    };
    let search = |token: &str, how: How, attrs: &[&str]| found(catalogue, token, how, attrs);
    let mut attrs = vec![TITLE, VARIANT_KEY, PRODUCT_KEY];
    let more = &catalogue.market().search_attributes;
    attrs.extend(more.iter().map(crate::predicate::rule::Attr::as_str));
    let all = |how: How, attrs: &[&str]| {
        let mut rows = search(last, how, attrs);
        for token in firsts {
            rows.intersect(&search(token, How::Whole, attrs));
        }
        rows
    };
    classes[0] = all(How::Whole, &[TITLE]);
    classes[1] = all(How::Prefix, &[TITLE]);
    classes[2] = all(How::Prefix, &attrs);
    let better = classes[0].clone();
    classes[1].subtract(&better);
    classes[2].subtract(&better);
    let better = classes[1].clone();
    classes[2].subtract(&better);
    classes
}

/// How a token must meet a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Whole,
    Prefix,
}

fn found(catalogue: &Catalogue, token: &str, how: How, attrs: &[&str]) -> RowSet {
    let mut rows = RowSet::new();
    let columns: BTreeSet<&str> = attrs.iter().copied().collect();
    for column in columns.iter().filter_map(|attr| catalogue.column(attr)) {
        unite_matches(column, token, how, &mut rows);
    }
    rows
}

fn unite_matches(column: &Column, token: &str, how: How, rows: &mut RowSet) {
    for (id, value) in (0..).zip(column.values()) {
        let Value::Text(text) = value else { continue };
        let meets = |word: &String| match how {
            How::Whole => word == token,
            How::Prefix => word.starts_with(token),
        };
        if words(text).iter().any(meets) {
            column
                .rows(crate::catalogue::column::ValueId(id))
                .unite_into(rows);
        }
    }
}

/// Folded words of a text.
fn words(text: &str) -> Vec<String> {
    let folded: String = text
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect();
    let parts = folded.split(|letter: char| !letter.is_alphanumeric());
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

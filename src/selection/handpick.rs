//! Picking products by hand, many at once.

use std::collections::HashSet;
use std::hash::Hash;

use crate::catalogue::Catalogue;
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{CrossKey, ProductKey};
use crate::domain::text;
use crate::selection::compile::products_of_cross_key;
use crate::selection::definition::{KEYS_MAX, Selection};

/// What an import does with the products picked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They stay, and the new ones come behind them.
    Add,
    /// They go, unless they are named again.
    Replace,
}

/// What an import brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The selection with the keys.
    pub selection: Selection,
    /// Distinct keys, blanks and repeats left out.
    pub unique: usize,
    /// Of them, those that were not picked before.
    pub added: usize,
    /// Of them, those that were.
    pub already: usize,
    /// Of them, those that no market of the promotion has; they are kept, for goods can be picked
    /// before they are fed.
    pub unknown: Vec<String>,
}

/// Picks products by key in all markets of the promotion.
///
/// `max` bounds the distinct keys of one call, after trimming and without blanks.
///
/// # Errors
/// Nothing changes: `too-many` at `/keys` above `max` or above what a selection holds, faults of
/// keys at `/keys/3`, `contradiction` for blocked products.
pub fn import(
    selection: &Selection,
    keys: &[String],
    mode: Mode,
    max: usize,
    catalogues: &[&Catalogue],
) -> Result<Imported, Vec<Complaint>> {
    let mut complaints = Complaints::new();
    let distinct = read_distinct(keys, max, ProductKey::parse, &mut complaints);
    let blocked: HashSet<&ProductKey> = selection.blocked().iter().collect();
    for (place, key) in &distinct {
        if blocked.contains(key) {
            let why = format!("\"{key}\" is both handpicked and blocked");
            complaints.add(format!("/keys/{place}"), Fault::Contradiction { why });
        }
    }
    let merged = merge(selection.handpicked(), distinct, mode, &mut complaints);
    let is_known = |key: &&ProductKey| {
        let mut markets = catalogues.iter();
        !markets.any(|catalogue| catalogue.find_product(key.as_str()).is_some())
    };
    let unknown = merged.unique.iter().filter(is_known);
    let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
    let cross_keys = selection.handpicked_cross_market().to_vec();
    let picked = selection.with_handpicked(merged.all, cross_keys);
    complaints.finish(Some(Imported {
        selection: picked,
        unique: merged.unique.len(),
        added: merged.unique.len() - merged.already,
        already: merged.already,
        unknown,
    }))
}

/// Picks articles by their cross-market keys; otherwise as [`import`].
///
/// # Errors
/// As [`import`], without `contradiction`.
pub fn import_cross_market(
    selection: &Selection,
    keys: &[String],
    mode: Mode,
    max: usize,
    catalogues: &[&Catalogue],
) -> Result<Imported, Vec<Complaint>> {
    let mut complaints = Complaints::new();
    let distinct = read_distinct(keys, max, CrossKey::parse, &mut complaints);
    let own = selection.handpicked_cross_market();
    let merged = merge(own, distinct, mode, &mut complaints);
    let is_unknown = |key: &&CrossKey| {
        let mut markets = catalogues.iter();
        markets.all(|catalogue| products_of_cross_key(key, catalogue).is_empty())
    };
    let unknown = merged.unique.iter().filter(is_unknown);
    let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
    let picked = selection.with_handpicked(selection.handpicked().to_vec(), merged.all);
    complaints.finish(Some(Imported {
        selection: picked,
        unique: merged.unique.len(),
        added: merged.unique.len() - merged.already,
        already: merged.already,
        unknown,
    }))
}

/// Distinct keys with the place of each, in the order sent.
fn read_distinct<K>(
    texts: &[String],
    max: usize,
    parse: impl Fn(&str) -> Result<K, Fault>,
    complaints: &mut Complaints,
) -> Vec<(usize, K)> {
    let mut seen = HashSet::new();
    let mut places = Vec::new();
    for (place, key_text) in texts.iter().enumerate() {
        let normal = text::normal(key_text);
        if !normal.is_empty() && seen.insert(normal) {
            places.push(place);
        }
    }
    let have = places.len();
    if max < have {
        complaints.add("/keys", Fault::TooMany { have, max });
        return Vec::new();
    }
    let mut keys = Vec::with_capacity(have);
    for place in places {
        let key = complaints.take(format!("/keys/{place}"), parse(&texts[place]));
        keys.extend(key.map(|key| (place, key)));
    }
    keys
}

struct Merged<K> {
    /// What the list holds afterwards.
    all: Vec<K>,
    /// The keys of the call.
    unique: Vec<K>,
    already: usize,
}

fn merge<K: Clone + Eq + Hash>(
    before: &[K],
    keys: Vec<(usize, K)>,
    mode: Mode,
    complaints: &mut Complaints,
) -> Merged<K> {
    let known: HashSet<&K> = before.iter().collect();
    let unique: Vec<K> = keys.into_iter().map(|(_, key)| key).collect();
    let new: Vec<K> = unique
        .iter()
        .filter(|key| !known.contains(key))
        .cloned()
        .collect();
    let already = unique.len() - new.len();
    let all = match mode {
        Mode::Add => [before, &new].concat(),
        Mode::Replace => unique.clone(),
    };
    if KEYS_MAX < all.len() {
        let (have, max) = (all.len(), KEYS_MAX);
        complaints.add("/keys", Fault::TooMany { have, max });
    }
    Merged {
        all,
        unique,
        already,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::sample::{catalogue, keys, market, product, selection, table};

    fn picked(handpicked: &[&str], blocked: &[&str]) -> Selection {
        selection(SelectionDraft {
            handpicked: keys(handpicked),
            blocked: keys(blocked),
            ..SelectionDraft::default()
        })
    }

    fn numbered(n_keys: usize) -> Vec<String> {
        (0..n_keys).map(|number| format!("p{number}")).collect()
    }

    fn codes(refused: &[Complaint]) -> Vec<(&str, &str)> {
        refused
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect()
    }

    #[test]
    fn seven_hundred_distinct_keys_pass_and_one_more_fails_whole() {
        let start = picked(&["p3"], &[]);
        let mut sent = numbered(700);
        sent.extend((0..31).map(|number| format!(" p{number} ")));
        sent.extend(keys(&["", "  "]));
        let imported = import(&start, &sent, Mode::Add, 700, &[]).unwrap();
        let counts = (imported.unique, imported.added, imported.already);
        assert_eq!(counts, (700, 699, 1));
        assert_eq!(imported.selection.handpicked().len(), 700);
        let refused = import(&start, &numbered(701), Mode::Add, 700, &[]).unwrap_err();
        assert_eq!(codes(&refused), [("/keys", "too-many")]);
    }

    #[test]
    fn unknown_keys_are_kept_and_reported() {
        let shop = table();
        let sent = keys(&["a", "later", "b"]);
        let imported = import(&picked(&["c"], &[]), &sent, Mode::Add, 700, &[&shop]).unwrap();
        assert_eq!(imported.unknown, ["later"]);
        let found = imported.selection.handpicked().iter();
        let found: Vec<&str> = found.map(ProductKey::as_str).collect();
        assert_eq!(found, ["c", "a", "later", "b"]);
    }

    #[test]
    fn replacing_forgets_what_is_not_named_again() {
        let sent = keys(&["b", "a"]);
        let start = picked(&["a", "c"], &[]);
        let imported = import(&start, &sent, Mode::Replace, 700, &[]).unwrap();
        assert_eq!((imported.added, imported.already), (1, 1));
        let found = imported.selection.handpicked().iter();
        assert_eq!(found.map(ProductKey::as_str).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn blocked_and_faulty_keys_are_refused_at_their_place() {
        let sent = keys(&["a", "", "b", "b", "x\ny"]);
        let refused = import(&picked(&[], &["b"]), &sent, Mode::Add, 700, &[]).unwrap_err();
        assert_eq!(
            codes(&refused),
            [("/keys/4", "bad-format"), ("/keys/2", "contradiction")]
        );
    }

    #[test]
    fn a_selection_holds_ten_thousand_handpicked_products() {
        let full = selection(SelectionDraft {
            handpicked: numbered(9_999),
            ..SelectionDraft::default()
        });
        let one = |key: &str| import(&full, &keys(&[key]), Mode::Add, 700, &[]);
        let filled = one("x").unwrap();
        assert_eq!(filled.selection.handpicked().len(), 10_000);
        let another = import(&filled.selection, &keys(&["y"]), Mode::Add, 700, &[]);
        assert_eq!(codes(&another.unwrap_err()), [("/keys", "too-many")]);
    }

    #[test]
    fn cross_market_keys_are_known_where_a_market_has_the_article() {
        let goods = vec![product("p", &[], &[("p1", &[("ean", "7")])])];
        let shop = catalogue(market("de"), goods, &[]);
        let other = table();
        let sent = keys(&["7", "8"]);
        let imported = import_cross_market(
            &picked(&["a"], &[]),
            &sent,
            Mode::Add,
            700,
            &[&other, &shop],
        )
        .unwrap();
        assert_eq!(imported.unknown, ["8"]);
        assert_eq!(imported.selection.handpicked_cross_market().len(), 2);
        assert_eq!(imported.selection.handpicked().len(), 1);
    }
}

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

//! The matcher of `q`: which variants does a text mean, and how well?

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{PRODUCT_KEY, TITLE, VARIANT_KEY};
use crate::catalogue::column::{Column, Rows, ValueId};
use crate::catalogue::folded::{Folded, fold};
use crate::catalogue::row::{Row, RowSet};
use crate::domain::text;

/// Number of match classes.
pub const CLASSES: usize = 3;

/// Rows that `q` means, in three disjoint classes, best first.
///
/// `q` is folded (accents and case away) and split at everything that is neither letter nor digit;
/// all tokens must be found, the last as the beginning of a word. Class 0: `q` is the key of the
/// variant or its product, or all tokens are whole words of the title. Class 1: the same, the last
/// token beginning a word of the title. Class 2: tokens anywhere in title, keys and the market's
/// search attributes. A variant without title goes by its key. No tokens mean nothing.
///
/// One pass over the folded values of each attribute searched, a token.
pub fn match_classes(catalogue: &Catalogue, q: &str) -> Vec<RowSet> {
    let mut folded = String::new();
    fold(q, &mut folded);
    let mut classes = vec![by_key(catalogue, q, &folded), RowSet::new(), RowSet::new()];
    let mut whole: Option<Found> = None;
    let mut tokens = folded.split_ascii_whitespace().peekable();
    while let Some(token) = tokens.next() {
        let mut found = search(catalogue, token);
        let is_last = tokens.peek().is_none();
        if !is_last {
            found.title_prefix = found.title.clone();
            found.anywhere_prefix.clone_from(&found.anywhere);
        }
        whole = Some(match whole {
            None => found,
            Some(before) => before.and(&found),
        });
    }
    if let Some(found) = whole {
        classes[0].unite(&found.title);
        classes[1] = found.title_prefix;
        classes[2] = found.anywhere_prefix;
    }
    for better in 0..CLASSES {
        let (upper, lower) = classes.split_at_mut(better + 1);
        for class in lower {
            class.subtract(&upper[better]);
        }
    }
    classes
}

/// Rows in which a token was found, by where and how.
struct Found {
    title: RowSet,
    title_prefix: RowSet,
    anywhere: RowSet,
    anywhere_prefix: RowSet,
}

impl Found {
    fn and(mut self, other: &Self) -> Self {
        self.title.intersect(&other.title);
        self.title_prefix.intersect(&other.title_prefix);
        self.anywhere.intersect(&other.anywhere);
        self.anywhere_prefix.intersect(&other.anywhere_prefix);
        self
    }
}

/// Rows whose own or product's key is `q`, to the letter or folded.
fn by_key(catalogue: &Catalogue, q: &str, folded: &str) -> RowSet {
    let mut rows = RowSet::new();
    let exact = text::normal(q);
    rows.extend(catalogue.find_variant(&exact));
    if let Some(product) = catalogue.find_product(&exact) {
        rows.extend(catalogue.rows_of_product(product).iter().copied());
    }
    if folded.is_empty() {
        return rows;
    }
    for attr in [VARIANT_KEY, PRODUCT_KEY] {
        if let Some((column, index)) = searched(catalogue, attr) {
            for id in index.equal(folded) {
                column.rows(id).unite_into(&mut rows);
            }
        }
    }
    rows
}

fn search(catalogue: &Catalogue, token: &str) -> Found {
    let (title, title_prefix) = in_attribute(catalogue, TITLE, token);
    let mut found = Found {
        anywhere: title.clone(),
        anywhere_prefix: title_prefix.clone(),
        title,
        title_prefix,
    };
    let titled = catalogue.column(TITLE).map(Column::present);
    for attr in catalogue.search_attributes() {
        if attr == TITLE {
            continue;
        }
        let (mut whole, mut prefix) = in_attribute(catalogue, attr, token);
        found.anywhere.unite(&whole);
        found.anywhere_prefix.unite(&prefix);
        if attr == VARIANT_KEY {
            if let Some(titled) = titled {
                whole.subtract(titled);
                prefix.subtract(titled);
            }
            found.title.unite(&whole);
            found.title_prefix.unite(&prefix);
        }
    }
    found
}

/// Rows with a word of the attribute that is the token, and that begins with it.
fn in_attribute(catalogue: &Catalogue, attr: &str, token: &str) -> (RowSet, RowSet) {
    let Some((column, index)) = searched(catalogue, attr) else {
        return (RowSet::new(), RowSet::new());
    };
    let hits = index.find(token);
    let n_rows = catalogue.n_rows();
    let whole = rows_of(column, &hits.whole, n_rows);
    let prefix = if hits.prefix.len() == hits.whole.len() {
        whole.clone()
    } else {
        rows_of(column, &hits.prefix, n_rows)
    };
    (whole, prefix)
}

fn searched<'c>(catalogue: &'c Catalogue, attr: &str) -> Option<(&'c Column, &'c Folded)> {
    let column = catalogue.column(attr)?;
    Some((column, column.folded.as_ref()?))
}

/// Rows that hold one of the values; many are gathered in a bitmap, few are sorted.
fn rows_of(column: &Column, ids: &[ValueId], n_rows: u32) -> RowSet {
    let mut set = RowSet::new();
    let mut rare: Vec<Row> = Vec::new();
    for &id in ids {
        match column.rows(id) {
            Rows::Set(rows) => set.unite(rows),
            Rows::List(rows) => rare.extend_from_slice(rows),
        }
    }
    if rare.len() < n_rows as usize / 64 {
        rare.sort_unstable();
        rare.dedup();
    } else {
        let mut words = vec![0_u64; n_rows as usize / 64 + 1];
        for row in &rare {
            words[row.0 as usize / 64] |= 1 << (row.0 % 64);
        }
        rare.clear();
        for (base, mut word) in (0..).step_by(64).zip(words) {
            while word != 0 {
                rare.push(Row(base + word.trailing_zeros()));
                word &= word - 1;
            }
        }
    }
    set.unite(&RowSet::from_ascending(rare));
    set
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::delta::delta;
    use crate::catalogue::fixture::{catalogue, product, variant};
    use crate::catalogue::product::{FeedOperation, ProductRecord};

    fn shop() -> Catalogue {
        let down = [("title", "Gåsdunjacka Vinter"), ("brand", "Fjord")];
        let rain = [("title", "Regnjacka, 2-pack"), ("brand", "Vinter & Co")];
        let sizes = |key: &str| {
            vec![
                variant(&format!("{key}-L"), &[]),
                variant(&format!("{key}-M"), &[]),
            ]
        };
        catalogue(
            vec![
                product("DOWN", &down, sizes("DOWN")),
                product("RAIN", &rain, sizes("RAIN")),
                product(
                    "vinter-7",
                    &[("brand", "Fjord")],
                    vec![variant("vinter-7", &[])],
                ),
            ],
            Vec::new(),
        )
    }

    #[track_caller]
    fn check(q: &str, expected: [&str; CLASSES]) {
        let shop = shop();
        let keys = |class: &RowSet| {
            let keys: Vec<&str> = class
                .iter()
                .map(|row| shop.variant_key(row).as_str())
                .collect();
            keys.join(" ")
        };
        let found: Vec<String> = match_classes(&shop, q).iter().map(keys).collect();
        assert_eq!(found, expected, "{q}");
    }

    #[test]
    fn whole_words_of_the_title_come_first() {
        check("gasdunjacka", ["DOWN-L DOWN-M", "", ""]);
        check("VINTER gåsdunjacka", ["DOWN-L DOWN-M", "", ""]);
        check("2 pack regnjacka", ["RAIN-L RAIN-M", "", ""]);
    }

    #[test]
    fn the_last_token_may_begin_a_word() {
        check("vinter gås", ["", "DOWN-L DOWN-M", ""]);
        check("gås vinter", ["", "", ""]);
        check("regn", ["", "RAIN-L RAIN-M", ""]);
        check("jacka", ["", "", ""]);
    }

    #[test]
    fn other_attributes_come_last() {
        check("fjord", ["", "", "DOWN-L DOWN-M vinter-7"]);
        check("fjord gåsdun", ["", "", "DOWN-L DOWN-M"]);
        check("vinter", ["DOWN-L DOWN-M vinter-7", "", "RAIN-L RAIN-M"]);
    }

    #[test]
    fn keys_are_found_whole_and_in_part() {
        check("down-l", ["DOWN-L", "", ""]);
        check(" rain ", ["RAIN-L RAIN-M", "", ""]);
        check("dow", ["", "", "DOWN-L DOWN-M"]);
        check("m down", ["", "", "DOWN-M"]);
    }

    #[test]
    fn a_variant_without_title_goes_by_its_key() {
        check("7", ["vinter-7", "", ""]);
        check("vint", ["", "DOWN-L DOWN-M vinter-7", "RAIN-L RAIN-M"]);
    }

    #[test]
    fn no_word_means_nothing() {
        check(" -- ", ["", "", ""]);
        check("schmetterling", ["", "", ""]);
    }

    #[test]
    fn accents_case_and_forms_are_folded() {
        #[track_caller]
        fn folds(text: &str, expected: &str) {
            let mut found = String::new();
            fold(text, &mut found);
            assert_eq!(found, expected);
        }
        folds("Gåsdunjacka, 2-pack", " gasdunjacka 2 pack");
        folds("ＦＵＬＬ ﬁne ①", " full fine 1");
        folds("STRASSE Straße", " strasse strasse");
        folds("İstanbul ΣΟΦΟΣ", " istanbul σοφοσ");
        folds("— …", "");
    }

    /// The definition: words of each variant's texts, looked through one by one.
    fn slowly(catalogue: &Catalogue, q: &str) -> Vec<BTreeSet<Row>> {
        let words = |text: &str| {
            let mut folded = String::new();
            fold(text, &mut folded);
            folded
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let tokens = words(q);
        let mut classes = vec![BTreeSet::new(); CLASSES];
        let Some((last, firsts)) = tokens.split_last() else {
            return classes;
        };
        for row in catalogue.live().iter() {
            let of = |attr: &str| {
                let facts = catalogue.facts(row);
                facts
                    .get(attr)
                    .flat_map(|value| words(&value.to_string()))
                    .collect::<Vec<_>>()
            };
            let keys = [of("variant_key"), of("product_key")];
            let title = match of("title") {
                title if title.is_empty() => keys[0].clone(),
                title => title,
            };
            let all = [title.clone(), of("brand"), keys.concat()].concat();
            let firsts_in = |words: &[String]| firsts.iter().all(|first| words.contains(first));
            let begins = |words: &[String]| words.iter().any(|word| word.starts_with(last));
            if keys.contains(&tokens) || firsts_in(&title) && title.contains(last) {
                classes[0].insert(row);
            } else if firsts_in(&title) && begins(&title) {
                classes[1].insert(row);
            } else if firsts_in(&all) && begins(&all) {
                classes[2].insert(row);
            }
        }
        classes
    }

    fn goods() -> impl Strategy<Value = ProductRecord> {
        let title = prop_oneof![1 => Just(String::new()), 4 => "[aAá]{1,2}( [abÅ]{1,3}){0,3}"];
        (0..60_u32, title, "[ab]{1,2}", "[ab]{0,2}").prop_map(|(number, title, brand, own)| {
            let mut texts = vec![("brand", brand.as_str())];
            if !title.is_empty() {
                texts.push(("title", title.as_str()));
            }
            let key = format!("{own}-{number}");
            let own = variant(&format!("{key}-x"), &[]);
            product(&key, &texts, vec![own, variant(&format!("{key}-ab"), &[])])
        })
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_a_walk_over_all_words(
            goods in prop::collection::vec(goods(), 1..80),
            later in prop::collection::vec(prop::collection::vec(goods(), 1..4), 0..4),
            queries in prop::collection::vec("[aáb]{1,2}( [ab]{1,2}){0,2}|[ab]-[0-9]-x", 1..8),
        ) {
            let distinct = |goods: Vec<ProductRecord>| {
                let by_key = goods.into_iter().map(|record| (record.key.clone(), record));
                by_key.collect::<std::collections::BTreeMap<_, _>>().into_values()
            };
            let mut shop = catalogue(distinct(goods).collect(), Vec::new());
            for batch in later.into_iter().chain([Vec::new()]) {
                for q in &queries {
                    let fast = match_classes(&shop, q);
                    let fast: Vec<BTreeSet<Row>> = fast.iter().map(|class| class.iter().collect()).collect();
                    prop_assert_eq!(fast, slowly(&shop, q), "{}", q);
                }
                let operations = distinct(batch).map(FeedOperation::ReplaceProduct);
                shop = delta(&shop, operations.collect(), 0).unwrap().next;
            }
        }
    }
}

//! What a feed's texts say about an undeclared attribute, and which texts a declared one refuses.

use crate::catalogue::attribute::{Declaration, Level, TITLE};
use crate::catalogue::cells::TextCells;
use crate::catalogue::column::Column;
use crate::catalogue::column_build::RawCells;
use crate::catalogue::lists::Lists;
use crate::catalogue::row::Row;
use crate::domain::value::{Locale, Value, ValueType};

/// The narrowest of number, flag, time and text that all `texts` fit; text if there is none.
///
/// A text with a leading zero is no number here: of an article number, the zeros would be lost.
/// Titles are always text.
pub(super) fn kind_of<'t>(
    attr: &str,
    texts: &(impl Iterator<Item = &'t str> + Clone),
    locale: &Locale,
) -> ValueType {
    if attr == TITLE || texts.clone().next().is_none() {
        return ValueType::Text;
    }
    let narrow = [ValueType::Number, ValueType::Flag, ValueType::Time];
    let fits = |kind: ValueType, text: &str| {
        let lossy = kind == ValueType::Number && has_leading_zero(text);
        !lossy && Value::parse(kind, text, locale).is_ok()
    };
    let all_fit = |kind: &ValueType| texts.clone().all(|text| fits(*kind, text));
    narrow.into_iter().find(all_fit).unwrap_or(ValueType::Text)
}

/// `007`, but neither `0` nor `0.5`.
fn has_leading_zero(text: &str) -> bool {
    let unsigned = text.trim().trim_start_matches(['-', '+']);
    let mut bytes = unsigned.bytes();
    bytes.next() == Some(b'0') && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
}

/// Variants whose value differs from that of the first variant of their product; one without value
/// differs from one with. The rows of the products ascend.
pub(super) fn dissenters<'p>(
    cells: &TextCells<'_>,
    rows_of_products: impl Iterator<Item = &'p [Row]>,
) -> Vec<Row> {
    let mut dissenters = Vec::new();
    let mut given = cells.of_rows.iter().peekable();
    let mut cell_of = |row: Row| {
        while given.next_if(|(other, _)| *other < row).is_some() {}
        given
            .next_if(|(other, _)| *other == row)
            .map(|(_, cell)| *cell)
    };
    for rows in rows_of_products {
        let mut first = None;
        for &row in rows {
            let cell = cell_of(row);
            if *first.get_or_insert(cell) != cell {
                dissenters.push(row);
            }
        }
    }
    dissenters
}

/// What one attribute turned out to be.
pub(super) struct Found {
    /// As declared, else as inferred.
    pub(super) declaration: Declaration,
    /// Its values; `None` if no text fits.
    pub(super) column: Option<Column>,
    /// Texts that do not fit the type.
    pub(super) misfits: Vec<String>,
    /// Variants that contradict their siblings although the attribute is the product's.
    pub(super) dissenters: Vec<Row>,
}

/// Types the texts of one attribute.
pub(super) fn find(
    attr: &str,
    declared: Option<Declaration>,
    cells: TextCells<'_>,
    dissenters: Vec<Row>,
    (locale, n_rows): (&Locale, u32),
) -> Found {
    let multi = (0..cells.cells.len()).any(|cell| 1 < cells.cells.at(cell).len());
    let mut declaration = declared.unwrap_or_else(|| Declaration {
        level: if dissenters.is_empty() {
            Level::Product
        } else {
            Level::Variant
        },
        kind: kind_of(attr, &cells.cells.items().iter().copied(), locale),
        multi,
        facet: true,
        search: attr == TITLE,
    });
    declaration.multi |= multi;
    let mut misfits = Vec::new();
    let mut typed = Lists::default();
    for cell in 0..cells.cells.len() {
        let mut values = Vec::new();
        for text in cells.cells.at(cell) {
            match Value::parse(declaration.kind, text, locale) {
                Ok(value) => values.push(value),
                Err(_) => misfits.push((*text).to_owned()),
            }
        }
        typed.push(values);
    }
    misfits.sort_unstable();
    misfits.dedup();
    let raw = RawCells {
        cells: typed,
        of_rows: cells.of_rows,
    };
    let column = Column::build(declaration.kind, declaration.multi, n_rows, raw);
    Found {
        declaration,
        column: (!column.values().is_empty()).then_some(column),
        misfits,
        dissenters: match declaration.level {
            Level::Product => dissenters,
            Level::Variant => Vec::new(),
        },
    }
}

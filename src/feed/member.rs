//! Members of a JSON object, each read as what it must be, faults collected.

use std::sync::Arc;

use crate::catalogue::attribute::is_built_in;
use crate::catalogue::product::{AttributeTexts, Change};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::text;
use crate::domain::value::TEXT_CHARS_MAX;
use crate::feed::json::{Json, Object, Place};
use crate::feed::result::Faults;
use crate::predicate::rule::Attr;

/// Most values of an attribute.
pub(super) const VALUES_MAX: usize = 100;

/// Most attributes of a record.
pub(super) const ATTRIBUTES_MAX: usize = 1_000;

/// Most categories that a product is put into directly, and most parents of a category.
pub(super) const CATEGORIES_MAX: usize = 1_000;

/// Names that mean a field in some native line, so that they cannot be an attribute beside one.
const FIELDS: [&str; 16] = [
    "op",
    "product",
    "variant",
    "variants",
    "category",
    "categories",
    "product_group",
    "seller",
    "score",
    "list_price",
    "sale_price",
    "cost",
    "stock",
    "weight_g",
    "attributes",
    "product_attributes",
];

/// The members of one object, and where faults go.
pub(super) struct Members<'r, 'a> {
    pub(super) object: &'r mut Object<'a>,
    pub(super) place: Place<'r>,
    pub(super) faults: &'r mut Faults,
}

impl<'a> Members<'_, 'a> {
    /// Reads a member: `None` if it is absent or wrong, `Some(None)` if it is null.
    pub(super) fn change<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json<'a>) -> Result<T, Fault>,
    ) -> Change<T> {
        let json = self.object.take(name)?;
        if json.is_null() {
            return Some(None);
        }
        match read(json) {
            Ok(value) => Some(Some(value)),
            Err(fault) => {
                self.complain(name, json, fault);
                None
            }
        }
    }

    /// Reads a member that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.object.has(name) {
            self.faults
                .add(self.place.at(name).to_string(), "", Fault::Required);
            return None;
        }
        let change = self.change(name, read);
        if matches!(change, Some(None)) {
            self.faults
                .add(self.place.at(name).to_string(), "null", Fault::Required);
        }
        change.flatten()
    }

    /// Reads a text by the constructor of its type.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Change<T> {
        self.change(name, |json| parse(&json.text()?))
    }

    /// Reads a list of category ids, each once; null is an empty list.
    pub(super) fn categories(&mut self, name: &str) -> Option<Vec<CategoryId>> {
        let json = self.object.take(name)?;
        if json.is_null() {
            return Some(Vec::new());
        }
        let Some(entries) = json.list() else {
            self.complain(name, json, json.wrong("a list of categories"));
            return None;
        };
        if let Err(fault) = within(entries.len(), CATEGORIES_MAX) {
            self.complain(name, json, fault);
            return None;
        }
        let mut ids = Vec::with_capacity(entries.len());
        for (idx, entry) in entries.into_iter().enumerate() {
            match entry.text().and_then(|text| CategoryId::parse(&text)) {
                Ok(id) if ids.contains(&id) => {}
                Ok(id) => ids.push(id),
                Err(fault) => {
                    let list = self.place.at(name);
                    let idx = idx.to_string();
                    self.faults
                        .add(list.at(&idx).to_string(), &entry.shown(), fault);
                }
            }
        }
        Some(ids)
    }

    /// Reads the attributes of the object `name`; those without a value have no texts.
    pub(super) fn attributes(&mut self, name: &str) -> Vec<AttributeTexts> {
        let mut found = Vec::new();
        if let Some(Some((json, object))) = self.change(name, |json| Ok((json, json.object()?))) {
            let place = self.place.at(name);
            if let Err(fault) = within(object.rest().count(), ATTRIBUTES_MAX) {
                self.complain(name, json, fault);
                return found;
            }
            for (attr, json) in object.rest() {
                attribute(attr, json, place, self.faults, &mut found);
            }
        }
        found.sort_by(|left, right| left.attr.cmp(&right.attr));
        found
    }

    /// Reads the object `attributes` and the members that are left, all together ascending.
    pub(super) fn all_attributes(&mut self) -> Vec<AttributeTexts> {
        let mut found = self.attributes("attributes");
        for (name, json) in self.object.rest() {
            if FIELDS.contains(&name) {
                let why = format!("\"{name}\" does not go with this record");
                let column = self.place.at(name).to_string();
                self.faults
                    .add(column, &json.shown(), Fault::Contradiction { why });
            } else {
                attribute(name, json, self.place, self.faults, &mut found);
            }
        }
        found.sort_by(|left, right| left.attr.cmp(&right.attr));
        if let Some(pair) = found.windows(2).find(|pair| pair[0].attr == pair[1].attr) {
            let value = pair[0].attr.to_string();
            let column = self.place.at(&value).to_string();
            self.faults.add(
                column,
                "",
                Fault::Duplicate {
                    value: value.clone(),
                },
            );
        }
        found
    }

    /// Refuses the members that are left.
    pub(super) fn nothing_else(&mut self, known: &[&str]) {
        for (name, json) in self.object.rest() {
            let fault = Fault::UnknownField {
                found: name.chars().take(80).collect(),
                did_you_mean: text::nearest(name, known.iter().copied()),
            };
            let column = self.place.at(name).to_string();
            self.faults.add(column, &json.shown(), fault);
        }
    }

    /// Complains about a member.
    pub(super) fn complain(&mut self, name: &str, json: Json<'_>, fault: Fault) {
        let column = self.place.at(name).to_string();
        self.faults.add(column, &json.shown(), fault);
    }
}

fn attribute(
    name: &str,
    json: Json<'_>,
    place: Place<'_>,
    faults: &mut Faults,
    found: &mut Vec<AttributeTexts>,
) {
    match attr_of(name).and_then(|attr| Ok((attr, texts(json)?))) {
        Ok((attr, texts)) => found.push(AttributeTexts { attr, texts }),
        Err(fault) => faults.add(place.at(name).to_string(), &json.shown(), fault),
    }
}

/// The attribute of a member or column.
///
/// # Errors
/// `contradiction` if it is built in, and those of [`Attr::parse`].
pub(super) fn attr_of(name: &str) -> Result<Attr, Fault> {
    let attr = Attr::parse(name)?;
    if is_built_in(attr.as_str()) {
        let fed_as = match attr.as_str() {
            "price" | "on_sale" => "; feed list_price and sale_price",
            "in_stock" => "; feed stock",
            _ => "",
        };
        let why = format!("\"{attr}\" is built in and cannot be fed as an attribute{fed_as}");
        return Err(Fault::Contradiction { why });
    }
    Ok(attr)
}

/// Texts of an attribute: a single value or a list; blanks and nulls are absent.
fn texts(json: Json<'_>) -> Result<Vec<Arc<str>>, Fault> {
    if json.is_null() {
        return Ok(Vec::new());
    }
    let Some(entries) = json.list() else {
        let text = json.scalar()?;
        return Ok(attribute_text(&text)?.into_iter().collect());
    };
    within(entries.len(), VALUES_MAX)?;
    let mut texts = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().filter(|entry| !entry.is_null()) {
        texts.extend(attribute_text(&entry.scalar()?)?);
    }
    Ok(texts)
}

/// One text of an attribute; `None` if it is blank.
///
/// # Errors
/// `too-long` or `bad-format`.
pub(super) fn attribute_text(text: &str) -> Result<Option<Arc<str>>, Fault> {
    match text::bounded(text, TEXT_CHARS_MAX) {
        Ok(text) => Ok(Some(Arc::from(text))),
        Err(Fault::TooShort { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// # Errors
/// `too-many`.
pub(super) fn within(have: usize, max: usize) -> Result<(), Fault> {
    if max < have {
        return Err(Fault::TooMany { have, max });
    }
    Ok(())
}

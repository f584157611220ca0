//! Reads what an event was about: one item or several, by the names a shop has for them.

use serde_json::Value;

use crate::api::wire::fields::Fields;
use crate::api::wire::scalar;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{ProductKey, VariantKey};
use crate::domain::text::bounded;
use crate::engine::events::draft::{Named, WhatDraft};

/// Most items of one display.
pub(crate) const ITEMS_MAX: usize = 200;

/// Most pieces of one item.
pub(crate) const QUANTITY_MAX: i64 = 1_000_000;

/// The ways to name an item.
pub(crate) const NAMES: [&str; 3] = ["ticket", "variant", "product"];

/// An item by the one name it has.
pub(crate) fn read_item(fields: &mut Fields<'_>) -> Option<Named> {
    let ticket = fields.scalar("ticket", scalar::owned).map(Named::Ticket);
    let variant = fields.scalar("variant", scalar::parsed(VariantKey::parse));
    let product = fields.scalar("product", scalar::parsed(ProductKey::parse));
    let named = NAMES.map(|name| fields.says(name));
    let have = named.into_iter().filter(|said| *said).count();
    if have != 1 {
        let why = format!("exactly one of ticket, variant and product is needed, found {have}");
        fields.complain("ticket", Fault::Contradiction { why });
        return None;
    }
    let key = variant.map(Named::Variant);
    ticket.or(key).or(product.map(Named::Product))
}

/// An item and how many of it; a tag may send the number with every event of an item.
pub(crate) fn read_counted(fields: &mut Fields<'_>) -> Option<(Named, u32)> {
    let item = read_item(fields);
    let is_said = fields.says("quantity");
    let quantity = fields.scalar("quantity", quantity);
    item.zip(if is_said { quantity } else { Some(1) })
}

/// The fields of a display: one item or a list.
pub(crate) fn read_display(fields: &mut Fields<'_>) -> Option<WhatDraft> {
    let category = fields.scalar("selected_category", scalar::parsed(CategoryId::parse));
    let is_list = fields.says("items");
    let has_own = NAMES.map(|name| fields.says(name)).contains(&true);
    let items = match (is_list, has_own) {
        (true, true) => {
            let why = "a display names one item or a list, not both".to_owned();
            fields.complain("items", Fault::Contradiction { why });
            None
        }
        (true, false) => fields.list("items", ITEMS_MAX, |value| {
            let mut fields = Fields::of(value)?;
            let item = read_item(&mut fields);
            fields.finish(item)
        }),
        (false, _) => read_item(fields).map(|item| vec![item]),
    };
    let items = items?;
    if items.is_empty() {
        fields.complain("items", Fault::TooFew { have: 0, min: 1 });
    }
    Some(WhatDraft::Display { category, items })
}

/// From 1 to a million.
pub(crate) fn quantity(value: &Value) -> Result<u32, Fault> {
    let number = scalar::integer(value)?;
    let fits = (1..=QUANTITY_MAX).contains(&number);
    let small = u32::try_from(number).ok().filter(|_| fits);
    small.ok_or_else(|| Fault::OutOfRange {
        found: number.to_string(),
        allowed: format!("1 to {QUANTITY_MAX}"),
    })
}

/// A text of 1 to `max` characters.
pub(crate) fn up_to(max: usize) -> impl Fn(&Value) -> Result<String, Fault> {
    move |value| bounded(scalar::text(value)?, max).map(Into::into)
}

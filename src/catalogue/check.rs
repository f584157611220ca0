//! What an operation may carry: shapes, types and bounds.

use crate::catalogue::attribute::{ATTRIBUTES_MAX, Schema, VALUES_PER_ATTRIBUTE_MAX, is_built_in};
use crate::catalogue::change::Refusal;
use crate::catalogue::product::AttributeTexts;
use crate::catalogue::stage::Target;
use crate::domain::complaint::Fault;
use crate::domain::id::VariantKey;
use crate::domain::text;
use crate::domain::value::{Locale, TEXT_CHARS_MAX, Value, ValueType};
use crate::predicate::rule::Attr;

/// What is wrong with an operation, and where inside it.
#[derive(Debug)]
pub(super) struct Wrong {
    fault: Fault,
    variant: Option<VariantKey>,
    at: Option<(Attr, Option<String>)>,
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            variant: None,
            at: None,
        }
    }
}

impl Wrong {
    /// A fault of one attribute, or of one of its values.
    pub(super) fn at(attr: &Attr, value: Option<&str>, fault: Fault) -> Self {
        Self {
            fault,
            variant: None,
            at: Some((attr.clone(), value.map(str::to_owned))),
        }
    }

    /// The same, inside the variant of a nested product.
    pub(super) fn of_variant(self, key: &VariantKey) -> Self {
        Self {
            variant: Some(key.clone()),
            ..self
        }
    }

    /// The refusal of an operation about `target`.
    pub(super) fn refusal(self, operation: usize, target: &Target) -> Refusal {
        let mut refusal = Refusal::of(operation, self.fault);
        refusal.name(target);
        refusal.variant = self.variant.or(refusal.variant);
        if let Some((attr, value)) = self.at {
            refusal.attr = Some(attr);
            refusal.value = value;
        }
        refusal
    }
}

impl Refusal {
    /// Says which record the operation is about.
    pub(super) fn name(&mut self, target: &Target) {
        match target {
            Target::Product(key) => self.product = Some(key.clone()),
            Target::Variant(key) => self.variant = Some(key.clone()),
            Target::Category(id) => self.category = Some(id.clone()),
        }
    }
}

/// # Errors
/// `too-many`.
pub(super) fn length(have: usize, max: usize) -> Result<(), Fault> {
    if have <= max {
        Ok(())
    } else {
        Err(Fault::TooMany { have, max })
    }
}

/// Whether a market that has some attributes may get `n_new` more.
///
/// # Errors
/// `too-many`; never if there is none new.
pub(super) fn attribute_room(n_known: usize, n_new: usize) -> Result<(), Fault> {
    match n_new {
        0 => Ok(()),
        _ => length(n_known + n_new, ATTRIBUTES_MAX),
    }
}

/// Whether each attribute is named once, is not built in, and has values of its type.
///
/// # Errors
/// The first fault: `contradiction`, `duplicate`, `too-many`, `wrong-type`, or that of a value.
pub(super) fn attributes(
    attributes: &[AttributeTexts],
    schema: &Schema,
    locale: &Locale,
) -> Result<(), Wrong> {
    for (place, own) in attributes.iter().enumerate() {
        let of_attr = |fault| Wrong::at(&own.attr, None, fault);
        if is_built_in(own.attr.as_str()) {
            let why = format!("\"{}\" is built in and cannot be an attribute", own.attr);
            return Err(of_attr(Fault::Contradiction { why }));
        }
        let earlier = place.checked_sub(1).map(|before| &attributes[before].attr);
        if earlier == Some(&own.attr) {
            let value = own.attr.to_string();
            return Err(of_attr(Fault::Duplicate { value }));
        }
        length(own.texts.len(), VALUES_PER_ATTRIBUTE_MAX).map_err(of_attr)?;
        let kind = schema.kind(own.attr.as_str()).unwrap_or(ValueType::Text);
        for text in &own.texts {
            value(kind, text, locale).map_err(|fault| Wrong::at(&own.attr, Some(text), fault))?;
        }
    }
    Ok(())
}

/// Whether a text is a value of a type.
fn value(kind: ValueType, text: &str, locale: &Locale) -> Result<(), Fault> {
    text::bounded(text, TEXT_CHARS_MAX)?;
    if kind == ValueType::Text {
        return Ok(());
    }
    match Value::parse(kind, text, locale) {
        Ok(_) => Ok(()),
        Err(Fault::BadFormat { .. }) => Err(Fault::WrongType {
            expected: kind.as_str(),
            found: format!("\"{text}\""),
        }),
        Err(fault) => Err(fault),
    }
}

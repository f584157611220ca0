//! What is known about each attribute: built in, declared by a person, or inferred from a feed.

use std::collections::BTreeMap;

use crate::domain::complaint::Fault;
use crate::domain::value::ValueType;
use crate::predicate::rule::Attr;

/// Most attributes of a market, beside the built-in ones.
pub const ATTRIBUTES_MAX: usize = 1_000;

/// Most values of one attribute at one variant or product.
pub const VALUES_PER_ATTRIBUTE_MAX: usize = 100;

/// The attribute shown to shoppers and searched first.
pub const TITLE: &str = "title";

/// Whose fact an attribute is.
///
/// A variant sees its own value, else its product's, at either level; so the level never changes
/// which variants match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All variants of a product agree.
    Product,
    /// Variants of a product may differ.
    Variant,
}

impl Level {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Variant => "variant",
        }
    }

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "product" => Ok(Self::Product),
            "variant" => Ok(Self::Variant),
            _ => Err(Fault::unknown_value(text, &["product", "variant"])),
        }
    }
}

/// What is known about one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Whose fact it is.
    pub level: Level,
    /// Type of its values.
    pub kind: ValueType,
    /// Whether a variant may have several values; becomes true as soon as one has.
    pub multi: bool,
    /// Whether it is offered as a facet.
    pub facet: bool,
    /// Whether a text query looks into it.
    pub search: bool,
}

/// Declarations of attributes that are not built in, as they are stored beside the market.
pub type Declared = BTreeMap<Attr, Declaration>;

/// Declarations of all attributes of one market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    declared: Declared,
}

impl Schema {
    /// Built-in attributes and the declared ones; a declaration of a built-in one is ignored.
    pub fn new(mut declared: Declared) -> Self {
        declared.retain(|attr, _| !is_built_in(attr.as_str()));
        Self { declared }
    }

    /// What is known about `attr`; `None` if the market has no such attribute.
    pub fn get(&self, attr: &str) -> Option<Declaration> {
        let declared = self.declared.get(attr).copied();
        declared.or_else(|| built_in(attr))
    }

    /// Type of an attribute's values.
    pub fn kind(&self, attr: &str) -> Option<ValueType> {
        self.get(attr).map(|declaration| declaration.kind)
    }

    /// All attributes, the built-in ones first, each part ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Declaration)> {
        let built_in = BUILT_INS.iter().map(|&(name, level, kind, multi)| {
            let declaration = built_in_declaration(level, kind, multi);
            (name, declaration)
        });
        let own = self.declared.iter();
        built_in.chain(own.map(|(attr, declaration)| (attr.as_str(), *declaration)))
    }

    /// The attributes that are not built in, for storing.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The name nearest to `attr`, if one is near enough to be meant.
    pub fn nearest(&self, attr: &str) -> Option<String> {
        let names = self.iter().map(|(name, _)| name);
        crate::domain::text::nearest(attr, names)
    }
}

/// Names, levels and types of what every unit has without a declaration, ascending by name.
const BUILT_INS: [(&str, Level, ValueType, bool); 11] = [
    (Attr::CATEGORY, Level::Product, ValueType::Text, true),
    (COST, Level::Variant, ValueType::Money, false),
    (IN_STOCK, Level::Variant, ValueType::Flag, false),
    (LIST_PRICE, Level::Variant, ValueType::Money, false),
    (ON_SALE, Level::Variant, ValueType::Flag, false),
    (PRICE, Level::Variant, ValueType::Money, false),
    (PRODUCT_GROUP, Level::Product, ValueType::Text, false),
    (PRODUCT_KEY, Level::Product, ValueType::Text, false),
    (SALE_PRICE, Level::Variant, ValueType::Money, false),
    (STOCK, Level::Variant, ValueType::Number, false),
    (VARIANT_KEY, Level::Variant, ValueType::Text, false),
];

/// What the shop paid.
pub const COST: &str = "cost";
/// Whether stock is above zero or unknown.
pub const IN_STOCK: &str = "in_stock";
/// Regular price.
pub const LIST_PRICE: &str = "list_price";
/// Whether a sale price exists.
pub const ON_SALE: &str = "on_sale";
/// Sale price, else list price.
pub const PRICE: &str = "price";
/// The group that the shop gave; a product that is its own group has no value.
pub const PRODUCT_GROUP: &str = "product_group";
/// Key of the product.
pub const PRODUCT_KEY: &str = "product_key";
/// Charged instead of the list price.
pub const SALE_PRICE: &str = "sale_price";
/// Pieces at hand.
pub const STOCK: &str = "stock";
/// Key of the variant.
pub const VARIANT_KEY: &str = "variant_key";

/// Whether the name belongs to a built-in attribute, so that a feed column cannot bear it.
pub fn is_built_in(attr: &str) -> bool {
    built_in(attr).is_some()
}

fn built_in(attr: &str) -> Option<Declaration> {
    let place = BUILT_INS.binary_search_by(|(name, ..)| (*name).cmp(attr));
    place.ok().map(|idx| {
        let (_, level, kind, multi) = BUILT_INS[idx];
        built_in_declaration(level, kind, multi)
    })
}

fn built_in_declaration(level: Level, kind: ValueType, multi: bool) -> Declaration {
    Declaration {
        level,
        kind,
        multi,
        facet: true,
        search: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_ins_are_found_by_name() {
        for (name, _, kind, _) in BUILT_INS {
            assert_eq!(Schema::default().kind(name), Some(kind), "{name}");
        }
        assert!(BUILT_INS.is_sorted_by_key(|(name, ..)| *name));
        assert!(!is_built_in("brand") && is_built_in("category"));
    }

    #[test]
    fn a_built_in_attribute_cannot_be_redeclared() {
        let stock = Attr::parse(STOCK).unwrap();
        let text = built_in_declaration(Level::Product, ValueType::Text, false);
        let schema = Schema::new(Declared::from([(stock, text)]));
        assert_eq!(schema.kind(STOCK), Some(ValueType::Number));
        assert_eq!(schema.iter().count(), 11);
    }
}

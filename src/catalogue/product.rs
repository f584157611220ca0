//! Records of products and variants, as feeds bring them and as they are stored.
//!
//! Attribute values stay texts here; a `Catalogue` types them by its schema,
//! so that redeclaring an attribute needs no second feed.

use std::sync::Arc;

use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::Minor;
use crate::domain::number::Score;
use crate::predicate::rule::Attr;

/// Values of one attribute, at least one, in normal form and in the order of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeTexts {
    /// Which attribute.
    pub attr: Attr,
    /// Its values as texts.
    pub texts: Vec<Arc<str>>,
}

/// What is sold, with the variants that are ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductRecord {
    /// Unique in its market.
    pub key: ProductKey,
    /// The group it belongs to; without one it is its own group.
    pub group: Option<GroupKey>,
    /// Who sells it.
    pub seller: Option<SellerKey>,
    /// Categories it is put into directly; ancestors follow from the graph.
    pub categories: Vec<CategoryId>,
    /// Score of variants that have none of their own.
    pub score: Option<Score>,
    /// Values of variants that have none of their own, ascending by attribute.
    pub attributes: Vec<AttributeTexts>,
    /// At least one: a product fed without variants is its own variant, under its own key.
    pub variants: Vec<VariantRecord>,
}

/// The unit of ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantRecord {
    /// Unique in its market.
    pub key: VariantKey,
    /// Regular price.
    pub list_price: Option<Minor>,
    /// Charged instead of the list price.
    pub sale_price: Option<Minor>,
    /// What the shop paid for it.
    pub cost: Option<Minor>,
    /// Pieces at hand; unknown counts as in stock.
    pub stock: Option<i64>,
    /// Own score, if any.
    pub score: Option<Score>,
    /// Weight in grams.
    pub weight_g: Option<u32>,
    /// Own values, ascending by attribute; they replace the product's, never merge with them.
    pub attributes: Vec<AttributeTexts>,
}

impl VariantRecord {
    /// What is charged: the sale price, else the list price.
    pub fn price(&self) -> Option<Minor> {
        self.sale_price.or(self.list_price)
    }

    /// Whether it can be sold: stock above zero, or unknown.
    pub fn in_stock(&self) -> bool {
        self.stock.is_none_or(|stock| 0 < stock)
    }
}

/// A node of the category graph, as a feed defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryRecord {
    /// Its name in rules and requests.
    pub id: CategoryId,
    /// Its name for people; `None` is a placeholder, known only by its edges.
    pub name: Option<String>,
    /// Nodes directly above it; they need not be defined.
    pub parents: Vec<CategoryId>,
}

/// One line of a feed: what shall change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedOperation {
    /// The product stands as given, its former variants gone.
    ReplaceProduct(ProductRecord),
    /// One variant stands as given, the others of its product stay.
    ReplaceVariant {
        /// Its product; absent: a product of its own under the variant's key.
        product: Option<ProductKey>,
        /// Fields of the product that came along in the row (flat feeds repeat them).
        product_fields: Option<ProductFields>,
        /// The variant.
        variant: VariantRecord,
    },
    /// Named fields of a product change.
    EditProduct {
        /// Which product.
        product: ProductKey,
        /// The fields named.
        edit: ProductEdit,
    },
    /// Named fields of a variant change.
    EditVariant {
        /// Which variant.
        variant: VariantKey,
        /// The fields named.
        edit: VariantEdit,
    },
    /// The product and its variants go.
    DeleteProduct(ProductKey),
    /// The variant goes; the last one takes its product along.
    DeleteVariant(VariantKey),
    /// The category stands as given.
    ReplaceCategory(CategoryRecord),
    /// Named fields of a category change.
    EditCategory {
        /// Which category.
        category: CategoryId,
        /// The fields named.
        edit: CategoryEdit,
    },
    /// The category exists at least so: it gains these parents, and the name if it has none.
    ///
    /// Taken after all other operations of its feed, so that the order of lines is irrelevant. A
    /// full feed that only mentions categories does not contain that kind of record.
    MentionCategory(CategoryRecord),
    /// The category goes; what is named elsewhere stays as a nameless placeholder.
    DeleteCategory(CategoryId),
    /// A variant's own score; `None` takes it away.
    SetScore {
        /// Which variant.
        variant: VariantKey,
        /// The new score.
        score: Option<Score>,
    },
}

/// The product's part of a flat row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductFields {
    /// Its group.
    pub group: Option<GroupKey>,
    /// Its seller.
    pub seller: Option<SellerKey>,
    /// Its categories.
    pub categories: Vec<CategoryId>,
    /// Its attributes, ascending by attribute.
    pub attributes: Vec<AttributeTexts>,
}

/// A field that an edit may leave alone (`None`), clear (`Some(None)`) or set.
pub type Change<T> = Option<Option<T>>;

/// Named fields of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductEdit {
    /// Its group.
    pub group: Change<GroupKey>,
    /// Its seller.
    pub seller: Change<SellerKey>,
    /// Its categories, replaced whole.
    pub categories: Option<Vec<CategoryId>>,
    /// Score of variants without their own.
    pub score: Change<Score>,
    /// Attributes to set; an empty list of texts takes the attribute away.
    pub attributes: Vec<AttributeTexts>,
}

/// Named fields of a variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariantEdit {
    /// Regular price.
    pub list_price: Change<Minor>,
    /// Charged instead.
    pub sale_price: Change<Minor>,
    /// What the shop paid.
    pub cost: Change<Minor>,
    /// Pieces at hand.
    pub stock: Change<i64>,
    /// Own score.
    pub score: Change<Score>,
    /// Weight in grams.
    pub weight_g: Change<u32>,
    /// Attributes to set; an empty list of texts takes the attribute away.
    pub attributes: Vec<AttributeTexts>,
}

/// Named fields of a category.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CategoryEdit {
    /// Its name; without one it is a placeholder again.
    pub name: Change<String>,
    /// Its parents, replaced whole.
    pub parents: Option<Vec<CategoryId>>,
}

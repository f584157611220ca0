//! Catalogue chunks: products, categories, deltas and the manifest that names them.
//!
//! A generation is a [`ManifestV1`] and the chunks it lists. Chunks are named by their content, so
//! a generation that differs in one product shares all other chunks with its predecessor.
#![expect(
    clippy::option_option,
    reason = "an edit leaves a field alone, clears it or sets it"
)]

use serde::{Deserialize, Serialize};

use crate::catalogue::product::{
    AttributeTexts, CategoryEdit, CategoryRecord, Change, FeedOperation, ProductEdit,
    ProductFields, ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::Minor;
use crate::domain::number::{Number, Score};
use crate::predicate::rule::Attr;
use crate::record::RecordError;

/// An exact decimal: `mantissa` × 10^−`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecimalV1 {
    mantissa: i64,
    scale: u8,
}

/// Values of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeV1 {
    attr: String,
    texts: Vec<String>,
}

/// A product with its variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductV1 {
    key: String,
    group: Option<String>,
    seller: Option<String>,
    categories: Vec<String>,
    score: Option<DecimalV1>,
    attributes: Vec<AttributeV1>,
    variants: Vec<VariantV1>,
}

/// A variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantV1 {
    key: String,
    list_price: Option<i64>,
    sale_price: Option<i64>,
    cost: Option<i64>,
    stock: Option<i64>,
    score: Option<DecimalV1>,
    weight_g: Option<u32>,
    attributes: Vec<AttributeV1>,
}

/// A category node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryV1 {
    id: String,
    name: Option<String>,
    parents: Vec<String>,
}

/// One change of a delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationV1 {
    /// The product stands as given.
    ReplaceProduct(ProductV1),
    /// One variant stands as given.
    ReplaceVariant(Option<String>, Option<ProductFieldsV1>, VariantV1),
    /// Named fields of a product change.
    EditProduct(String, ProductEditV1),
    /// Named fields of a variant change.
    EditVariant(String, VariantEditV1),
    /// The product goes.
    DeleteProduct(String),
    /// The variant goes.
    DeleteVariant(String),
    /// The category stands as given.
    ReplaceCategory(CategoryV1),
    /// The category goes.
    DeleteCategory(String),
    /// A variant's own score.
    SetScore(String, Option<DecimalV1>),
    /// Named fields of a category: its name, its parents.
    EditCategory(String, Option<Option<String>>, Option<Vec<String>>),
    /// The category exists at least so.
    MentionCategory(CategoryV1),
}

/// The product's part of a flat row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFieldsV1 {
    group: Option<String>,
    seller: Option<String>,
    categories: Vec<String>,
    attributes: Vec<AttributeV1>,
}

/// Named fields of a product: outer `None` leaves alone, inner `None` clears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductEditV1 {
    group: Option<Option<String>>,
    seller: Option<Option<String>>,
    categories: Option<Vec<String>>,
    score: Option<Option<DecimalV1>>,
    attributes: Vec<AttributeV1>,
}

/// Named fields of a variant: outer `None` leaves alone, inner `None` clears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantEditV1 {
    list_price: Option<Option<i64>>,
    sale_price: Option<Option<i64>>,
    cost: Option<Option<i64>>,
    stock: Option<Option<i64>>,
    score: Option<Option<DecimalV1>>,
    weight_g: Option<Option<u32>>,
    attributes: Vec<AttributeV1>,
}

/// The chunks of a generation, in order of product key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestV1 {
    /// SHA-256 and number of products of each product chunk.
    pub products: Vec<([u8; 32], u32)>,
    /// SHA-256 and number of nodes of each category chunk.
    pub categories: Vec<([u8; 32], u32)>,
}

impl From<Score> for DecimalV1 {
    fn from(score: Score) -> Self {
        let (mantissa, scale) = score.number().to_parts();
        Self {
            mantissa: i64::try_from(mantissa).expect("a score has at most 18 digits"),
            scale: u8::try_from(scale).expect("a score has at most 18 decimals"),
        }
    }
}

impl TryFrom<DecimalV1> for Score {
    type Error = RecordError;

    fn try_from(stored: DecimalV1) -> Result<Self, RecordError> {
        let number = Number::from_parts(stored.mantissa.into(), stored.scale.into())
            .ok_or_else(|| RecordError::field("score", "scale"))?;
        Score::parse(&number.to_string()).map_err(|fault| RecordError::field("score", fault))
    }
}

impl From<&AttributeTexts> for AttributeV1 {
    fn from(own: &AttributeTexts) -> Self {
        let texts = own.texts.iter().map(ToString::to_string).collect();
        Self {
            attr: own.attr.to_string(),
            texts,
        }
    }
}

impl TryFrom<AttributeV1> for AttributeTexts {
    type Error = RecordError;

    fn try_from(stored: AttributeV1) -> Result<Self, RecordError> {
        let attr = read("attr", Attr::parse(&stored.attr))?;
        Ok(Self {
            attr,
            texts: stored.texts.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<&ProductRecord> for ProductV1 {
    fn from(product: &ProductRecord) -> Self {
        Self {
            key: product.key.to_string(),
            group: text(product.group.as_ref()),
            seller: text(product.seller.as_ref()),
            categories: product.categories.iter().map(ToString::to_string).collect(),
            score: product.score.map(Into::into),
            attributes: product.attributes.iter().map(Into::into).collect(),
            variants: product.variants.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<ProductV1> for ProductRecord {
    type Error = RecordError;

    fn try_from(stored: ProductV1) -> Result<Self, RecordError> {
        if stored.variants.is_empty() {
            return Err(RecordError::field("variants", "none"));
        }
        Ok(Self {
            key: read("product", ProductKey::parse(&stored.key))?,
            group: read_some("group", stored.group, GroupKey::parse)?,
            seller: read_some("seller", stored.seller, SellerKey::parse)?,
            categories: categories(&stored.categories)?,
            score: stored.score.map(TryInto::try_into).transpose()?,
            attributes: all(stored.attributes)?,
            variants: all(stored.variants)?,
        })
    }
}

impl From<&VariantRecord> for VariantV1 {
    fn from(variant: &VariantRecord) -> Self {
        Self {
            key: variant.key.to_string(),
            list_price: variant.list_price.map(minor),
            sale_price: variant.sale_price.map(minor),
            cost: variant.cost.map(minor),
            stock: variant.stock,
            score: variant.score.map(Into::into),
            weight_g: variant.weight_g,
            attributes: variant.attributes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<VariantV1> for VariantRecord {
    type Error = RecordError;

    fn try_from(stored: VariantV1) -> Result<Self, RecordError> {
        Ok(Self {
            key: read("variant", VariantKey::parse(&stored.key))?,
            list_price: stored.list_price.map(Minor),
            sale_price: stored.sale_price.map(Minor),
            cost: stored.cost.map(Minor),
            stock: stored.stock,
            score: stored.score.map(TryInto::try_into).transpose()?,
            weight_g: stored.weight_g,
            attributes: all(stored.attributes)?,
        })
    }
}

impl From<&CategoryRecord> for CategoryV1 {
    fn from(category: &CategoryRecord) -> Self {
        Self {
            id: category.id.to_string(),
            name: category.name.clone(),
            parents: category.parents.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<CategoryV1> for CategoryRecord {
    type Error = RecordError;

    fn try_from(stored: CategoryV1) -> Result<Self, RecordError> {
        Ok(Self {
            id: read("category", CategoryId::parse(&stored.id))?,
            name: stored.name,
            parents: categories(&stored.parents)?,
        })
    }
}

impl From<&FeedOperation> for OperationV1 {
    fn from(operation: &FeedOperation) -> Self {
        match operation {
            FeedOperation::ReplaceProduct(product) => Self::ReplaceProduct(product.into()),
            FeedOperation::ReplaceVariant {
                product,
                product_fields,
                variant,
            } => {
                let fields = product_fields.as_ref().map(Into::into);
                Self::ReplaceVariant(text(product.as_ref()), fields, variant.into())
            }
            FeedOperation::EditProduct { product, edit } => {
                Self::EditProduct(product.to_string(), edit.into())
            }
            FeedOperation::EditVariant { variant, edit } => {
                Self::EditVariant(variant.to_string(), edit.into())
            }
            FeedOperation::DeleteProduct(product) => Self::DeleteProduct(product.to_string()),
            FeedOperation::DeleteVariant(variant) => Self::DeleteVariant(variant.to_string()),
            FeedOperation::ReplaceCategory(category) => Self::ReplaceCategory(category.into()),
            FeedOperation::DeleteCategory(category) => Self::DeleteCategory(category.to_string()),
            FeedOperation::SetScore { variant, score } => {
                Self::SetScore(variant.to_string(), score.map(Into::into))
            }
            FeedOperation::EditCategory { category, edit } => {
                let parents = edit.parents.as_ref();
                let parents = parents.map(|ids| ids.iter().map(ToString::to_string).collect());
                Self::EditCategory(category.to_string(), edit.name.clone(), parents)
            }
            FeedOperation::MentionCategory(category) => Self::MentionCategory(category.into()),
        }
    }
}

impl TryFrom<OperationV1> for FeedOperation {
    type Error = RecordError;

    fn try_from(stored: OperationV1) -> Result<Self, RecordError> {
        let product = |key: &str| read("product", ProductKey::parse(key));
        let variant = |key: &str| read("variant", VariantKey::parse(key));
        Ok(match stored {
            OperationV1::ReplaceProduct(stored) => Self::ReplaceProduct(stored.try_into()?),
            OperationV1::ReplaceVariant(key, fields, stored) => Self::ReplaceVariant {
                product: read_some("product", key, ProductKey::parse)?,
                product_fields: fields.map(TryInto::try_into).transpose()?,
                variant: stored.try_into()?,
            },
            OperationV1::EditProduct(key, edit) => Self::EditProduct {
                product: product(&key)?,
                edit: edit.try_into()?,
            },
            OperationV1::EditVariant(key, edit) => Self::EditVariant {
                variant: variant(&key)?,
                edit: edit.try_into()?,
            },
            OperationV1::DeleteProduct(key) => Self::DeleteProduct(product(&key)?),
            OperationV1::DeleteVariant(key) => Self::DeleteVariant(variant(&key)?),
            OperationV1::ReplaceCategory(stored) => Self::ReplaceCategory(stored.try_into()?),
            OperationV1::DeleteCategory(id) => {
                Self::DeleteCategory(read("category", CategoryId::parse(&id))?)
            }
            OperationV1::SetScore(key, score) => Self::SetScore {
                variant: variant(&key)?,
                score: score.map(TryInto::try_into).transpose()?,
            },
            OperationV1::EditCategory(id, name, parents) => Self::EditCategory {
                category: read("category", CategoryId::parse(&id))?,
                edit: CategoryEdit {
                    name,
                    parents: parents.map(|ids| categories(&ids)).transpose()?,
                },
            },
            OperationV1::MentionCategory(stored) => Self::MentionCategory(stored.try_into()?),
        })
    }
}

impl From<&ProductFields> for ProductFieldsV1 {
    fn from(fields: &ProductFields) -> Self {
        Self {
            group: text(fields.group.as_ref()),
            seller: text(fields.seller.as_ref()),
            categories: fields.categories.iter().map(ToString::to_string).collect(),
            attributes: fields.attributes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<ProductFieldsV1> for ProductFields {
    type Error = RecordError;

    fn try_from(stored: ProductFieldsV1) -> Result<Self, RecordError> {
        Ok(Self {
            group: read_some("group", stored.group, GroupKey::parse)?,
            seller: read_some("seller", stored.seller, SellerKey::parse)?,
            categories: categories(&stored.categories)?,
            attributes: all(stored.attributes)?,
        })
    }
}

impl From<&ProductEdit> for ProductEditV1 {
    fn from(edit: &ProductEdit) -> Self {
        Self {
            group: edit.group.as_ref().map(|group| text(group.as_ref())),
            seller: edit.seller.as_ref().map(|seller| text(seller.as_ref())),
            categories: edit
                .categories
                .as_ref()
                .map(|ids| ids.iter().map(ToString::to_string).collect()),
            score: edit.score.map(|score| score.map(Into::into)),
            attributes: edit.attributes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<ProductEditV1> for ProductEdit {
    type Error = RecordError;

    fn try_from(stored: ProductEditV1) -> Result<Self, RecordError> {
        Ok(Self {
            group: change("group", stored.group, GroupKey::parse)?,
            seller: change("seller", stored.seller, SellerKey::parse)?,
            categories: stored.categories.map(|ids| categories(&ids)).transpose()?,
            score: scores(stored.score)?,
            attributes: all(stored.attributes)?,
        })
    }
}

impl From<&VariantEdit> for VariantEditV1 {
    fn from(edit: &VariantEdit) -> Self {
        Self {
            list_price: edit.list_price.map(|price| price.map(minor)),
            sale_price: edit.sale_price.map(|price| price.map(minor)),
            cost: edit.cost.map(|cost| cost.map(minor)),
            stock: edit.stock,
            score: edit.score.map(|score| score.map(Into::into)),
            weight_g: edit.weight_g,
            attributes: edit.attributes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<VariantEditV1> for VariantEdit {
    type Error = RecordError;

    fn try_from(stored: VariantEditV1) -> Result<Self, RecordError> {
        Ok(Self {
            list_price: stored.list_price.map(|price| price.map(Minor)),
            sale_price: stored.sale_price.map(|price| price.map(Minor)),
            cost: stored.cost.map(|cost| cost.map(Minor)),
            stock: stored.stock,
            score: scores(stored.score)?,
            weight_g: stored.weight_g,
            attributes: all(stored.attributes)?,
        })
    }
}

fn minor(amount: Minor) -> i64 {
    amount.0
}

fn text(key: Option<&impl ToString>) -> Option<String> {
    key.map(ToString::to_string)
}

fn read<T>(name: &str, result: Result<T, Fault>) -> Result<T, RecordError> {
    result.map_err(|fault| RecordError::field(name, fault))
}

fn read_some<T>(
    name: &str,
    stored: Option<String>,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Option<T>, RecordError> {
    stored.map(|text| read(name, parse(&text))).transpose()
}

fn change<T>(
    name: &str,
    stored: Option<Option<String>>,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Change<T>, RecordError> {
    stored
        .map(|inner| read_some(name, inner, parse))
        .transpose()
}

fn scores(stored: Option<Option<DecimalV1>>) -> Result<Change<Score>, RecordError> {
    stored
        .map(|inner| inner.map(TryInto::try_into).transpose())
        .transpose()
}

fn categories(ids: &[String]) -> Result<Vec<CategoryId>, RecordError> {
    ids.iter()
        .map(|id| read("category", CategoryId::parse(id)))
        .collect()
}

fn all<S, T: TryFrom<S, Error = RecordError>>(stored: Vec<S>) -> Result<Vec<T>, RecordError> {
    stored.into_iter().map(TryInto::try_into).collect()
}

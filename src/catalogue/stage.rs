//! Operations applied to records, one after the other, before anything is indexed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::category::{CATEGORIES_MAX, PARENTS_MAX};
use crate::catalogue::cells::Map;
use crate::catalogue::change::Refusal;
use crate::catalogue::check::{self, Wrong};
use crate::catalogue::edit::{self, CATEGORIES_PER_PRODUCT_MAX, canonical, canonical_variant};
use crate::catalogue::product::{
    CategoryEdit, CategoryRecord, FeedOperation, ProductEdit, ProductFields, ProductRecord,
    VariantEdit, VariantRecord,
};
use crate::catalogue::{Catalogue, VARIANTS_MAX, VARIANTS_PER_PRODUCT_MAX};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{ProductKey, VariantKey};
use crate::predicate::rule::Attr;

/// Records as they will stand, on top of a catalogue that stays as it is.
///
/// An operation is checked whole before it changes anything.
pub(super) struct Stage<'c> {
    /// What stands where nothing is staged.
    pub(super) base: &'c Catalogue,
    /// Touched products in canonical form; `None` is gone.
    pub(super) products: BTreeMap<ProductKey, Option<ProductRecord>>,
    /// Products of touched variants; `None` is gone.
    homes: Map<VariantKey, Option<ProductKey>>,
    /// Touched categories; `None` is gone.
    pub(super) categories: BTreeMap<CategoryId, Option<CategoryRecord>>,
    /// Categories that stand where nothing is staged; a full feed of categories keeps none.
    pub(super) kept_categories: Arc<BTreeMap<CategoryId, Arc<CategoryRecord>>>,
    /// What each applied operation was about.
    pub(super) targets: Vec<(usize, Target)>,
    /// Attributes that the schema lacks.
    new_attrs: BTreeSet<Attr>,
    /// Categories that the graph lacks.
    new_categories: BTreeSet<CategoryId>,
    n_variants: usize,
    /// Operations that could not be applied.
    pub(super) refusals: Vec<Refusal>,
}

/// The record that an operation is about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Product(ProductKey),
    Variant(VariantKey),
    Category(CategoryId),
}

impl<'c> Stage<'c> {
    /// Nothing touched yet.
    pub(super) fn new(base: &'c Catalogue) -> Self {
        Self {
            base,
            products: BTreeMap::new(),
            homes: Map::default(),
            categories: BTreeMap::new(),
            kept_categories: Arc::clone(&base.categories),
            targets: Vec::new(),
            new_attrs: BTreeSet::new(),
            new_categories: BTreeSet::new(),
            n_variants: base.live.len() as usize,
            refusals: Vec::new(),
        }
    }

    /// Applies one operation, or notes why not.
    pub(super) fn apply(&mut self, operation: usize, what: FeedOperation) {
        let target = target_of(&what);
        let done = match what {
            FeedOperation::ReplaceProduct(record) => self.replace_product(record),
            FeedOperation::ReplaceVariant {
                product,
                product_fields,
                variant,
            } => self.replace_variant(product, product_fields.unwrap_or_default(), variant),
            FeedOperation::EditProduct { product, edit } => self.edit_product(&product, edit),
            FeedOperation::EditVariant { variant, edit } => self.edit_variant(&variant, edit),
            FeedOperation::DeleteProduct(key) => self.delete_product(&key),
            FeedOperation::DeleteVariant(key) => match self.take_variant(&key) {
                Some(_) => Ok(()),
                None => Err(unknown("variant", key.as_str()).into()),
            },
            FeedOperation::ReplaceCategory(record) => self.replace_category(record),
            FeedOperation::EditCategory { category, edit } => self.edit_category(&category, edit),
            FeedOperation::MentionCategory(record) => self.mention_category(record),
            FeedOperation::DeleteCategory(id) => self.delete_category(id),
            FeedOperation::SetScore { variant, score } => {
                let edit = VariantEdit {
                    score: Some(score),
                    ..VariantEdit::default()
                };
                self.edit_variant(&variant, edit)
            }
        };
        match done {
            Ok(()) => self.targets.push((operation, target)),
            Err(wrong) => self.refusals.push(wrong.refusal(operation, &target)),
        }
    }

    /// The product of a variant as it stands now.
    pub(super) fn home(&self, variant: &VariantKey) -> Option<ProductKey> {
        if let Some(home) = self.homes.get(variant) {
            return home.clone();
        }
        let row = self.base.find_variant(variant.as_str())?;
        let product = self.base.product_of(row);
        Some(self.base.product_key(product).clone())
    }

    /// The product as it stands now, for changing.
    pub(super) fn product_mut(&mut self, key: &ProductKey) -> Option<&mut ProductRecord> {
        if !self.products.contains_key(key) {
            let base = self.base;
            let number = base.find_product(key.as_str())?;
            let mut record = ProductRecord::clone(base.record(number));
            canonical(&mut record);
            self.products.insert(key.clone(), Some(record));
        }
        self.products.get_mut(key)?.as_mut()
    }

    /// Takes a variant out of its product, and the product away with its last variant.
    pub(super) fn take_variant(&mut self, key: &VariantKey) -> Option<VariantRecord> {
        let home = self.home(key)?;
        let record = self.product_mut(&home)?;
        let place = edit::find_variant(record, key).ok()?;
        let variant = record.variants.remove(place);
        if record.variants.is_empty() {
            self.products.insert(home, None);
        }
        self.homes.insert(key.clone(), None);
        self.n_variants -= 1;
        Some(variant)
    }

    /// Puts a product in place of what is there under its key; its variants leave other products.
    pub(super) fn put_product(&mut self, record: ProductRecord) {
        self.take_product(&record.key);
        for variant in &record.variants {
            self.take_variant(&variant.key);
            self.homes
                .insert(variant.key.clone(), Some(record.key.clone()));
        }
        self.n_variants += record.variants.len();
        self.products.insert(record.key.clone(), Some(record));
    }

    /// Takes a product away with its variants.
    pub(super) fn take_product(&mut self, key: &ProductKey) -> Option<ProductRecord> {
        self.product_mut(key)?;
        let record = self.products.insert(key.clone(), None).flatten()?;
        for variant in &record.variants {
            self.homes.insert(variant.key.clone(), None);
        }
        self.n_variants -= record.variants.len();
        Some(record)
    }

    /// Puts a variant into a product, which is made from `shell` if it is not there.
    pub(super) fn put_variant(&mut self, shell: ProductRecord, variant: VariantRecord) {
        let home = shell.key.clone();
        if self.home(&variant.key).is_some_and(|old| old != home) {
            self.take_variant(&variant.key);
        }
        let key = variant.key.clone();
        let is_new = self.home(&key).is_none();
        if self.product_mut(&home).is_none() {
            self.products.insert(home.clone(), Some(shell));
        }
        if let Some(record) = self.product_mut(&home) {
            edit::put_variant(record, variant);
            self.homes.insert(key, Some(home));
            self.n_variants += usize::from(is_new);
        }
    }

    /// Takes a variant's own score away.
    pub(super) fn clear_score(&mut self, key: &VariantKey) {
        if let Some(home) = self.home(key)
            && let Some(record) = self.product_mut(&home)
            && let Ok(place) = edit::find_variant(record, key)
        {
            record.variants[place].score = None;
        }
    }

    fn replace_product(&mut self, mut record: ProductRecord) -> Result<(), Wrong> {
        canonical(&mut record);
        let n_variants = record.variants.len();
        check::length(n_variants, VARIANTS_PER_PRODUCT_MAX)?;
        if n_variants == 0 {
            return Err(Fault::TooFew { have: 0, min: 1 }.into());
        }
        for pair in record.variants.windows(2) {
            if pair[0].key == pair[1].key {
                let value = pair[0].key.to_string();
                return Err(Fault::Duplicate { value }.into());
            }
        }
        let is_new = |variant: &&VariantRecord| self.home(&variant.key).is_none();
        let n_new = record.variants.iter().filter(is_new).count();
        check::length(self.n_variants + n_new, VARIANTS_MAX)?;
        let mut attrs = self.new_in(&record.attributes)?;
        for variant in &record.variants {
            let new = self.new_in(&variant.attributes);
            attrs.extend(new.map_err(|wrong| wrong.of_variant(&variant.key))?);
        }
        let categories = self.new_categories_in(&record.categories)?;
        self.note_new(attrs, categories)?;
        self.put_product(record);
        Ok(())
    }

    fn replace_variant(
        &mut self,
        product: Option<ProductKey>,
        fields: ProductFields,
        mut variant: VariantRecord,
    ) -> Result<(), Wrong> {
        canonical_variant(&mut variant);
        let product = product.unwrap_or_else(|| edit::own_product(&variant.key));
        let home = self.home(&variant.key);
        check::length(self.n_variants + usize::from(home.is_none()), VARIANTS_MAX)?;
        if home.as_ref() != Some(&product) {
            let n_siblings = self
                .product_mut(&product)
                .map_or(0, |own| own.variants.len());
            check::length(n_siblings + 1, VARIANTS_PER_PRODUCT_MAX)?;
        }
        let mut attrs = self.new_in(&variant.attributes)?;
        attrs.extend(self.new_in(&fields.attributes)?);
        let categories = self.new_categories_in(&fields.categories)?;
        self.note_new(attrs, categories)?;
        self.put_variant(edit::shell(product.clone()), variant);
        if let Some(record) = self.product_mut(&product) {
            edit::set_fields(record, fields);
        }
        Ok(())
    }

    fn edit_product(&mut self, key: &ProductKey, edit: ProductEdit) -> Result<(), Wrong> {
        if self.product_mut(key).is_none() {
            return Err(unknown("product", key.as_str()).into());
        }
        let attrs = self.new_in(&edit.attributes)?;
        let categories = self.new_categories_in(edit.categories.as_deref().unwrap_or(&[]))?;
        self.note_new(attrs, categories)?;
        if let Some(record) = self.product_mut(key) {
            edit::edit_product(record, edit);
        }
        Ok(())
    }

    fn edit_variant(&mut self, key: &VariantKey, edit: VariantEdit) -> Result<(), Wrong> {
        let Some(home) = self.home(key) else {
            return Err(unknown("variant", key.as_str()).into());
        };
        let attrs = self.new_in(&edit.attributes)?;
        self.note_new(attrs, BTreeSet::new())?;
        if let Some(record) = self.product_mut(&home)
            && let Ok(place) = edit::find_variant(record, key)
        {
            edit::edit_variant(&mut record.variants[place], edit);
        }
        Ok(())
    }

    fn delete_product(&mut self, key: &ProductKey) -> Result<(), Wrong> {
        match self.take_product(key) {
            Some(_) => Ok(()),
            None => Err(unknown("product", key.as_str()).into()),
        }
    }

    fn replace_category(&mut self, mut record: CategoryRecord) -> Result<(), Wrong> {
        record.parents.sort_unstable();
        record.parents.dedup();
        check::length(record.parents.len(), PARENTS_MAX)?;
        let mut new = self.new_categories_in(&record.parents)?;
        new.extend(self.new_categories_in(std::slice::from_ref(&record.id))?);
        self.note_new(BTreeSet::new(), new)?;
        self.categories.insert(record.id.clone(), Some(record));
        Ok(())
    }

    /// The category as it stands now.
    fn category(&self, id: &CategoryId) -> Option<CategoryRecord> {
        match self.categories.get(id) {
            Some(staged) => staged.clone(),
            None => self
                .kept_categories
                .get(id)
                .map(|record| CategoryRecord::clone(record)),
        }
    }

    fn edit_category(&mut self, id: &CategoryId, edit: CategoryEdit) -> Result<(), Wrong> {
        let Some(mut record) = self.category(id) else {
            return Err(unknown("category", id.as_str()).into());
        };
        if let Some(name) = edit.name {
            record.name = name;
        }
        if let Some(parents) = edit.parents {
            record.parents = parents;
        }
        self.replace_category(record)
    }

    /// Adds what a mention knows to what stands already.
    fn mention_category(&mut self, mention: CategoryRecord) -> Result<(), Wrong> {
        let Some(standing) = self.category(&mention.id) else {
            return self.replace_category(mention);
        };
        let mut record = standing.clone();
        record.name = record.name.or(mention.name);
        record.parents.extend(mention.parents);
        record.parents.sort_unstable();
        record.parents.dedup();
        if record == standing {
            Ok(())
        } else {
            self.replace_category(record)
        }
    }

    fn delete_category(&mut self, id: CategoryId) -> Result<(), Wrong> {
        let staged = self.categories.get(&id).map(Option::is_some);
        let is_defined = staged.unwrap_or_else(|| self.base.category(id.as_str()).is_some());
        if !is_defined {
            return Err(unknown("category", id.as_str()).into());
        }
        self.categories.insert(id, None);
        Ok(())
    }

    /// Checks attributes and tells which of them the schema lacks.
    fn new_in(
        &self,
        attributes: &[crate::catalogue::product::AttributeTexts],
    ) -> Result<BTreeSet<Attr>, Wrong> {
        let (schema, locale) = (self.base.schema(), self.base.locale());
        check::attributes(attributes, schema, locale)?;
        let is_new = |attr: &&Attr| schema.get(attr.as_str()).is_none();
        let set = attributes.iter().filter(|own| !own.texts.is_empty());
        let attrs = set.map(|own| &own.attr);
        Ok(attrs.filter(is_new).cloned().collect())
    }

    fn new_categories_in(&self, ids: &[CategoryId]) -> Result<BTreeSet<CategoryId>, Wrong> {
        check::length(ids.len(), CATEGORIES_PER_PRODUCT_MAX)?;
        let is_new = |id: &&CategoryId| self.base.graph().find(id.as_str()).is_none();
        Ok(ids.iter().filter(is_new).cloned().collect())
    }

    /// Takes new names in, or none of them if there is no room for all.
    fn note_new(
        &mut self,
        attrs: BTreeSet<Attr>,
        categories: BTreeSet<CategoryId>,
    ) -> Result<(), Wrong> {
        let n_attrs = attrs.difference(&self.new_attrs).count() + self.new_attrs.len();
        check::attribute_room(self.base.schema().declared().len(), n_attrs)?;
        let n_new = categories.difference(&self.new_categories).count();
        let n_categories = self.base.graph().len() + self.new_categories.len() + n_new;
        check::length(n_categories, CATEGORIES_MAX)?;
        self.new_attrs.extend(attrs);
        self.new_categories.extend(categories);
        Ok(())
    }
}

/// The record that an operation is about.
pub(super) fn target_of(what: &FeedOperation) -> Target {
    match what {
        FeedOperation::ReplaceProduct(record) => Target::Product(record.key.clone()),
        FeedOperation::EditProduct { product, .. } | FeedOperation::DeleteProduct(product) => {
            Target::Product(product.clone())
        }
        FeedOperation::ReplaceVariant { variant, .. } => Target::Variant(variant.key.clone()),
        FeedOperation::EditVariant { variant, .. }
        | FeedOperation::SetScore { variant, .. }
        | FeedOperation::DeleteVariant(variant) => Target::Variant(variant.clone()),
        FeedOperation::ReplaceCategory(record) | FeedOperation::MentionCategory(record) => {
            Target::Category(record.id.clone())
        }
        FeedOperation::EditCategory { category: id, .. } | FeedOperation::DeleteCategory(id) => {
            Target::Category(id.clone())
        }
    }
}

fn unknown(what: &'static str, value: &str) -> Fault {
    Fault::UnknownReference {
        what,
        value: value.to_owned(),
    }
}

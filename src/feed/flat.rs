//! Rows of plain cells under column names: what CSV and foreign NDJSON have in common.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::BufRead;

use crate::catalogue::product::{
    AttributeTexts, CategoryRecord, FeedOperation, ProductFields, VariantRecord,
};
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Score;
use crate::domain::text;
use crate::feed::bytes::{Lines, split_terminator};
use crate::feed::decimal;
use crate::feed::json::Json;
use crate::feed::mapping::Mapping;
use crate::feed::member::{VALUES_MAX, attr_of, attribute_text, within};
use crate::feed::ndjson::{category_name, named, object_of, whole_number};
use crate::feed::path::Paths;
use crate::feed::result::{Faults, FeedError, Refused, Subject};
use crate::feed::{Kind, Reading, Rows};
use crate::predicate::rule::Attr;

/// Most entries of a list cell; real graphs name hundreds of children in one row.
pub const LIST_MAX: usize = 2_000;

/// Most different columns remembered; rows that bring more are read all the same.
const COLUMNS_KEPT_MAX: usize = 10_000;

/// What a column may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Variant,
    Product,
    ProductGroup,
    Seller,
    Categories,
    CategoryPath,
    ListPrice,
    SalePrice,
    Cost,
    Stock,
    Score,
    WeightG,
    Attribute(Attr),
    Category,
    Name,
    Parents,
    Children,
}

const CATALOGUE_TARGETS: [(&str, Target); 12] = [
    ("variant", Target::Variant),
    ("product", Target::Product),
    ("product_group", Target::ProductGroup),
    ("seller", Target::Seller),
    ("categories", Target::Categories),
    ("category_path", Target::CategoryPath),
    ("list_price", Target::ListPrice),
    ("sale_price", Target::SalePrice),
    ("cost", Target::Cost),
    ("stock", Target::Stock),
    ("score", Target::Score),
    ("weight_g", Target::WeightG),
];

const CATEGORY_TARGETS: [(&str, Target); 4] = [
    ("category", Target::Category),
    ("name", Target::Name),
    ("parents", Target::Parents),
    ("children", Target::Children),
];

const SCORE_TARGETS: [(&str, Target); 2] = [("variant", Target::Variant), ("score", Target::Score)];

/// Whether the name means a field in any kind of feed.
pub(super) fn is_target(name: &str) -> bool {
    let all = CATALOGUE_TARGETS.iter().chain(&CATEGORY_TARGETS);
    all.chain(&SCORE_TARGETS).any(|(known, _)| *known == name)
}

/// The target of a name; `None` if this kind of feed passes over it.
///
/// # Errors
/// `contradiction` if it is a built-in attribute, and those of [`Attr::parse`].
fn target_of(kind: Kind, name: &str) -> Result<Option<Target>, Fault> {
    let known: &[(&str, Target)] = match kind {
        Kind::Catalogue => &CATALOGUE_TARGETS,
        Kind::Categories => &CATEGORY_TARGETS,
        Kind::Scores => &SCORE_TARGETS,
    };
    let found = known.iter().find(|(own, _)| *own == name);
    match (found, kind) {
        (Some((_, target)), _) => Ok(Some(target.clone())),
        (None, Kind::Catalogue) => Ok(Some(Target::Attribute(attr_of(name)?))),
        (None, Kind::Categories | Kind::Scores) => Ok(None),
    }
}

/// How the rows of one feed are read.
pub(super) struct Plan<'m> {
    kind: Kind,
    mapping: &'m Mapping,
    currency: Currency,
    /// Targets and the columns they are read from; empty if columns bear the targets' names.
    targets: Vec<(Target, &'m str)>,
    constants: Vec<(Target, &'m str, &'m str)>,
    /// What the column of the key is called, where a format says so.
    key: Option<&'static str>,
    paths: Paths,
}

impl<'m> Plan<'m> {
    /// Fits a mapping to a kind of feed.
    ///
    /// # Errors
    /// [`FeedError::Mapping`] if it lacks what this kind requires.
    pub(super) fn new(reading: &Reading<'_>, mapping: &'m Mapping) -> Result<Self, FeedError> {
        let kind = reading.kind;
        let mut complaints: Vec<Complaint> = Vec::new();
        let mut targets = Vec::new();
        for (name, source) in mapping.columns().unwrap_or_default() {
            match target_of(kind, name) {
                Ok(target) => targets.extend(target.map(|target| (target, source.as_str()))),
                Err(fault) => complaints.push(fault.at(format!("/columns/{name}"))),
            }
        }
        let mut constants = Vec::new();
        for (name, text) in mapping.constants() {
            match target_of(kind, name) {
                Ok(target) => {
                    constants.extend(target.map(|target| (target, name.as_str(), text.as_str())));
                }
                Err(fault) => complaints.push(fault.at(format!("/constants/{name}"))),
            }
        }
        for &(name, ref target) in required(kind) {
            let is_mapped = targets.iter().any(|(known, _)| known == target);
            if mapping.columns().is_some() && !is_mapped {
                complaints.push(Fault::Required.at(format!("/columns/{name}")));
            }
        }
        if !complaints.is_empty() {
            return Err(FeedError::Mapping(complaints));
        }
        Ok(Self {
            kind,
            mapping,
            currency: reading.locale.currency,
            targets,
            constants,
            key: None,
            paths: Paths::new(&mapping.path_separator),
        })
    }

    /// The same with a name of its own for the column of the key.
    pub(super) fn keyed(self, key: &'static str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// What a column means.
    ///
    /// # Errors
    /// As `target_of`, for a column that no target names.
    pub(super) fn bind(&self, column: &str) -> Result<Vec<Target>, Fault> {
        let named = self.targets.iter().filter(|(_, source)| *source == column);
        let targets: Vec<Target> = named.map(|(target, _)| target.clone()).collect();
        if !targets.is_empty() {
            return Ok(targets);
        }
        if self.mapping.columns().is_none() {
            return Ok(target_of(self.kind, column)?.into_iter().collect());
        }
        match self.kind {
            Kind::Catalogue => Ok(vec![Target::Attribute(attr_of(column)?)]),
            Kind::Categories | Kind::Scores => Ok(Vec::new()),
        }
    }

    /// Columns that must be there.
    pub(super) fn needed(&self) -> Vec<&'m str> {
        if self.mapping.columns().is_some() {
            return self.targets.iter().map(|(_, source)| *source).collect();
        }
        required(self.kind).iter().map(|(name, _)| *name).collect()
    }

    /// The column that a key is read from.
    pub(super) fn column_of(&self, name: &str) -> String {
        let target = target_of(self.kind, name).ok().flatten();
        let mut named = self.targets.iter();
        let named = named.find(|(known, _)| Some(known) == target.as_ref());
        named.map_or(name, |(_, source)| source).to_owned()
    }

    /// Ends a row: constants stand in, then its operations are added.
    pub(super) fn finish(
        &mut self,
        mut row: Row,
        operations: &mut Vec<FeedOperation>,
    ) -> Result<(), Refused> {
        for (target, name, text) in &self.constants {
            if !row.is_set(target) {
                row.set(self, target, name, &Cell::Text(Cow::Borrowed(text)));
            }
        }
        let key = match self.key {
            Some(key) => key.to_owned(),
            None => self.column_of(required(self.kind)[0].0),
        };
        let paths = std::mem::take(&mut row.paths);
        let made = match self.kind {
            Kind::Catalogue => row.variant(&key),
            Kind::Categories => row.category(&key),
            Kind::Scores => row.score(&key),
        };
        row.faults.finish()?;
        operations.extend(made);
        for path in paths {
            let mentions = self.paths.mention(&path).into_iter();
            operations.extend(mentions.map(FeedOperation::MentionCategory));
        }
        Ok(())
    }
}

fn required(kind: Kind) -> &'static [(&'static str, Target)] {
    match kind {
        Kind::Catalogue => &CATALOGUE_TARGETS[..1],
        Kind::Categories => &CATEGORY_TARGETS[..1],
        Kind::Scores => &SCORE_TARGETS,
    }
}

/// What stands in one place of a row.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    List(Vec<Cow<'a, str>>),
}

impl Cell<'_> {
    fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Number(_) => false,
            Self::List(entries) => entries.is_empty(),
        }
    }

    fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(digits) => Cow::Borrowed(digits),
            Self::List(entries) => Cow::Owned(entries.join(", ")),
        }
    }

    /// The one text of the cell, trimmed.
    fn single(&self) -> Result<&str, Fault> {
        match self {
            Self::Text(text) => Ok(text.trim()),
            Self::Number(digits) => Ok(digits),
            Self::List(_) => Err(Fault::WrongType {
                expected: "a single value",
                found: "a list".to_owned(),
            }),
        }
    }

    /// Entries that are not blank, split at the separator if there is one.
    fn entries(&self, separator: Option<&str>) -> Vec<&str> {
        let all: Vec<&str> = match (self, separator) {
            (Self::List(entries), _) => entries.iter().map(|entry| &**entry).collect(),
            (Self::Text(text), Some(separator)) => text.split(separator).collect(),
            (Self::Text(text), None) => vec![text],
            (Self::Number(digits), _) => vec![digits],
        };
        all.into_iter()
            .filter(|entry| !entry.trim().is_empty())
            .collect()
    }
}

/// A row as far as it is read.
pub(super) struct Row {
    faults: Faults,
    variant: Option<VariantKey>,
    product: Option<ProductKey>,
    fields: ProductFields,
    list_price: Option<Minor>,
    sale_price: Option<Minor>,
    cost: Option<Minor>,
    stock: Option<i64>,
    score: Option<Score>,
    weight_g: Option<u32>,
    attributes: Vec<AttributeTexts>,
    category: Option<CategoryId>,
    name: Option<String>,
    parents: Vec<CategoryId>,
    children: Vec<CategoryId>,
    /// Category paths that the row names, to be mentioned if the row is good.
    paths: Vec<String>,
    /// Whether the key was read, be it wrongly.
    is_key_read: bool,
}

impl Row {
    pub(super) fn new(row: u64) -> Self {
        Self {
            faults: Faults::of_row(row),
            variant: None,
            product: None,
            fields: ProductFields::default(),
            list_price: None,
            sale_price: None,
            cost: None,
            stock: None,
            score: None,
            weight_g: None,
            attributes: Vec::new(),
            category: None,
            name: None,
            parents: Vec::new(),
            children: Vec::new(),
            paths: Vec::new(),
            is_key_read: false,
        }
    }

    /// Complains about a column.
    pub(super) fn complain(&mut self, column: &str, value: &str, fault: Fault) {
        self.faults.add(column, value, fault);
    }

    fn is_set(&self, target: &Target) -> bool {
        match target {
            Target::Variant => self.variant.is_some(),
            Target::Product => self.product.is_some(),
            Target::ProductGroup => self.fields.group.is_some(),
            Target::Seller => self.fields.seller.is_some(),
            Target::Categories | Target::CategoryPath => !self.fields.categories.is_empty(),
            Target::ListPrice => self.list_price.is_some(),
            Target::SalePrice => self.sale_price.is_some(),
            Target::Cost => self.cost.is_some(),
            Target::Stock => self.stock.is_some(),
            Target::Score => self.score.is_some(),
            Target::WeightG => self.weight_g.is_some(),
            Target::Attribute(attr) => self.attributes.iter().any(|own| own.attr == *attr),
            Target::Category => self.category.is_some(),
            Target::Name => self.name.is_some(),
            Target::Parents => !self.parents.is_empty(),
            Target::Children => !self.children.is_empty(),
        }
    }

    /// Reads a cell; a blank one is absent.
    pub(super) fn set(&mut self, plan: &Plan<'_>, target: &Target, column: &str, cell: &Cell<'_>) {
        if cell.is_blank() {
            return;
        }
        if let Err(fault) = self.read(plan, target, cell) {
            self.faults.add(column, &cell.shown(), fault);
        }
    }

    fn read(&mut self, plan: &Plan<'_>, target: &Target, cell: &Cell<'_>) -> Result<(), Fault> {
        let mapping = plan.mapping;
        let separator = mapping.list_separator.as_deref();
        let plain = || decimal::plain(cell.single()?, mapping.decimal);
        let money = || match cell {
            Cell::Number(_) => Err(Fault::WrongType {
                expected: "an amount as text",
                found: "a number".to_owned(),
            }),
            _ => plan.currency.parse_amount(&plain()?),
        };
        match target {
            Target::Variant => {
                self.is_key_read = true;
                let key = VariantKey::parse(cell.single()?)?;
                self.faults.about(Subject::Variant(key.clone()));
                self.variant = Some(key);
            }
            Target::Category => {
                self.is_key_read = true;
                let id = CategoryId::parse(cell.single()?)?;
                self.faults.about(Subject::Category(id.clone()));
                self.category = Some(id);
            }
            Target::Product => self.product = Some(ProductKey::parse(cell.single()?)?),
            Target::ProductGroup => self.fields.group = Some(GroupKey::parse(cell.single()?)?),
            Target::Seller => self.fields.seller = Some(SellerKey::parse(cell.single()?)?),
            Target::Name => self.name = Some(category_name(cell.single()?)?),
            Target::ListPrice => self.list_price = Some(money()?),
            Target::SalePrice => self.sale_price = Some(money()?),
            Target::Cost => self.cost = Some(money()?),
            Target::Stock => self.stock = Some(whole_number(&plain()?)?),
            Target::WeightG => self.weight_g = Some(whole_number(&plain()?)?),
            Target::Score => self.score = Some(Score::parse(&plain()?)?),
            Target::Categories => add_ids(&mut self.fields.categories, cell, separator)?,
            Target::Parents => add_ids(&mut self.parents, cell, separator)?,
            Target::Children => add_ids(&mut self.children, cell, separator)?,
            Target::CategoryPath => self.add_paths(plan, &cell.entries(separator))?,
            Target::Attribute(attr) => self.add_attribute(attr, &cell.entries(separator))?,
        }
        Ok(())
    }

    fn add_paths(&mut self, plan: &Plan<'_>, paths: &[&str]) -> Result<(), Fault> {
        within(paths.len(), VALUES_MAX)?;
        for path in paths {
            let id = plan.paths.last(path)?;
            if !self.fields.categories.contains(&id) {
                self.fields.categories.push(id);
            }
            self.paths.push((*path).to_owned());
        }
        Ok(())
    }

    fn add_attribute(&mut self, attr: &Attr, entries: &[&str]) -> Result<(), Fault> {
        within(entries.len(), VALUES_MAX)?;
        let mut texts = Vec::with_capacity(entries.len());
        for entry in entries {
            texts.extend(attribute_text(entry)?);
        }
        let place = self.attributes.binary_search_by(|own| own.attr.cmp(attr));
        let Err(place) = place else {
            let value = attr.to_string();
            return Err(Fault::Duplicate { value });
        };
        let attr = attr.clone();
        self.attributes
            .insert(place, AttributeTexts { attr, texts });
        Ok(())
    }

    /// Complains about a key that is not there; one that was read wrongly is complained about.
    fn lacks(&mut self, column: &str) {
        if !self.is_key_read {
            self.faults.add(column, "", Fault::Required);
        }
    }

    fn variant(&mut self, column: &str) -> Vec<FeedOperation> {
        let Some(key) = self.variant.take() else {
            self.lacks(column);
            return Vec::new();
        };
        let fields = std::mem::take(&mut self.fields);
        vec![FeedOperation::ReplaceVariant {
            product: self.product.take(),
            product_fields: (fields != ProductFields::default()).then_some(fields),
            variant: VariantRecord {
                key,
                list_price: self.list_price,
                sale_price: self.sale_price,
                cost: self.cost,
                stock: self.stock,
                score: self.score,
                weight_g: self.weight_g,
                attributes: std::mem::take(&mut self.attributes),
            },
        }]
    }

    /// The category, and an edge to it from each child, which need not be defined.
    fn category(&mut self, column: &str) -> Vec<FeedOperation> {
        let Some(id) = self.category.take() else {
            self.lacks(column);
            return Vec::new();
        };
        let parent = id.clone();
        let mut operations = vec![FeedOperation::ReplaceCategory(named(CategoryRecord {
            id,
            name: self.name.take(),
            parents: std::mem::take(&mut self.parents),
        }))];
        for child in self.children.drain(..) {
            operations.push(FeedOperation::MentionCategory(CategoryRecord {
                id: child,
                name: None,
                parents: vec![parent.clone()],
            }));
        }
        operations
    }

    fn score(&mut self, column: &str) -> Vec<FeedOperation> {
        let Some(variant) = self.variant.take() else {
            self.lacks(column);
            return Vec::new();
        };
        let score = self.score;
        vec![FeedOperation::SetScore { variant, score }]
    }
}

fn add_ids(
    ids: &mut Vec<CategoryId>,
    cell: &Cell<'_>,
    separator: Option<&str>,
) -> Result<(), Fault> {
    let entries = cell.entries(separator);
    within(entries.len(), LIST_MAX)?;
    for entry in entries {
        let id = CategoryId::parse(entry)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(())
}

/// Reads foreign NDJSON: objects whose members are single values or lists of them.
pub(super) fn read_ndjson<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut plan = Plan::new(reading, mapping)?;
    let mut bound: HashMap<String, Result<Vec<Target>, Fault>> = HashMap::new();
    while let Some((number, line)) = lines.next_line()? {
        let (line, _) = split_terminator(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let outcome = object_of(number, line).and_then(|object| {
            let mut row = Row::new(number);
            for (name, json) in object.rest() {
                if !bound.contains_key(name) {
                    if COLUMNS_KEPT_MAX <= bound.len() {
                        bound.clear();
                    }
                    let column = text::normal(name);
                    bound.insert(name.to_owned(), plan.bind(&column));
                }
                set_member(&mut row, &plan, name, &bound[name], json);
            }
            plan.finish(row, &mut rows.operations)
        });
        rows.finish(number, outcome, |target| plan.column_of(target));
    }
    Ok(())
}

fn set_member(
    row: &mut Row,
    plan: &Plan<'_>,
    name: &str,
    targets: &Result<Vec<Target>, Fault>,
    json: Json<'_>,
) {
    let targets = match targets {
        Ok(targets) if targets.is_empty() || json.is_null() => return,
        Ok(targets) => targets,
        Err(fault) => return row.complain(name, &json.shown(), fault.clone()),
    };
    match cell_of(json) {
        Ok(cell) => {
            for target in targets {
                row.set(plan, target, name, &cell);
            }
        }
        Err(fault) => row.complain(name, &json.shown(), fault),
    }
}

fn cell_of(json: Json<'_>) -> Result<Cell<'_>, Fault> {
    if let Some(digits) = json.number() {
        return Ok(Cell::Number(digits));
    }
    let Some(entries) = json.list() else {
        return json.scalar().map(Cell::Text);
    };
    within(entries.len(), LIST_MAX)?;
    let entries = entries.into_iter().filter(|entry| !entry.is_null());
    entries
        .map(Json::scalar)
        .collect::<Result<_, _>>()
        .map(Cell::List)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Format;
    use crate::feed::trial::Trial;

    fn foreign(kind: Kind, mapping: &str) -> Trial {
        Trial::of(Format::Ndjson, kind).mapped(mapping)
    }

    #[test]
    fn foreign_objects_are_rows() {
        let trial = foreign(
            Kind::Catalogue,
            r#"{"columns":{"variant":"id","score":"sold","list_price":"uvp","brand":"maker"}}"#,
        );
        let lines = "{\"id\":7,\"sold\":860,\"uvp\":\"1.66\",\"maker\":[\"a\",\"b\"],\"new\":true}\n\
                     {\"id\":\"8\",\"uvp\":1.66,\"maker\":{},\"stock\":3}\n\
                     {\"sold\":1}\n{\"id\":[1]}\n";
        let taken = trial.read(lines.as_bytes()).unwrap();
        let expected = [
            (2, "uvp", "wrong-type"),
            (2, "maker", "wrong-type"),
            (2, "stock", "contradiction"),
            (3, "id", "required"),
            (4, "id", "wrong-type"),
        ];
        let expected: Vec<_> = expected
            .map(|(row, column, code)| (row, column.to_owned(), code))
            .into();
        assert_eq!(taken.faults(), expected);
        let FeedOperation::ReplaceVariant {
            variant,
            product,
            product_fields,
        } = &taken.operations[0].1
        else {
            panic!("{taken:?}");
        };
        assert_eq!(variant.key.as_str(), "7");
        assert_eq!(variant.score.unwrap().to_string(), "860");
        assert_eq!(variant.attributes[0].texts.len(), 2);
        assert!(product.is_none() && product_fields.is_none());
    }

    #[test]
    fn children_make_edges_though_nobody_defines_them() {
        let trial = foreign(
            Kind::Categories,
            r#"{"columns":{"category":"id","name":"name","parents":"up","children":"down"}}"#,
        );
        let line = br#"{"id":"a","name":"A","up":null,"down":["b","c"],"depth":1}"#;
        let taken = trial.read(line).unwrap();
        assert_eq!(taken.faults(), vec![]);
        let mentions = taken.operations[1..]
            .iter()
            .map(|(_, operation)| match operation {
                FeedOperation::MentionCategory(record) => (
                    record.id.as_str(),
                    record.name.as_deref(),
                    record.parents[0].as_str(),
                ),
                other => panic!("{other:?}"),
            });
        let expected = vec![("main:b", None, "main:a"), ("main:c", None, "main:a")];
        assert_eq!(mentions.collect::<Vec<_>>(), expected);
    }
}

//! For tests: a feed read into lists.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::product::{FeedOperation, VariantRecord};
use crate::domain::money::Currency;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::value::Locale;
use crate::feed::mapping::Mapping;
use crate::feed::result::{Counts, FeedError, RowError, Subject};
use crate::feed::{Format, Kind, Reading, Repeats, read};

/// How a feed is read in a test.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) format: Format,
    pub(super) kind: Kind,
    pub(super) mapping: Option<Mapping>,
    pub(super) repeats: Repeats,
}

impl Trial {
    pub(super) fn of(format: Format, kind: Kind) -> Self {
        Self {
            format,
            kind,
            mapping: None,
            repeats: Repeats::Refused,
        }
    }

    pub(super) fn native() -> Self {
        Self::of(Format::Ndjson, Kind::Catalogue)
    }

    pub(super) fn mapped(mut self, json: &str) -> Self {
        self.mapping = Some(Mapping::parse(json).unwrap());
        self
    }

    pub(super) fn read(&self, bytes: &[u8]) -> Result<Taken, FeedError> {
        let locale = Locale {
            currency: sek(),
            zone: Zone::parse("Europe/Stockholm").unwrap(),
        };
        let reading = Reading {
            format: self.format,
            kind: self.kind,
            mapping: self.mapping.as_ref(),
            encoding: None,
            locale: &locale,
            market: &["se", "Sweden"],
            now: Timestamp::parse("2027-03-10T12:00:00Z").unwrap(),
            repeats: self.repeats,
        };
        let mut taken = Taken::default();
        taken.counts = read(bytes, &reading, &mut |row, outcome| match outcome {
            Ok(operation) => taken.operations.push((row, operation)),
            Err(refused) => {
                assert!(!refused.errors.is_empty());
                taken.errors.extend(refused.errors);
                taken.subjects.push(refused.subject);
            }
        })?;
        Ok(taken)
    }
}

/// An attribute's texts.
pub(super) fn texts(variant: &VariantRecord, attr: &str) -> Vec<String> {
    let own = variant
        .attributes
        .iter()
        .find(|own| own.attr.as_str() == attr);
    own.into_iter()
        .flat_map(|own| &own.texts)
        .map(ToString::to_string)
        .collect()
}

pub(super) fn sek() -> Currency {
    Currency::parse("SEK").unwrap()
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) operations: Vec<(u64, FeedOperation)>,
    pub(super) errors: Vec<RowError>,
    pub(super) subjects: Vec<Option<Subject>>,
    pub(super) counts: Counts,
}

impl Taken {
    /// The variants of all operations, by key: the row's product, and the variant.
    pub(super) fn variants(&self) -> BTreeMap<String, (Option<String>, VariantRecord)> {
        let mut found = BTreeMap::new();
        for (_, operation) in &self.operations {
            match operation {
                FeedOperation::ReplaceVariant {
                    product, variant, ..
                } => {
                    let product = product.as_ref().map(ToString::to_string);
                    found.insert(variant.key.to_string(), (product, variant.clone()));
                }
                FeedOperation::ReplaceProduct(product) => {
                    for variant in &product.variants {
                        let key = Some(product.key.to_string());
                        found.insert(variant.key.to_string(), (key, variant.clone()));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Categories of the products, by key of a variant, and those mentioned.
    pub(super) fn categories(&self, variant: &str) -> Vec<String> {
        let ids = self
            .operations
            .iter()
            .find_map(|(_, operation)| match operation {
                FeedOperation::ReplaceVariant {
                    product_fields: Some(fields),
                    variant: own,
                    ..
                } if own.key.as_str() == variant => Some(&fields.categories),
                _ => None,
            });
        ids.into_iter().flatten().map(ToString::to_string).collect()
    }

    /// Row, column and code of every fault.
    pub(super) fn faults(&self) -> Vec<(u64, String, &'static str)> {
        let errors = self.errors.iter();
        errors
            .map(|error| (error.row, error.column.clone(), error.fault.code()))
            .collect()
    }

    /// Rows that brought an operation.
    pub(super) fn good_rows(&self) -> BTreeSet<u64> {
        self.operations.iter().map(|(row, _)| *row).collect()
    }
}

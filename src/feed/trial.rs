//! For tests: a feed read into lists.

use std::collections::BTreeSet;

use crate::catalogue::product::FeedOperation;
use crate::domain::money::Currency;
use crate::domain::time::Zone;
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

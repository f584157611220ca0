//! What a feed said, checked against the goods that stand: the next goods of a market, or every
//! wrong row.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::change::{Imported, Kinds, Refusal, Unreadable};
use crate::catalogue::delta::delta;
use crate::catalogue::full::{FullFeed, full};
use crate::catalogue::product::FeedOperation;
use crate::domain::id::ImportId;
use crate::engine::error::{EngineError, RowError};
use crate::engine::harm;
use crate::engine::imports::{ImportOrder, Mode};
use crate::engine::markets::market_state;
use crate::engine::results::{ImportResult, ImportState, ImportWarning, warnings_of};
use crate::engine::snapshot::MarketState;
use crate::engine::start::Engine;
use crate::feed;
use crate::feed::result::{Counts, FeedError, Refused, Subject};

/// What a feed said, row by row.
#[derive(Default)]
pub(in crate::engine) struct Feed {
    pub(in crate::engine) operations: Vec<FeedOperation>,
    /// Row of each operation.
    pub(in crate::engine) row_of: Vec<u64>,
    pub(in crate::engine) errors: Vec<RowError>,
    pub(in crate::engine) unreadable: Unreadable,
    pub(in crate::engine) counts: Counts,
    /// Whether it could not be read to its end.
    pub(in crate::engine) is_broken: bool,
}

/// The next goods of a market, checked, and what is to be said about them.
pub(in crate::engine) struct Checked {
    pub(in crate::engine) before: Arc<MarketState>,
    pub(in crate::engine) imported: Imported,
    pub(in crate::engine) result: ImportResult,
}

/// What row errors a feed has that cannot be read to its end.
///
/// # Errors
/// Where it is no question of rows: `body-too-large`, `invalid` for the mapping, `bad-header`.
fn errors_of(error: FeedError) -> Result<Vec<RowError>, EngineError> {
    let message = error.to_string();
    let whole = |row: u64, message: String| RowError {
        row,
        column: String::new(),
        value: String::new(),
        code: "bad-format".to_owned(),
        message,
    };
    Ok(match error {
        FeedError::TooLarge { limit_bytes } => {
            return Err(EngineError::BodyTooLarge { limit_bytes });
        }
        FeedError::Mapping(complaints) => {
            let complaints = complaints.into_iter();
            let under = complaints.map(|complaint| complaint.under("/mapping"));
            return Err(EngineError::Invalid(under.collect()));
        }
        FeedError::TwoHeaders => return Err(EngineError::BadFeedHeader { why: message }),
        FeedError::Header(errors) => errors.into_iter().map(Into::into).collect(),
        FeedError::Io(cause) => vec![whole(0, format!("{message}: {cause}"))],
        FeedError::Utf16 => vec![whole(1, message)],
        FeedError::LineTooLong { row, limit_bytes } => {
            vec![whole(row, format!("longer than {limit_bytes} bytes"))]
        }
        FeedError::Markup { row, why } => vec![whole(row, why)],
    })
}

impl Feed {
    /// Keeps the errors of a row, and what it was about.
    pub(in crate::engine) fn refuse(&mut self, refused: Refused) {
        match refused.subject {
            Some(Subject::Product(key)) => self.unreadable.products.push(key),
            Some(Subject::Variant(key)) => self.unreadable.variants.push(key),
            Some(Subject::Category(id)) => self.unreadable.categories.push(id),
            None => {}
        }
        self.errors
            .extend(refused.errors.into_iter().map(Into::into));
    }

    /// Nothing can be read behind this error.
    ///
    /// # Errors
    /// As [`errors_of`].
    pub(in crate::engine) fn break_off(&mut self, error: FeedError) -> Result<(), EngineError> {
        self.errors.extend(errors_of(error)?);
        self.is_broken = true;
        let rows: BTreeSet<u64> = self.errors.iter().map(|error| error.row).collect();
        self.counts.rejected = rows.len() as u64;
        self.counts.rows = rows.last().copied().unwrap_or(0);
        Ok(())
    }

    /// Whether its rows replace whole records, as those of a full feed do.
    fn replaces(&self) -> bool {
        self.operations.iter().all(|operation| {
            matches!(
                operation,
                FeedOperation::ReplaceProduct(_)
                    | FeedOperation::ReplaceVariant { .. }
                    | FeedOperation::ReplaceCategory(_)
                    | FeedOperation::MentionCategory(_)
                    | FeedOperation::SetScore { .. }
            )
        })
    }
}

/// A feed with more wrong rows than allowed.
pub(in crate::engine) struct RefusedFeed {
    pub(in crate::engine) result: ImportResult,
    pub(in crate::engine) all_errors: Vec<RowError>,
}

impl RefusedFeed {
    /// The refusal, with the first errors.
    pub(in crate::engine) fn error(self) -> EngineError {
        EngineError::ImportInvalid {
            import: self.result.id,
            rows_rejected: self.result.rejected,
            errors: self.result.errors,
        }
    }
}

impl Engine {
    /// Makes the next goods of what a feed said, or names every wrong row.
    pub(in crate::engine) fn check_feed(
        &self,
        id: ImportId,
        order: &ImportOrder,
        feed: Feed,
    ) -> Result<Checked, Box<RefusedFeed>> {
        if feed.is_broken {
            let counts = feed.counts;
            let result = result_of(id, order, (counts.rows, counts.rejected), &feed.errors);
            return Err(Box::new(RefusedFeed {
                result,
                all_errors: feed.errors,
            }));
        }
        let snapshot = self.snapshot();
        let before = market_state(&snapshot, &order.market).expect("it was there when it began");
        let is_full = match order.mode {
            Mode::Full => true,
            Mode::Delta => false,
            Mode::Validate => feed.replaces(),
        };
        let (row_of, counts) = (feed.row_of, feed.counts);
        let (rows, unread) = (counts.rows, counts.rejected);
        let left = usize::try_from(order.errors_max.saturating_sub(unread)).unwrap_or(usize::MAX);
        let outcome = if is_full {
            let kinds = Kinds::of(&feed.operations);
            let operations = feed.operations;
            full(
                &before.catalogue,
                FullFeed {
                    operations,
                    kinds,
                    unreadable: feed.unreadable,
                },
                left,
            )
        } else {
            delta(&before.catalogue, feed.operations, left)
        };
        let refusals = match &outcome {
            Ok(imported) => &imported.refusals,
            Err(refusals) => refusals,
        };
        let mut errors = feed.errors;
        errors.extend(refusals.iter().map(|refusal| row_error(refusal, &row_of)));
        errors.sort_by_key(|error| error.row);
        let rejected = unread + distinct_rows(refusals, &row_of);
        let mut result = result_of(id, order, (rows, rejected), &errors);
        match outcome {
            Ok(imported) if rejected <= order.errors_max => {
                result.count(&imported.counts);
                result.warnings = warnings_of(&imported.warnings);
                result.warnings.extend(passed_over(&counts));
                if is_full {
                    let active = harm::emptied(&before, &imported.next, self.now());
                    result.harms = harm::words(&before.catalogue, &imported.next, &active);
                }
                Ok(Checked {
                    before,
                    imported,
                    result,
                })
            }
            _ => Err(Box::new(RefusedFeed {
                result,
                all_errors: errors,
            })),
        }
    }
}

/// A refused import with its first errors.
fn result_of(
    id: ImportId,
    order: &ImportOrder,
    (rows, rejected): (u64, u64),
    errors: &[RowError],
) -> ImportResult {
    let first = errors.iter().take(ImportResult::ERRORS_MAX);
    ImportResult {
        rows,
        rejected,
        errors: first.cloned().collect(),
        n_errors: errors.len() as u64,
        ..ImportResult::begun(id, order, ImportState::Refused)
    }
}

/// What a reader left out without refusing it.
fn passed_over(counts: &Counts) -> impl Iterator<Item = ImportWarning> {
    let words = [
        (
            "sale-price-period",
            counts.later_sales,
            "sale prices begin or end later: import again by then",
        ),
        (
            "long-texts",
            counts.long_texts,
            "texts are longer than an attribute can be and were passed over",
        ),
        (
            "other-markets",
            counts.other_markets,
            "products or variants are not for this market",
        ),
    ];
    let some = words.into_iter().filter(|(_, count, _)| 0 < *count);
    some.map(|(code, count, text)| ImportWarning {
        code: code.to_owned(),
        text: format!("{count} {text}"),
        count,
    })
}

fn distinct_rows(refusals: &[Refusal], row_of: &[u64]) -> u64 {
    let rows: BTreeSet<u64> = refusals
        .iter()
        .map(|refusal| row_of[refusal.operation])
        .collect();
    rows.len() as u64
}

fn row_error(refusal: &Refusal, row_of: &[u64]) -> RowError {
    let key = || {
        let variant = refusal.variant.as_ref().map(ToString::to_string);
        let product = refusal.product.as_ref().map(ToString::to_string);
        let category = refusal.category.as_ref().map(ToString::to_string);
        variant.or(product).or(category)
    };
    RowError {
        row: row_of[refusal.operation],
        column: refusal
            .attr
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        value: refusal.value.clone().or_else(key).unwrap_or_default(),
        code: refusal.fault.code().to_owned(),
        message: refusal.fault.to_string(),
    }
}

impl From<feed::result::RowError> for RowError {
    fn from(error: feed::result::RowError) -> Self {
        Self {
            row: error.row,
            column: error.column,
            value: error.value,
            code: error.fault.code().to_owned(),
            message: error.fault.to_string(),
        }
    }
}

//! What stands in paths.

use crate::domain::complaint::Fault;
use crate::domain::id::{ExportId, ImportId, KeyId, MarketId, PromotionId};
use crate::http::problem::Problem;
use crate::predicate::rule::Attr;

/// A market's key.
///
/// # Errors
/// `not-found` for a text that is none: no market has it, in nobody's scope.
pub(crate) fn market(text: &str) -> Result<MarketId, Problem> {
    named(MarketId::parse(text), "market")
}

/// A promotion's id.
///
/// # Errors
/// `not-found`.
pub(crate) fn promotion(text: &str) -> Result<PromotionId, Problem> {
    named(PromotionId::parse(text), "promotion")
}

/// An API key's id.
///
/// # Errors
/// `not-found`.
pub(crate) fn key(text: &str) -> Result<KeyId, Problem> {
    named(KeyId::parse(text), "key")
}

/// An import's id.
///
/// # Errors
/// `not-found`.
pub(crate) fn import(text: &str) -> Result<ImportId, Problem> {
    named(ImportId::parse(text), "import")
}

/// An export's id.
///
/// # Errors
/// `not-found`.
pub(crate) fn export(text: &str) -> Result<ExportId, Problem> {
    named(ExportId::parse(text), "export")
}

/// An attribute's name.
///
/// # Errors
/// `not-found`.
pub(crate) fn attribute(text: &str) -> Result<Attr, Problem> {
    named(Attr::parse(text), "attribute")
}

fn named<T>(read: Result<T, Fault>, what: &'static str) -> Result<T, Problem> {
    read.map_err(|_| Problem::not_found(what))
}

//! tmp
use prometheus_client::metrics::counter::Counter;
/// tmp
#[derive(Debug, Default)]
pub struct Metrics {
    /// tmp
    pub store_errors: Counter,
    /// tmp
    pub import_rows: Counter,
}

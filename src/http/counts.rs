//! What the shell counts: handles that are found once, so that counting looks nothing up.

use crate::telemetry::metrics::Metrics;
use crate::telemetry::series::{Answers, Counter, Gauge};

/// Name under which answers are counted that no route gave.
const NO_ROUTE: &str = "none";

/// Handles into the process's metrics.
#[derive(Clone, Debug)]
pub(in crate::http) struct Counts {
    metrics: Metrics,
    /// Open connections.
    pub(in crate::http) connections: Gauge,
    /// Times that accepting failed, for example for want of descriptors.
    pub(in crate::http) accept_failures: Counter,
    /// Handlers that panicked.
    pub(in crate::http) panics: Counter,
    /// Connections closed as soon as they were accepted, being too many.
    pub(in crate::http) too_many_connections: Counter,
    /// Requests that could not be read.
    pub(in crate::http) unreadable: Counter,
    /// Requests refused because too many were waiting.
    pub(in crate::http) overloaded: Counter,
    /// Requests whose time was over.
    pub(in crate::http) late: Counter,
    /// Requests refused by a rate limit.
    pub(in crate::http) rate_limited: Counter,
    /// Requests with a key that opens nothing.
    pub(in crate::http) wrong_key: Counter,
    /// Refused changes that are counted and leave no audit entry.
    pub(in crate::http) not_audited: Counter,
    /// Answers that no route gave.
    pub(in crate::http) no_route: Answers,
}

impl Counts {
    /// Handles into `metrics`.
    pub(in crate::http) fn of(metrics: &Metrics) -> Self {
        Self {
            connections: metrics.connections.clone(),
            accept_failures: metrics.accept_failures.clone(),
            panics: metrics.panics_caught.clone(),
            too_many_connections: metrics.refused("too-many-connections"),
            unreadable: metrics.refused("unreadable"),
            overloaded: metrics.refused("overloaded"),
            late: metrics.refused("deadline"),
            rate_limited: metrics.refused("rate-limited"),
            wrong_key: metrics.refused("wrong-key"),
            not_audited: metrics.refusals_not_audited.clone(),
            no_route: metrics.route(NO_ROUTE),
            metrics: metrics.clone(),
        }
    }

    /// The answers of a route, named by the pattern of its path.
    pub(in crate::http) fn route(&self, pattern: &str) -> Answers {
        self.metrics.route(pattern)
    }
}

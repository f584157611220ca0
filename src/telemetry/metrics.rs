//! The one list of all metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::id::MarketId;
use crate::domain::time::Timestamp;
use crate::telemetry::series::{
    Answers, BUCKETS_US, ByName, Counter, Gauge, Latency, MarketSeries,
};

/// Media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts of this process; clones count into the same series.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Commits, reads and checks that the store failed, and damage found in it.
    pub store_errors: Counter,
    /// Bytes of the store that were read for damage.
    pub store_scrubbed_bytes: Counter,
    /// Rows of imports that were read.
    pub import_rows: Counter,
    /// Rows of imports that were wrong, out of those read.
    pub import_rows_rejected: Counter,
    /// Refused changes that left no audit entry: beyond ten a second of one caller, or because the
    /// store took none.
    pub refusals_not_audited: Counter,
    /// Page events that found the queue full.
    pub dropped_page_events: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that could not be accepted.
    pub accept_failures: Counter,
    /// Requests that panicked and were answered with 500.
    pub panics_caught: Counter,
    recovered: ByName<Counter>,
    damaged: ByName<Counter>,
    events: ByName<Counter>,
    refused: ByName<Counter>,
    routes: ByName<Answers>,
    markets: ByName<MarketSeries>,
}

impl Metrics {
    /// The series of a market; who counts often keeps it.
    pub fn market(&self, market: &MarketId) -> MarketSeries {
        self.markets.of(market.as_str())
    }

    /// The answers of a route, named by its template and never by a path that was sent.
    pub fn route(&self, template: &str) -> Answers {
        self.routes.of(template)
    }

    /// Requests refused for a reason, such as `overloaded` or `rate-limited`.
    pub fn refused(&self, reason: &'static str) -> Counter {
        self.refused.of(reason)
    }

    /// Steps of the recovery ladder that changed something.
    pub fn store_recovered(&self, step: &'static str) -> Counter {
        self.recovered.of(step)
    }

    /// Damage found in a part of the store, such as `journal` or `chunk`.
    pub fn store_damaged(&self, part: &'static str) -> Counter {
        self.damaged.of(part)
    }

    /// Events by what they were told: `accepted`, `duplicate`, `ignored` or `refused`.
    pub fn events(&self, verdict: &'static str) -> Counter {
        self.events.of(verdict)
    }

    /// All metrics as `OpenMetrics` text, ages as of `now`.
    pub fn encode(&self, now: Timestamp) -> String {
        let mut registry = Registry::with_prefix("endcap");
        let metrics = self.clone();
        registry.register_collector(Box::new(Scrape { metrics, now }));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text in memory takes all that is written");
        text
    }
}

/// The metrics as of one instant.
#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    now: Timestamp,
}

impl Collector for Scrape {
    /// The list: every metric that there is, with its name and its meaning.
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let own = &self.metrics;
        let mut page = Page { encoder };
        page.markets(&own.markets.all(), self.now)?;
        page.answers(&own.routes.all())?;
        let title = ("refused", "Requests refused before any work");
        page.counts(title, "reason", &own.refused.all())?;
        let title = (
            "store_recovered",
            "Steps of recovery that changed something",
        );
        page.counts(title, "step", &own.recovered.all())?;
        let title = ("store_damaged", "Damage found while everything was read");
        page.counts(title, "part", &own.damaged.all())?;
        page.counts(
            ("events", "Events by verdict"),
            "verdict",
            &own.events.all(),
        )?;
        let counters = [
            (
                "import_rows",
                "Rows of imports that were read",
                &own.import_rows,
            ),
            (
                "import_rows_rejected",
                "Rows of imports that were wrong",
                &own.import_rows_rejected,
            ),
            (
                "store_errors",
                "Failures of the store and damage found",
                &own.store_errors,
            ),
            (
                "refusals_not_audited",
                "Refused changes without an audit entry",
                &own.refusals_not_audited,
            ),
            (
                "store_scrubbed_bytes",
                "Bytes of the store read for damage",
                &own.store_scrubbed_bytes,
            ),
            (
                "dropped_page_events",
                "Page events that found the queue full",
                &own.dropped_page_events,
            ),
            (
                "accept_failures",
                "Connections that could not be accepted",
                &own.accept_failures,
            ),
            (
                "panics_caught",
                "Requests that panicked",
                &own.panics_caught,
            ),
        ];
        for (name, help, counter) in counters {
            page.count(name, help, counter)?;
        }
        page.gauge("connections", "Open connections", &own.connections)
    }
}

/// The text being written.
struct Page<'e> {
    encoder: DescriptorEncoder<'e>,
}

impl Page<'_> {
    fn open(
        &mut self,
        (name, help): (&'static str, &str),
        unit: Option<&'static Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.encoder
            .encode_descriptor(name, &format!("{help}."), unit, kind)
    }

    fn count(&mut self, name: &'static str, help: &str, counter: &Counter) -> fmt::Result {
        let encoder = self.open((name, help), None, MetricType::Counter)?;
        ConstCounter::new(counter.get()).encode(encoder)
    }

    fn gauge(&mut self, name: &'static str, help: &str, gauge: &Gauge) -> fmt::Result {
        let encoder = self.open((name, help), None, MetricType::Gauge)?;
        ConstGauge::new(gauge.get()).encode(encoder)
    }

    fn counts(
        &mut self,
        title: (&'static str, &str),
        label: &str,
        counters: &[(Arc<str>, Counter)],
    ) -> fmt::Result {
        let mut encoder = self.open(title, None, MetricType::Counter)?;
        for (name, counter) in counters {
            let labels = [(label, &**name)];
            ConstCounter::new(counter.get()).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn markets(&mut self, markets: &[(Arc<str>, MarketSeries)], now: Timestamp) -> fmt::Result {
        let title = ("rank_latency", "From the request read to the answer ready");
        self.latencies(title, markets, |series| &series.rank_latency)?;
        let title = (
            "publish_duration",
            "From a commit seen to its snapshot published",
        );
        self.latencies(title, markets, |series| &series.publish_duration)?;
        self.snapshots(markets, now)
    }

    fn answers(&mut self, routes: &[(Arc<str>, Answers)]) -> fmt::Result {
        let title = ("answers", "Answers by route and status");
        let mut encoder = self.open(title, None, MetricType::Counter)?;
        for (route, answers) in routes {
            for (status, count) in answers.counted() {
                let labels = [("route", &**route), ("status", &*status)];
                ConstCounter::new(count).encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn snapshots(&mut self, markets: &[(Arc<str>, MarketSeries)], now: Timestamp) -> fmt::Result {
        let known = markets.iter().filter_map(|(market, series)| {
            let (revision, age) = series.snapshot(now)?;
            Some(([("market", &**market)], revision, age))
        });
        let known: Vec<_> = known.collect();
        let title = ("snapshot_age", "Since the newest snapshot was published");
        let mut encoder = self.open(title, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (labels, _, age) in &known {
            ConstGauge::new(age.as_secs_f64()).encode(encoder.encode_family(labels)?)?;
        }
        let title = ("snapshot_revision", "Revision of the newest snapshot");
        let mut encoder = self.open(title, None, MetricType::Gauge)?;
        for (labels, revision, _) in &known {
            ConstGauge::new(*revision).encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn latencies(
        &mut self,
        title: (&'static str, &str),
        markets: &[(Arc<str>, MarketSeries)],
        pick: fn(&MarketSeries) -> &Latency,
    ) -> fmt::Result {
        let mut encoder = self.open(title, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (market, series) in markets {
            let observed = pick(series).observed();
            let ends = BUCKETS_US
                .iter()
                .map(|us| Duration::from_micros(*us).as_secs_f64());
            let buckets: Vec<_> = ends.chain([f64::INFINITY]).zip(observed.buckets).collect();
            let count = observed.buckets.iter().sum();
            let labels = [("market", &**market)];
            encoder
                .encode_family(&labels)?
                .encode_histogram::<Vec<(String, String)>>(
                    observed.sum.as_secs_f64(),
                    count,
                    &buckets,
                    None,
                )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(key: &str) -> MarketId {
        MarketId::parse(key).unwrap()
    }

    #[test]
    fn all_metrics_are_written_as_open_metrics() {
        let metrics = Metrics::default();
        let se = metrics.market(&market("se"));
        se.rank_latency.observe(Duration::from_micros(20));
        se.rank_latency.observe(Duration::from_secs(20));
        se.published(18_342, Timestamp(1_000));
        metrics.market(&market("no"));
        metrics.route("/v1/markets/{m}/rank").answered(200);
        metrics.route("/v1/markets/{m}/rank").answered(429);
        metrics.refused("overloaded").inc();
        metrics.store_recovered("index-dropped").inc();
        metrics.store_damaged("chunk").inc();
        metrics.events("duplicate").inc_by(3);
        metrics.store_scrubbed_bytes.inc_by(9_000);
        metrics.import_rows.inc_by(400);
        metrics.store_errors.inc();
        let open = metrics.connections.hold();
        let text = metrics.encode(Timestamp(3_500));
        drop(open);
        for line in [
            "# TYPE endcap_rank_latency_seconds histogram",
            "# UNIT endcap_rank_latency_seconds seconds",
            "endcap_rank_latency_seconds_sum{market=\"se\"} 20.00002",
            "endcap_rank_latency_seconds_count{market=\"no\"} 0",
            "endcap_rank_latency_seconds_bucket{le=\"0.00001\",market=\"se\"} 0",
            "endcap_rank_latency_seconds_bucket{le=\"0.000025\",market=\"se\"} 1",
            "endcap_rank_latency_seconds_bucket{le=\"10.0\",market=\"se\"} 1",
            "endcap_rank_latency_seconds_bucket{le=\"+Inf\",market=\"se\"} 2",
            "endcap_snapshot_age_seconds{market=\"se\"} 2.5",
            "endcap_snapshot_revision{market=\"se\"} 18342",
            "endcap_answers_total{route=\"/v1/markets/{m}/rank\",status=\"200\"} 1",
            "endcap_answers_total{route=\"/v1/markets/{m}/rank\",status=\"429\"} 1",
            "endcap_refused_total{reason=\"overloaded\"} 1",
            "endcap_store_recovered_total{step=\"index-dropped\"} 1",
            "endcap_store_damaged_total{part=\"chunk\"} 1",
            "endcap_events_total{verdict=\"duplicate\"} 3",
            "endcap_store_scrubbed_bytes_total 9000",
            "endcap_import_rows_total 400",
            "endcap_import_rows_rejected_total 0",
            "endcap_store_errors_total 1",
            "endcap_refusals_not_audited_total 0",
            "endcap_dropped_page_events_total 0",
            "endcap_connections 1",
            "endcap_accept_failures_total 0",
            "endcap_panics_caught_total 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains("endcap_snapshot_age_seconds{market=\"no\"}"));
    }

    #[test]
    fn every_metric_has_one_title_and_no_forbidden_label() {
        let text = Metrics::default().encode(Timestamp(0));
        let titles: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let distinct: std::collections::BTreeSet<_> = titles.iter().collect();
        assert_eq!((titles.len(), distinct.len()), (18, 18), "{text}");
        for word in ["key=", "session=", "shopper=", "customer="] {
            assert!(!text.contains(word));
        }
    }
}

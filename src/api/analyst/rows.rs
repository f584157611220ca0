//! Figures as rows of named columns.
//!
//! Sums are integers written as text, money in minor units among them; what is estimated is a number
//! in full double precision, in units. An empty cell is not known.

use serde_json::{Map, Value, json};

use crate::api::analyst::bodies::{Seen, results_body};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::money::Currency;
use crate::domain::time::Date;
use crate::engine::events::results::Evidence;
use crate::measurement::log::Trigger;
use crate::measurement::moments::Figure;
use crate::measurement::split::Arm;
use crate::measurement::sums::{DaySums, MarketSums, Scope};
use crate::measurement::verdict::lift_interval_of;

/// Rows, each with the same columns in the same order.
pub(super) type Rows = Vec<Map<String, Value>>;

const FIGURES: [(Figure, &str); 6] = [
    (Figure::Displays, "displays"),
    (Figure::Clicks, "clicks"),
    (Figure::Units, "units"),
    (Figure::Orders, "orders"),
    (Figure::Revenue, "revenue"),
    (Figure::Profit, "profit"),
];

const ARMS: [(Arm, &str); 2] = [(Arm::Shown, "shown"), (Arm::Withheld, "withheld")];

/// Which figures.
pub(super) struct Wanted {
    pub(super) market: MarketId,
    pub(super) promotion: Option<PromotionId>,
    pub(super) from: Option<Date>,
    pub(super) to: Option<Date>,
    pub(super) sees_profit: bool,
}

impl Wanted {
    fn has_day(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    fn has(&self, promotion: PromotionId) -> bool {
        self.promotion.is_none_or(|wanted| wanted == promotion)
    }

    fn figures(&self) -> Vec<(Figure, &'static str)> {
        let seen = |own: &&(Figure, &str)| self.sees_profit || own.0 != Figure::Profit;
        FIGURES.iter().filter(seen).copied().collect()
    }
}

fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

/// The exact sums of measured stretches: one row a day, level, arm and scope.
pub(super) fn moments(wanted: &Wanted, sums: &MarketSums) -> Rows {
    let mut rows = Rows::new();
    for (key, epoch) in &sums.epochs {
        let days = epoch.days.iter().filter(|(day, _)| wanted.has_day(**day));
        if !wanted.has(key.promotion) {
            continue;
        }
        for (day, own) in days {
            for level in Trigger::ALL {
                for (arm, arm_name) in ARMS {
                    for scope in Scope::ALL {
                        let mut made = row(json!({
                            "promotion": key.promotion.to_string(), "epoch": key.number,
                            "market": wanted.market.to_string(), "day": day.to_string(),
                            "arm": arm_name, "level": level.as_str(), "scope": scope.as_str() }));
                        cell(&mut made, wanted, own, (level, arm, scope));
                        rows.push(made);
                    }
                }
            }
        }
    }
    rows
}

/// The sums of one cell; products and cubes of no T0 are summed, and of none that overflowed.
fn cell(
    row: &mut Map<String, Value>,
    wanted: &Wanted,
    day: &DaySums,
    (level, arm, scope): (Trigger, Arm, Scope),
) {
    let figures = wanted.figures();
    let text = |sum: i128| Value::String(sum.to_string());
    let moments = day.cell(level, arm, scope).map(|cell| cell.moments.read());
    let counts = day.assigned(arm, scope);
    let read = moments.and_then(Result::ok);
    let n = match &moments {
        None => json!(counts.n),
        Some(read) => read.as_ref().map_or(Value::Null, |read| json!(read.n())),
    };
    row.insert("n".to_owned(), n);
    for (figure, name) in &figures {
        let sum = match &moments {
            None => text(counts.sums[*figure as usize]),
            Some(_) => read.map_or(Value::Null, |read| text(read.sum(*figure))),
        };
        row.insert(format!("s_{name}"), sum);
    }
    for (at, (one, name)) in figures.iter().enumerate() {
        for (other, other_name) in &figures[at..] {
            let product = read.map_or(Value::Null, |read| text(read.product(*one, *other)));
            row.insert(format!("p_{name}_{other_name}"), product);
        }
    }
    for (figure, name) in &figures {
        let cube = read.map_or(Value::Null, |read| text(read.cube(*figure)));
        row.insert(format!("c_{name}"), cube);
    }
    for (figure, name) in &figures {
        let nonzero = read.map_or(Value::Null, |read| json!(read.nonzero(*figure)));
        row.insert(format!("nonzero_{name}"), nonzero);
    }
}

/// What every product did on each day, by the day it was booked on.
pub(super) fn rollups(wanted: &Wanted, sums: &MarketSums, currency: Currency) -> Rows {
    let wanted_ones = sums
        .rollups
        .iter()
        .filter(|((_, day), _)| wanted.has_day(*day));
    wanted_ones
        .map(|((product, day), own)| {
            let money = |minor: i128| currency.format_sum(minor);
            let mut made = row(json!({
                "market": wanted.market.to_string(), "product": product.as_str(),
                "day": day.to_string(), "views": own.views, "clicks": own.clicks,
                "orders": own.orders, "units": own.units, "gmv": money(own.paid),
                "refunded_units": own.refunded_units, "refunded_gmv": money(own.refunded),
                "customers": own.customers.len(), "late": own.late,
                "currency": currency.code() }));
            if wanted.sees_profit {
                let unknown = money(own.paid_without_cost);
                made.insert("gmv_without_cost".to_owned(), Value::String(unknown));
            }
            made
        })
        .collect()
}

/// Every metric of every measured stretch in both scopes, money capped in comparisons.
pub(super) fn results(wanted: &Wanted, all: &[Evidence]) -> Rows {
    let mut rows = Rows::new();
    for evidence in all.iter().filter(|own| wanted.has(own.promotion)) {
        for scope in Scope::ALL {
            let results = evidence.results(scope, true);
            let body = json!(results_body(&Seen {
                evidence,
                scope,
                results: &results,
                sees_profit: wanted.sees_profit,
            }));
            for metric in body["metrics"].as_array().into_iter().flatten() {
                rows.push(result(&body, metric));
            }
        }
    }
    rows
}

fn result(body: &Value, metric: &Value) -> Map<String, Value> {
    let arm = |name: &str| &metric[name];
    let (difference, lift) = (&metric["difference"], &metric["lift_percent"]);
    let mut made = row(json!({
        "promotion": body["promotion"], "epoch": body["epoch"]["number"],
        "market": body["market"], "currency": body["currency"], "level": body["level"],
        "scope": body["scope"], "state": body["state"], "as_of": body["as_of"],
        "verdict": body["verdict"]["code"], "metric": metric["metric"],
        "primary": metric["primary"] }));
    for name in ["shown", "withheld"] {
        for (part, own) in [("", arm(name)), ("mature_", &arm(name)["mature"])] {
            for figure in ["sessions", "sum", "mean"] {
                made.insert(format!("{name}_{part}{figure}"), own[figure].clone());
            }
        }
    }
    for figure in ["value", "stderr", "p_fixed", "p_always", "p_adjusted"] {
        let name = match figure {
            "value" => "difference",
            other => other,
        };
        made.insert(name.to_owned(), difference[figure].clone());
    }
    made.insert("lift_percent".to_owned(), lift["value"].clone());
    for (whose, of) in [("difference", difference), ("lift_percent", lift)] {
        for interval in ["interval_fixed", "interval_always"] {
            for (end, name) in ["low", "high"].iter().enumerate() {
                made.insert(
                    format!("{whose}_{interval}_{name}"),
                    of[interval][end].clone(),
                );
            }
        }
    }
    for name in ["chance", "cap", "unknown", "unknown_lift"] {
        made.insert(name.to_owned(), metric[name].clone());
    }
    made
}

/// The primary metric of every measured stretch at the end of each day, in both scopes.
pub(super) fn series(wanted: &Wanted, all: &[Evidence]) -> Rows {
    let mut rows = Rows::new();
    for evidence in all.iter().filter(|own| wanted.has(own.promotion)) {
        for scope in Scope::ALL {
            for point in evidence.series(evidence.primary, scope, true) {
                if !wanted.has_day(point.day) {
                    continue;
                }
                let [shown, withheld] = point.finding.whole;
                let lift = point.finding.compared.as_ref().ok();
                let ends = lift_interval_of(&point.finding, evidence.plan);
                let percent = |fraction: Option<f64>| json!(fraction.map(|own| own * 100.0));
                rows.push(row(json!({
                    "promotion": evidence.promotion.to_string(), "epoch": evidence.number,
                    "market": wanted.market.to_string(), "scope": scope.as_str(),
                    "metric": evidence.primary.as_str(), "day": point.day.to_string(),
                    "shown_sessions": shown.n, "shown_sum": shown.sum.to_string(),
                    "withheld_sessions": withheld.n, "withheld_sum": withheld.sum.to_string(),
                    "lift_percent": percent(lift.and_then(|own| own.lift.value)),
                    "low_percent": percent(ends.map(|ends| ends[0])),
                    "high_percent": percent(ends.map(|ends| ends[1])) })));
            }
        }
    }
    rows
}

//! Verdicts in the words of somebody who has to decide.

use crate::api::analyst::bodies::{Seen, in_percent};
use crate::measurement::verdict::{ALPHA, MARGIN, MetricFinding, interval_of, lift_interval_of};
use crate::promotion::epoch::Plan;

pub(super) fn said(what: &str, primary: &MetricFinding, plan: Plan) -> String {
    let metric = primary.metric.as_str();
    match lift_interval_of(primary, plan) {
        Some([low, high]) => format!(
            "{what}: the lift of {metric} lies between {:.1} and {:.1} %",
            in_percent(low),
            in_percent(high)
        ),
        None => format!("{what}, by {metric}"),
    }
}

pub(super) fn too_few(seen: &Seen<'_>) -> String {
    let primary = seen.results.findings.primary();
    let plan = seen.evidence.plan;
    if plan == Plan::Fixed && !seen.evidence.is_over {
        return "a verdict is planned for a day after the end".to_owned();
    }
    match (&primary.compared, lift_interval_of(primary, plan)) {
        (Err(_), _) => "too few mature days, or sessions in which anything happened".to_owned(),
        (Ok(_), Some([low, high])) if low <= 0.0 && 0.0 <= high => format!(
            "the interval of the lift, {:.1} to {:.1} %, includes 0",
            in_percent(low),
            in_percent(high)
        ),
        (Ok(_), Some([low, high])) => format!(
            "the lift lies between {:.1} and {:.1} %, but not surely among all promotions of the market",
            in_percent(low),
            in_percent(high)
        ),
        (Ok(_), None) => {
            let share = in_percent(1.0 - ALPHA);
            format!("sessions without it did too little for a lift to be told at {share:.0} %")
        }
    }
}

pub(super) fn basket(own: &MetricFinding, plan: Plan) -> String {
    match interval_of(own, plan) {
        None => "whole basket: nothing can be said yet".to_owned(),
        Some([_, high]) if high < 0.0 => "whole basket: a loss".to_owned(),
        Some([low, _]) if low > 0.0 => "whole basket: a gain".to_owned(),
        Some(_) => match lift_interval_of(own, plan) {
            Some([low, _]) if -MARGIN <= low => format!(
                "whole basket: no loss larger than {:.1} %",
                in_percent(-low.min(0.0))
            ),
            _ => "whole basket: no loss visible".to_owned(),
        },
    }
}

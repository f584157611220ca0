//! Statistics of sums that somebody already has: no store, no server.
//!
//! One JSON object a line in, one out. The very functions behind a promotion's results, so a
//! notebook can recompute them.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::infer_request::{Fields, Refused};
use crate::cli::output::{Failure, Outcome, say};
use crate::measurement::compare::{ArmSums, Asked, Bayes, Comparison, Effect, Interval, compare};
use crate::measurement::many::{Pooled, benjamini_hochberg, markets};
use crate::measurement::power::Design;
use crate::measurement::ratio_check::{self, ALARM_BELOW};
use crate::measurement::summary::{PairSums, Summary, Sums, SumsError};

/// Longest list of a request, and most arms.
const LIST_MAX: usize = 100_000;
const ARMS_MAX: usize = 16;

/// Compare sums of two arms, and what goes with it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Infer {
    /// Requests, one JSON object a line; standard input if absent
    file: Option<PathBuf>,
}

/// Answers every line.
///
/// # Errors
/// If the file cannot be read; invalid input if a line was faulty, after all were answered.
pub(in crate::cli) fn infer(command: &Infer) -> Outcome<()> {
    let input: Box<dyn Read> = match &command.file {
        Some(file) => {
            let opened = std::fs::File::open(file);
            Box::new(opened.with_context(|| format!("{} cannot be read", file.display()))?)
        }
        None => Box::new(std::io::stdin()),
    };
    let mut n_faulty = 0_u64;
    for line in BufReader::new(input).lines() {
        let line = line.context("the requests cannot be read")?;
        if line.trim().is_empty() {
            continue;
        }
        let (answer, is_faulty) = answer(&line);
        n_faulty += u64::from(is_faulty);
        say(&answer.to_string());
    }
    match n_faulty {
        0 => Ok(()),
        1 => Err(Failure::invalid("1 line is faulty; its answer says why")),
        n => Err(Failure::invalid(format!(
            "{n} lines are faulty; their answers say why"
        ))),
    }
}

/// The answer to one line, and whether it was faulty.
fn answer(line: &str) -> (Value, bool) {
    let mut fields = match Fields::read(line) {
        Ok(fields) => fields,
        Err(refused) => return (refusal(&Value::Null, &refused), true),
    };
    let id = fields.id();
    match respond(&mut fields).and_then(|own| fields.finish().map(|()| own)) {
        Err(refused) => (refusal(&id, &refused), true),
        Ok(own) => {
            let mut answer = Map::new();
            answer.insert("id".into(), id);
            answer.extend(own);
            (Value::Object(answer), false)
        }
    }
}

fn refusal(id: &Value, refused: &Refused) -> Value {
    json!({ "id": id, "error": { "code": refused.code, "pointer": refused.pointer } })
}

fn respond(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    match fields.text("method")?.as_str() {
        "compare" => respond_compare(fields),
        "srm" => respond_srm(fields),
        "srm-sequential" => respond_srm_sequential(fields),
        "power" => respond_power(fields),
        "bh" => {
            let p = fields.numbers("p", LIST_MAX, |p| (0.0..=1.0).contains(&p))?;
            Ok(object(json!({ "adjusted": benjamini_hochberg(&p) })))
        }
        "markets" => respond_markets(fields),
        _ => Err(Refused::new("unknown-value", "/method")),
    }
}

fn respond_compare(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    let metric = fields.text("metric")?;
    let is_positive = |number: f64| 0.0 < number;
    let asked = Asked {
        alpha: alpha(fields)?,
        planned_sessions: fields.number("planned_sessions", is_positive)?,
        days: fields.number("days", is_positive)?,
    };
    let mut arm = |name: &str| -> Result<ArmSums, Refused> {
        let mut own = fields.object(name)?;
        let sums = match metric.as_str() {
            "mean" => ArmSums::Mean(Sums {
                n: own.count("n")?,
                sum: own.needed("sum")?,
                squares: own.whole("sum_squares")?,
                cubes: own.whole("sum_cubes")?,
            }),
            "proportion" => ArmSums::Share(Sums {
                n: own.count("n")?,
                sum: own.needed("sum")?,
                squares: own.whole("sum_squares")?,
                cubes: own.whole("sum_cubes")?,
            }),
            "ratio" => ArmSums::Ratio(PairSums {
                n: own.count("n")?,
                num: (own.needed("num_sum")?, own.needed("num_sum_squares")?),
                den: (own.needed("den_sum")?, own.needed("den_sum_squares")?),
                products: own.needed("num_den_sum")?,
            }),
            _ => return Err(Refused::new("unknown-value", "/metric")),
        };
        own.finish()?;
        Ok(sums)
    };
    let arms = [arm("shown")?, arm("withheld")?];
    let compared = compare([&arms[0], &arms[1]], &asked).map_err(|(place, error)| {
        let code = match error {
            SumsError::Impossible => "contradiction",
            SumsError::Overflow => "out-of-range",
        };
        Refused::new(code, ["/shown", "/withheld"][place])
    })?;
    Ok(told(&compared))
}

fn told(compared: &Comparison) -> Map<String, Value> {
    let mut out = object(json!({
        "shown": told_arm(&compared.shown),
        "withheld": told_arm(&compared.withheld),
        "all": { "mean": compared.all_mean },
        "difference": compared.difference.as_ref().map(told_effect),
        "lift": { "value": compared.lift.value, "interval": compared.lift.interval },
        "lift_customary": compared.lift_customary,
        "lift_delta": compared.lift_delta.as_ref().map(told_effect),
    }));
    if let Some(always) = compared.always {
        out["lift"]["interval_always"] = json!(compared.lift.interval_always);
        out.insert(
            "always".into(),
            json!({ "kappa2": always.kappa2, "q_n": always.q_n }),
        );
    }
    if let Some(hall) = compared.hall {
        let own = json!({
            "gamma": hall.gamma, "t": hall.t, "p": hall.p,
            "interval": hall.interval, "lift_interval": hall.lift_interval,
        });
        out.insert("hall".into(), own);
    }
    if let Some((value, interval)) = compared.per_day {
        out.insert(
            "per_day".into(),
            json!({ "value": value, "interval": interval }),
        );
    }
    let reasons = [
        ("unknown", compared.unknown),
        ("unknown_lift", compared.unknown_lift),
    ];
    for (name, reason) in reasons {
        if let Some(reason) = reason {
            out.insert(name.into(), json!(reason.as_str()));
        }
    }
    out
}

fn told_arm(arm: &Summary) -> Value {
    json!({ "mean": arm.mean, "variance": arm.variance })
}

fn told_effect(effect: &Effect) -> Value {
    let Bayes {
        chance,
        interval,
        loss_ship,
        loss_keep,
    } = effect.bayes;
    let mut out = json!({
        "value": effect.value, "stderr": effect.stderr, "t": effect.t, "dof": effect.dof,
        "p": effect.p, "interval": effect.interval,
        "bayes": {
            "chance": chance, "interval": interval,
            "expected_loss": { "ship": loss_ship, "keep": loss_keep },
        },
    });
    if let Some(always) = effect.always {
        out["e"] = json!(always.e);
        out["p_always"] = json!(always.p);
        out["interval_always"] = json!(always.interval);
    }
    out
}

fn respond_srm(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    let weights = weights(fields)?;
    let observed = fields.counts("observed", weights.len())?;
    let found = ratio_check::once(&weights, &observed);
    let found = found.ok_or_else(|| Refused::new("out-of-range", "/observed"))?;
    Ok(object(json!({
        "chi_square": found.chi_square, "p": found.p, "alarm": found.is_alarm(),
    })))
}

fn respond_srm_sequential(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    let weights = weights(fields)?;
    let days = fields.count_lists("blocks", weights.len(), LIST_MAX)?;
    let found = ratio_check::sequential(&weights, &days);
    Ok(object(json!({
        "ln_bayes_factor": found.ln_bayes_factor, "p": found.p, "alarm": found.p < ALARM_BELOW,
    })))
}

fn weights(fields: &mut Fields) -> Result<Vec<f64>, Refused> {
    let weights = fields.numbers("weights", ARMS_MAX, |weight| 0.0 < weight)?;
    match weights.len() {
        0 | 1 => Err(Refused::new("too-few", "/weights")),
        _ => Ok(weights),
    }
}

fn respond_power(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    let needed =
        |value: Option<f64>, pointer: &str| value.ok_or_else(|| Refused::new("required", pointer));
    let is_share = |share: f64| 0.0 < share && share < 1.0;
    let design = Design {
        alpha: alpha(fields)?,
        mean: needed(fields.number("mean", |mean| 0.0 < mean)?, "/mean")?,
        sd: needed(fields.number("sd", |sd| 0.0 < sd)?, "/sd")?,
        share_shown: needed(fields.number("share_shown", is_share)?, "/share_shown")?,
    };
    let sessions = fields.number("sessions", |sessions| 0.0 < sessions)?;
    let lift = fields.number("lift", |lift| lift != 0.0)?;
    let power = fields.number("power", |power| design.alpha < power && power < 1.0)?;
    let (sessions, lift, power) = match (sessions, lift, power) {
        (None, Some(lift), Some(power)) => (design.sessions(lift, power), lift, power),
        (Some(sessions), None, Some(power)) => (sessions, design.lift(sessions, power), power),
        (Some(sessions), Some(lift), None) => (sessions, lift, design.power(sessions, lift)),
        (Some(_), Some(_), Some(_)) => return Err(Refused::new("contradiction", "")),
        _ => return Err(Refused::new("required", "")),
    };
    Ok(object(json!({
        "sessions": sessions, "lift": lift, "power": power,
        "sessions_withheld": sessions * (1.0 - design.share_shown),
        "difference": lift * design.mean,
    })))
}

fn respond_markets(fields: &mut Fields) -> Result<Map<String, Value>, Refused> {
    let alpha = alpha(fields)?;
    let lifts = fields.numbers("lifts", LIST_MAX, |_| true)?;
    let variances = fields.numbers("variances", LIST_MAX, |variance| 0.0 < variance)?;
    if lifts.len() != variances.len() {
        return Err(Refused::new("contradiction", "/variances"));
    }
    let found = markets(&lifts, &variances, alpha);
    let found = found.ok_or_else(|| Refused::new("too-few", "/lifts"))?;
    let pooled = |of: Pooled| json!({ "value": of.value, "stderr": of.stderr, "interval": interval(of.interval) });
    Ok(object(json!({
        "fixed": pooled(found.fixed), "random": pooled(found.random),
        "heterogeneity": { "q": found.q, "tau2": found.tau2 },
    })))
}

fn alpha(fields: &mut Fields) -> Result<f64, Refused> {
    let alpha = fields.number("alpha", |alpha| 0.0 < alpha && alpha < 1.0)?;
    Ok(alpha.unwrap_or(0.05))
}

fn interval(interval: Interval) -> Value {
    json!(interval)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

//! `endcap simulate shop`: how often the measuring is wrong where the truth is known.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::output::{Format, Outcome, align, note, plain_table, say, show};
use crate::generator::trials::{Finding, trials};

/// Standard errors of a trial that a promise may be missed by before it counts as broken.
const ERRORS: f64 = 3.0;

/// Try the measuring on made-up sessions.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Simulate {
    /// Sessions of a shop whose lift is known: errors, intervals, peeking, power
    #[command(after_help = "Example:\n  endcap simulate shop --runs 10000 --seed 7")]
    Shop(Shop),
}

/// Trials on a made-up shop.
#[derive(Debug, Args)]
pub(in crate::cli) struct Shop {
    /// Experiments of each trial; those with many looks or promotions take a tenth
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    runs: u32,
    /// The same seed gives the same figures
    #[arg(long, default_value_t = 7)]
    seed: u32,
}

/// Runs the trials and prints what each found beside what is promised.
///
/// # Errors
/// A failure if a promise is broken by more than chance explains.
pub(in crate::cli) fn simulate(format: Format, command: &Simulate) -> Outcome<()> {
    let Simulate::Shop(command) = command;
    let found = trials(command.runs as usize, u64::from(command.seed));
    if format == Format::Table {
        tell(&found);
    } else {
        let rows: Vec<Value> = found.iter().map(told).collect();
        show(format, &json!({ "items": rows }), &[]);
    }
    let broken = found.iter().filter(|own| !own.keeps(ERRORS)).count();
    if 0 < broken {
        let text = format!("{broken} promises are broken by more than chance explains");
        return Err(crate::cli::output::Failure::failed(text));
    }
    note("every promise is kept, give or take three standard errors of its trial");
    Ok(())
}

fn told(own: &Finding) -> Value {
    json!({
        "what": own.what, "runs": own.runs, "share": own.share, "bounds": own.bounds,
        "kept": own.bounds.map(|_| own.keeps(ERRORS)),
    })
}

fn tell(found: &[Finding]) {
    let mut table = plain_table();
    table.set_header(["trial", "runs", "found", "promised", ""]);
    align(&mut table, [false, true, true, true, false]);
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    for own in found {
        let promised = match own.bounds {
            Some([0.0, most]) => format!("up to {}", percent(most)),
            Some([least, 1.0]) => format!("from {}", percent(least)),
            Some([least, most]) => format!("{} to {}", percent(least), percent(most)),
            None => String::new(),
        };
        let kept = match own.bounds {
            None => "to compare",
            Some(_) if own.keeps(0.0) => "kept",
            Some(_) if own.keeps(ERRORS) => "within chance",
            Some(_) => "BROKEN",
        };
        let runs = own.runs.to_string();
        table.add_row([
            own.what.clone(),
            runs,
            percent(own.share),
            promised,
            kept.into(),
        ]);
    }
    say(&table.to_string());
}

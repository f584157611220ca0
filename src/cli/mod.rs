//! **How is it composed and started?**
//!
//! Floor 6: one program, `endcap`. Commands that look at or change a running server speak its API
//! and nothing else ([`client`]); `serve` and `demo` put the rooms together; commands on a stopped
//! data directory call the store.
//!
//! - [`args`], [`promo_args`]: the command line; [`settings`]: flags over environment over file over defaults
//! - [`output`]: results, messages, exit codes
//! - [`credential`]: which key a remote command uses
//! - [`feeds`], [`events`], [`page`], [`work`], [`whatif`], [`measure`], [`operate`]: remote commands
//! - [`house`]: the rooms put together; [`serve`] and [`demo`] run them, [`sample`] makes a
//!   shop and [`crowd`] its shoppers
//! - [`infer`]: statistics of sums at hand, by themselves; [`infer_request`] reads them;
//!   [`simulate`]: how often they err
//! - [`stores`]: what is done with a data directory while no server runs
//!
//! Invariants: results on standard output, everything else on standard error; every failure has
//! one of seven exit codes; no key is ever printed but the one just made.

mod args;
mod assign;
mod client;
mod credential;
mod crowd;
mod demo;
mod events;
mod feeds;
mod folder;
mod house;
mod infer;
mod infer_request;
mod measure;
mod operate;
mod output;
mod page;
mod promo_args;
mod sample;
mod serve;
mod settings;
mod simulate;
mod stores;
mod whatif;
mod work;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::api::openapi;
use crate::cli::args::{Cli, Command, Config, Export, Import, Restore};
use crate::cli::client::Client;
use crate::cli::house::backup_dir;
use crate::cli::output::{Failure, Outcome, finish, say};
use crate::cli::stores::Stopped;
use crate::engine::clock::Clock;
use crate::store::backup::import::Over;
use crate::store::backup::restore::Loss;

/// Does what the command line says, and gives the code to end with.
pub fn run() -> ExitCode {
    finish(obey(&Cli::parse()))
}

fn obey(cli: &Cli) -> Outcome<()> {
    let format = cli.format;
    if format.written().is_some() && !matches!(cli.command, Command::Generate(_)) {
        return Err(Failure::usage(
            "results are table, json or ndjson; only generate writes feeds of other formats",
        ));
    }
    let client = || Client::new(&cli.url, credential::find(cli)?);
    match &cli.command {
        Command::Serve(command) => serve::serve(cli, command),
        Command::Demo(command) => demo::demo(command),
        Command::Generate(command) => sample::generate(command, format),
        Command::Market(command) => operate::market(&client()?, format, command),
        Command::Import(Import::Store {
            file,
            into,
            replace,
        }) => bring_in(cli, file, into, *replace),
        Command::Import(command) => feeds::import(&client()?, format, command),
        Command::Validate(command) => feeds::validate(&client()?, format, command),
        Command::Rank(command) => page::rank(&client()?, format, command),
        Command::Promo(command) => work::promo(&client()?, format, command),
        Command::Key(command) => operate::key(&client()?, format, command),
        Command::Measure(command) => measure::measure(&client()?, format, command),
        Command::Assign(command) => assign::assign(&client()?, format, command),
        Command::Audit(command) => operate::audit(&client()?, format, command),
        Command::Status => operate::status(&client()?, format),
        Command::Limits => operate::limits(&client()?, format),
        Command::Backup(command) => match (&command.data, &command.into) {
            (Some(data), Some(into)) => stopped(cli, data)?.back_up(format, into),
            _ => operate::backup(&client()?, format),
        },
        Command::Export(command) => match command {
            Export::Store { file, data } => stopped(cli, data)?.export(format, file),
            Export::Results(own) => measure::export(&client()?, format, "results", own),
            Export::Series(own) => measure::export(&client()?, format, "series", own),
            Export::Moments(own) => measure::export(&client()?, format, "moments", own),
            Export::Rollups(own) => measure::export(&client()?, format, "rollups", own),
        },
        Command::Restore(command) => bring_back(cli, command),
        Command::Verify(command) if command.path.is_dir() => {
            let settings = settings::load(cli.config.as_deref())?;
            stopped(cli, &command.path)?.verify(format, &backup_dir(&settings, &command.path))
        }
        Command::Verify(command) => stores::verify_export(format, &command.path),
        Command::Infer(command) => infer::infer(command),
        Command::Simulate(command) => simulate::simulate(format, command),
        Command::Openapi => {
            say(&openapi());
            Ok(())
        }
        Command::Config(Config::Print) => settings::print(cli.config.as_deref(), format),
        Command::Config(Config::Check) => settings::check(cli.config.as_deref()),
        Command::Completions { shell } => {
            // Into memory first: clap_complete panics where nobody reads.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "endcap", &mut script);
            say(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
    }
}

fn stopped(cli: &Cli, data: &Path) -> Outcome<Stopped> {
    Stopped::at(
        &settings::load(cli.config.as_deref())?,
        data,
        Clock::real().now(),
    )
}

fn bring_in(cli: &Cli, file: &Path, into: &Path, replace: bool) -> Outcome<()> {
    let settings = settings::load(cli.config.as_deref())?;
    let over = if replace { Over::Store } else { Over::Nothing };
    Stopped::to_be(&settings, into, Clock::real().now()).import(cli.format, file, over)
}

fn bring_back(cli: &Cli, command: &Restore) -> Outcome<()> {
    if let Some(into) = &command.into {
        if command.from.is_dir() {
            return Err(Failure::usage(
                "--into takes an export file; a data directory is restored where it lies",
            ));
        }
        return bring_in(cli, &command.from, into, command.replace);
    }
    if command.from.is_file() {
        return Err(Failure::usage("an export is restored with --into DIR"));
    }
    let target = stores::read_target(command.at.as_deref())?;
    let loss = if command.accept_loss {
        Loss::Accepted
    } else {
        Loss::Refused
    };
    stopped(cli, &command.from)?.restore(cli.format, target, loss)
}

//! `endcap serve`: the server, from its settings to a clean end.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::args::{Cli, Serve};
use crate::cli::credential::{self, FIRST_KEY_FILE};
use crate::cli::house::{self, Server};
use crate::cli::output::{Failure, Outcome, note, say};
use crate::cli::settings::{self, Settings};
use crate::engine::clock::Clock;
use crate::engine::start::Engine;
use crate::http::stop::Stop;
use crate::store::opened::Opened;
use crate::telemetry::log;

/// Runs the server until it is told to end.
///
/// # Errors
/// Exit code 2 for settings that make no sense, 1 if the directory is in use or the address taken,
/// 7 if the data is damaged beyond repair or too new.
pub(in crate::cli) fn serve(cli: &Cli, command: &Serve) -> Outcome<()> {
    let settings = read(cli, command)?;
    check_reach(&settings, command.allow_plaintext)?;
    log::init(settings.log.read()?).map_err(|error| Failure::failed(error.to_string()))?;
    let clock = if command.test_clock {
        Clock::test()
    } else {
        Clock::real()
    };
    check_free(settings.server.listen)?;
    if let Some(address) = settings.server.ops_listen {
        check_free(address)?;
    }
    let stores = house::open_store(&settings, clock.now())?;
    let runtime = house::runtime()?;
    let outcome = runtime.block_on(run(&settings, clock, stores));
    house::end(runtime);
    outcome
}

/// The settings, with what the command line says on top.
fn read(cli: &Cli, command: &Serve) -> Outcome<Settings> {
    let mut settings = settings::load(cli.config.as_deref())?;
    if let Some(listen) = &command.listen {
        let read: Result<SocketAddr, _> = listen.parse();
        settings.server.listen = read.map_err(|_| {
            Failure::usage(format!("\"{listen}\" is no address such as 127.0.0.1:7700"))
        })?;
    }
    if let Some(path) = &command.data {
        settings.store.path.clone_from(path);
    }
    Ok(settings)
}

/// Refuses to send keys in the clear beyond this machine, unless somebody answers for the way.
fn check_reach(settings: &Settings, allow_plaintext: bool) -> Outcome<()> {
    let listen = settings.server.listen;
    if listen.ip().is_loopback() || allow_plaintext || !settings.server.trusted_proxies.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "keys would travel to {listen} in the clear: put a proxy with TLS in front and name it in \
         server.trusted_proxies, or say --allow-plaintext"
    )))
}

/// Fails while nothing has been made or touched yet if the address cannot be listened on.
fn check_free(listen: SocketAddr) -> Outcome<()> {
    let probe = std::net::TcpListener::bind(listen);
    probe.with_context(|| format!("{listen} cannot be listened on"))?;
    Ok(())
}

async fn run(settings: &Settings, clock: Clock, stores: Opened) -> Outcome<()> {
    let key_file = settings.store.path.join(FIRST_KEY_FILE);
    let (server, stop) = Server::raise(settings, clock, stores, Some(&key_file)).await?;
    tokio::spawn(end_on_signals(Signals::hear()?, stop.clone()));
    hand_out_first_key(&server.engine, &key_file).await?;
    if let Some(address) = server.ops_address {
        note(&format!(
            "health, metrics and status are on http://{address}, without a key"
        ));
    }
    say(&format!(
        "endcap {} listens on http://{}",
        env!("CARGO_PKG_VERSION"),
        server.address
    ));
    let drained = server.serve(stop).await;
    tracing::info!(n_cut_off = drained.n_cut_off, "ended");
    Ok(())
}

/// SIGTERM and SIGINT of this process.
pub(in crate::cli) struct Signals(Signal, Signal);

impl Signals {
    /// From here on they no longer end the process by themselves.
    ///
    /// # Errors
    /// If the system lets nobody listen for signals.
    pub(in crate::cli) fn hear() -> Outcome<Self> {
        let hear = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self(
            hear(SignalKind::terminate())?,
            hear(SignalKind::interrupt())?,
        ))
    }

    /// Waits for the next one.
    pub(in crate::cli) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// The first signal begins to end, the second ends at once: all that was acknowledged is on disk
/// either way.
async fn end_on_signals(mut signals: Signals, stop: Stop) {
    signals.next().await;
    stop.begin();
    signals.next().await;
    std::process::exit(1);
}

/// Makes the operator key of a store that has none. A store that takes no writes is served all the
/// same.
///
/// # Errors
/// If the key has no place to go.
async fn hand_out_first_key(engine: &Engine, path: &Path) -> Outcome<()> {
    if !engine.needs_first_key() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    // What lies there opens nothing any more.
    let _ = std::fs::remove_file(path);
    let file = credential::create(path)?;
    let key = match engine.make_first_key().await {
        Ok(Some(key)) => key,
        Ok(None) => return Ok(()),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            note(&format!("no first operator key could be made: {error}"));
            return Ok(());
        }
    };
    credential::fill(file, path, key.expose())?;
    // The key itself goes to people, never into a log.
    let is_seen = std::io::stderr().is_terminal();
    let shown = if is_seen {
        format!(": {}", key.expose())
    } else {
        String::new()
    };
    note(&format!(
        "the first operator key, good for a day, is in {}{shown}",
        path.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, proxies: &[&str], allow_plaintext: bool, expected: bool) {
        let mut settings = Settings::default();
        settings.server.listen = listen.parse().unwrap();
        settings.server.trusted_proxies = proxies.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(
            check_reach(&settings, allow_plaintext).is_ok(),
            expected,
            "{listen}"
        );
    }

    #[test]
    fn keys_do_not_leave_the_machine_in_the_clear() {
        check("127.0.0.1:7700", &[], false, true);
        check("[::1]:7700", &[], false, true);
        check("0.0.0.0:7700", &[], false, false);
        check("[::]:7700", &[], false, false);
        check("10.1.2.3:7700", &["10.1.2.4"], false, true);
        check("10.1.2.3:7700", &[], true, true);
    }
}

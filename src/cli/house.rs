//! The rooms put together into one server: store, engine, routes, accept loop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cli::output::{Failure, Outcome};
use crate::cli::settings::{Settings, StoreKind};
use crate::domain::time::Timestamp;
use crate::engine::background;
use crate::engine::clock::Clock;
use crate::engine::entropy::Entropy;
use crate::engine::kept::Keep;
use crate::engine::start::{Engine, Settings as EngineSettings, StartError as EngineStart};
use crate::http::Settings as HttpSettings;
use crate::http::accept::{Drained, serve};
use crate::http::shell::{Parts as ShellParts, Shell};
use crate::http::stop::Stop;
use crate::record::json::RecordForms;
use crate::store::backup::dir::DirBackups;
use crate::store::disk::RealDisk;
use crate::store::opened::Opened;
use crate::store::seam::Entropy as Random;
use crate::store::start::{Parts, Settings as StoreSettings, StartError};
use crate::store::{StoreId, memory, start};
use crate::telemetry::metrics::Metrics;

/// How long what is still running when the server has ended may take.
const AFTERMATH: Duration = Duration::from_secs(5);

/// What the store draws its ids and salts from.
#[derive(Debug)]
pub(in crate::cli) struct Dice(Entropy);

impl Dice {
    /// Seeded by the operating system.
    pub(in crate::cli) fn from_system() -> Arc<Self> {
        Arc::new(Self(Entropy::from_system()))
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(32) {
            part.copy_from_slice(&self.0.bytes::<32>()[..part.len()]);
        }
    }
}

/// What the store is told.
pub(in crate::cli) fn store_settings(settings: &Settings, path: &Path) -> StoreSettings {
    let store = &settings.store;
    StoreSettings {
        path: path.to_path_buf(),
        group_ms: store.group_ms,
        events_ms: settings.events.fsync_ms,
        cache_mib: store.cache_mib,
        journal_file_bytes: store.journal_file_mib << 20,
        ballast_mib: store.ballast_mib,
    }
}

/// What the store in a data directory is built upon. Its backups lie inside unless the settings
/// name a better place.
pub(in crate::cli) fn store_parts(
    settings: &Settings,
    store: &StoreSettings,
    now: Timestamp,
) -> Parts {
    let forms = Arc::new(RecordForms);
    let backup_dir = backup_dir(settings, &store.path);
    let backups = DirBackups::new(Arc::new(RealDisk), backup_dir, forms.clone());
    Parts::real(store, Arc::new(backups), Dice::from_system(), forms, now)
}

/// Where the backups of a data directory are: where the settings say, else `backup` inside.
///
/// Stores made before 2026-11-26 have them in `backups`. Where that exists and `backup` does not,
/// it goes on being used: no file moves, and all backups of a store are in one place.
pub(in crate::cli) fn backup_dir(settings: &Settings, data: &Path) -> PathBuf {
    let named = settings.store.backup_dir.clone();
    let dir = named.unwrap_or_else(|| backups_inside(data));
    // A name of one part has no parent whose entry could be synced.
    std::path::absolute(&dir).unwrap_or(dir)
}

fn backups_inside(data: &Path) -> PathBuf {
    let (now, formerly) = (data.join("backup"), data.join("backups"));
    if !now.is_dir() && formerly.is_dir() {
        formerly
    } else {
        now
    }
}

/// Opens the store that the settings name. Blocks until it is in memory.
///
/// # Errors
/// As [`store_failure`].
pub(in crate::cli) fn open_store(settings: &Settings, now: Timestamp) -> Outcome<Opened> {
    match settings.store.read_kind()? {
        StoreKind::Embedded => {
            let own = store_settings(settings, &settings.store.path);
            start::open(&own, &store_parts(settings, &own, now))
                .map_err(|error| store_failure(&error))
        }
        StoreKind::Memory => {
            let id = StoreId(Entropy::from_system().bytes());
            let opened = memory::open(id).context("no store in memory could be opened");
            Ok(opened?)
        }
    }
}

/// Exit code 7 for what is damaged or too new, 1 for a directory in use or a disk that fails.
pub(in crate::cli) fn store_failure(error: &StartError) -> Failure {
    match error {
        StartError::TooNew { .. } => Failure::damaged(error.to_string())
            .hint("this data was written by a newer endcap: run that one, or restore a backup"),
        StartError::Damaged { .. } => Failure::damaged(error.to_string()),
        StartError::Locked { .. } => Failure::failed(error.to_string())
            .hint("stop that process first, or name another directory"),
        StartError::Disk(_) => Failure::failed(error.to_string()),
    }
}

fn engine_failure(error: &EngineStart) -> Failure {
    match error {
        EngineStart::Fold(_) => Failure::damaged(format!("the stored configuration: {error}"))
            .hint("endcap verify DIR says more; endcap restore brings an earlier state back"),
        EngineStart::OtherClock { .. } => Failure::usage(error.to_string()),
        EngineStart::Begin(_) | EngineStart::Thread(_) => Failure::failed(error.to_string()),
    }
}

/// A runtime for a server.
///
/// # Errors
/// If the system has no thread to give.
pub(in crate::cli) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    Ok(runtime.context("no threads for a server")?)
}

/// Ends a runtime; what hangs is left behind.
pub(in crate::cli) fn end(runtime: tokio::runtime::Runtime) {
    runtime.shutdown_timeout(AFTERMATH);
}

/// A server that is up and not yet serving.
pub(in crate::cli) struct Server {
    /// Every use case.
    pub(in crate::cli) engine: Engine,
    /// Where it will answer.
    pub(in crate::cli) address: SocketAddr,
    /// Where it will answer those who watch, without a key.
    pub(in crate::cli) ops_address: Option<SocketAddr>,
    listener: TcpListener,
    shell: Arc<Shell>,
    watched: Option<(TcpListener, Arc<Shell>)>,
    jobs: JoinHandle<()>,
}

impl Server {
    /// Puts a server together over stores that are up. From here on connections are taken in by
    /// the system, and answered once it serves.
    ///
    /// # Errors
    /// If the address is taken, or what is stored cannot be read.
    pub(in crate::cli) async fn raise(
        settings: &Settings,
        clock: Clock,
        stores: Opened,
        first_key_file: Option<&Path>,
    ) -> Outcome<(Self, Stop)> {
        background::gather();
        let (listener, address) = listen(settings.server.listen).await?;
        let for_ops = match settings.server.ops_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let metrics = Arc::new(Metrics::default());
        for step in &stores.report.steps {
            metrics.store_recovered(step.name).inc();
        }
        let own = EngineSettings {
            keep: Keep {
                time: Duration::from_mins(settings.snapshots.keep_min),
                bytes: settings.snapshots.keep_mib << 20,
            },
            first_key_file: first_key_file.map(Path::to_path_buf),
            ..EngineSettings::default()
        };
        let entropy = Entropy::from_system();
        let process = entropy.salt();
        let engine = Engine::start(own, clock, entropy, stores, metrics);
        let engine = engine.await.map_err(|error| engine_failure(&error))?;
        let (stop, own) = (Stop::new(), http_settings(settings)?);
        let shell = |routes, process| {
            let parts = ShellParts {
                house: Arc::new(engine.clone()),
                metrics: Arc::clone(engine.metrics()),
                settings: own.clone(),
                process,
            };
            Arc::new(Shell::new(routes, parts))
        };
        let ops_address = for_ops.as_ref().map(|(_, address)| *address);
        let watched = for_ops.map(|(listener, _)| {
            let routes = crate::api::watched_routes(engine.clone(), stop.clone());
            // Names of requests differ from those of the other socket.
            (listener, shell(routes, process ^ 1))
        });
        let routes = crate::api::routes(engine.clone(), stop.clone(), &own);
        let shell = shell(routes, process);
        let jobs = tokio::spawn(engine.clone().run_jobs());
        Ok((
            Self {
                engine,
                address,
                ops_address,
                listener,
                shell,
                watched,
                jobs,
            },
            stop,
        ))
    }

    /// Serves until the word to end; then what was acknowledged is on disk and the stores are
    /// closed.
    pub(in crate::cli) async fn serve(self, stop: Stop) -> Drained {
        let watched = self.watched;
        let watched =
            watched.map(|(listener, shell)| tokio::spawn(serve(listener, shell, stop.clone())));
        let drained = serve(self.listener, self.shell, stop).await;
        if let Some(watched) = watched {
            let _ = watched.await;
        }
        self.jobs.abort();
        let _ = self.jobs.await;
        let engine = self.engine;
        engine.run_last_jobs().await;
        let _ = tokio::task::spawn_blocking(move || {
            engine.stop();
            drop(engine);
        })
        .await;
        drained
    }
}

/// A socket of this address, and the address it got.
async fn listen(address: SocketAddr) -> Outcome<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("{address} cannot be listened on"))?;
    let address = listener.local_addr().context("the socket has no address")?;
    Ok((listener, address))
}

fn http_settings(settings: &Settings) -> Outcome<HttpSettings> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut own = HttpSettings::of_cores(cores);
    own.accepting.grace = Duration::from_secs(settings.server.shutdown_grace_s);
    own.trusted_proxies
        .clone_from(&settings.server.trusted_proxies);
    own.rates = settings.limits.read()?;
    own.public_url = settings.server.read_public_url()?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_lie_in_backup_unless_the_store_has_them_elsewhere_already() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let check = |settings: &Settings, expected: &str| {
            assert_eq!(backup_dir(settings, data), data.join(expected));
        };
        let mut settings = Settings::default();
        check(&settings, "backup");
        std::fs::create_dir(data.join("backups")).unwrap();
        check(&settings, "backups");
        std::fs::create_dir(data.join("backup")).unwrap();
        check(&settings, "backup");
        settings.store.backup_dir = Some(data.join("elsewhere"));
        check(&settings, "elsewhere");
    }
}

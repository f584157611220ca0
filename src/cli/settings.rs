//! Settings: flags over environment over `endcap.toml` over defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

use crate::cli::output::{Failure, Outcome};
use crate::domain::text::nearest;

/// Every setting of this build.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Settings {
    pub server: Server,
    pub store: Store,
    pub snapshots: Snapshots,
    pub log: Log,
}

/// Where and how to listen.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Server {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address for health and metrics without a key.
    pub ops_listen: Option<SocketAddr>,
    /// Address under which shops reach the server.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Seconds to finish requests in after SIGTERM.
    pub shutdown_grace_s: u64,
}

/// Where the data lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Store {
    /// `embedded` or `memory`.
    pub kind: String,
    /// Data directory.
    pub path: PathBuf,
    /// Where backups go; better another disk.
    pub backup_dir: Option<PathBuf>,
    /// Milliseconds to collect writes for one sync.
    pub group_ms: u64,
    /// Cache of the index.
    pub cache_mib: u64,
    /// Size at which a journal file is sealed.
    pub journal_file_mib: u64,
    /// Size of the file that may be deleted on a full disk.
    pub ballast_mib: Option<u64>,
    /// Days that orders and audit entries are kept.
    pub keep_days: u32,
}

/// How long replaced snapshots live.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Snapshots {
    /// Minutes during which a cursor finds its snapshot again.
    pub keep_min: u64,
}

/// What is logged.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Log {
    /// error, warn, info, debug or trace.
    pub level: String,
    /// text or json.
    pub format: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            ops_listen: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            shutdown_grace_s: 20,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: "embedded".to_owned(),
            path: PathBuf::from("./data"),
            backup_dir: None,
            group_ms: 1,
            cache_mib: 64,
            journal_file_mib: 64,
            ballast_mib: None,
            keep_days: 400,
        }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { keep_min: 10 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

/// Reads the settings file and the environment.
///
/// # Errors
/// Exit code 2, naming an unknown or unreadable setting and the nearest known one.
pub(in crate::cli) fn load(file: Option<&Path>) -> Outcome<Settings> {
    let (path, required) = match file {
        Some(path) => (path, true),
        None => (Path::new("endcap.toml"), false),
    };
    let source = File::from(path).format(FileFormat::Toml).required(required);
    let environment = Environment::with_prefix("ENDCAP")
        .prefix_separator("_")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("server.trusted_proxies")
        .try_parsing(true)
        .source(Some(sections_of_environment()));
    let built = Config::builder().add_source(source).add_source(environment).build();
    built.and_then(Config::try_deserialize).map_err(|error| Failure::usage(explain(&error.to_string())))
}

/// Only variables of the form `ENDCAP_SECTION__KEY`: others, such as `ENDCAP_URL`, are no settings.
fn sections_of_environment() -> config::Map<String, String> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("ENDCAP_") && name.contains("__"))
        .collect()
}

/// serde names the unknown field and the expected ones; the nearest of them is what was meant.
fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.contains("unknown field") => {
            let meant = nearest(unknown, known.iter().copied());
            let meant = meant.map(|known| format!(", did you mean \"{known}\"?")).unwrap_or_default();
            format!("settings: {message}{meant}")
        }
        _ => format!("settings: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_get_a_suggestion() {
        let message = "unknown field `lissten`, expected one of `listen`, `ops_listen`";
        assert!(explain(message).ends_with("did you mean \"listen\"?"));
    }

    #[test]
    fn the_file_wins_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endcap.toml");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:9\"\n[store]\ngroup_ms = 5\n").unwrap();
        let settings = load(Some(&path)).unwrap();
        assert_eq!(settings.server.listen.port(), 9);
        assert_eq!((settings.store.group_ms, settings.store.keep_days), (5, 400));
        std::fs::write(&path, "[server]\nlissten = \"127.0.0.1:9\"\n").unwrap();
        assert!(load(Some(&path)).is_err());
    }
}

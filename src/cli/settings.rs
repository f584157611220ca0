//! Settings: flags over environment over `endcap.toml` over defaults.
//!
//! Each section is one struct. What the sections mean to the rooms is filled in where the rooms are
//! started.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Map, ValueKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::output::{Failure, Format, Outcome, note, say, show};
use crate::domain::complaint::Fault;
use crate::domain::text::nearest;
use crate::http::host::PublicUrl;
use crate::http::quota::{Quota, Rates};
use crate::telemetry::log;

/// The settings file that is read without being named.
const FILE: &str = "endcap.toml";

/// Every setting of this build.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Settings {
    pub(in crate::cli) server: Server,
    pub(in crate::cli) store: Store,
    pub(in crate::cli) events: Events,
    pub(in crate::cli) snapshots: Snapshots,
    pub(in crate::cli) limits: Limits,
    pub(in crate::cli) log: Log,
}

/// Where and how to listen.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Server {
    /// Address of the API.
    pub(in crate::cli) listen: SocketAddr,
    /// Address for health, metrics and status without a key.
    pub(in crate::cli) ops_listen: Option<SocketAddr>,
    /// Address under which shops and people reach the server, if it is another one: what comes with
    /// a session's cookie must name it, and the API's description does.
    pub(in crate::cli) public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(in crate::cli) trusted_proxies: Vec<IpAddr>,
    /// Seconds to finish requests in after SIGTERM.
    pub(in crate::cli) shutdown_grace_s: u64,
}

/// Where the data lies.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Store {
    /// On disk, or in memory for as long as the process lives.
    pub(in crate::cli) kind: String,
    /// Data directory.
    pub(in crate::cli) path: PathBuf,
    /// Where backups go; better another disk. In `backup` inside the data directory if it is not set.
    pub(in crate::cli) backup_dir: Option<PathBuf>,
    /// Milliseconds to collect writes for one sync.
    pub(in crate::cli) group_ms: u64,
    /// Cache of the index.
    pub(in crate::cli) cache_mib: u64,
    /// Size at which a journal file is sealed.
    pub(in crate::cli) journal_file_mib: u64,
    /// Size of the file that may be deleted on a full disk; by the volume's size if not set.
    pub(in crate::cli) ballast_mib: Option<u64>,
}

/// Kinds of store of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum StoreKind {
    /// Files in the data directory.
    Embedded,
    /// Nothing outlives the process.
    Memory,
}

/// How events are written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Events {
    /// Milliseconds to collect events for one sync.
    pub(in crate::cli) fsync_ms: u64,
}

/// How long replaced snapshots live, for pages by cursor.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Snapshots {
    /// Minutes during which a cursor finds its snapshot again.
    pub(in crate::cli) keep_min: u64,
    /// Most MiB that replaced snapshots hold beyond the current one; cursors end earlier then.
    pub(in crate::cli) keep_mib: usize,
}

/// How often one may call: calls a second or an hour, and calls at once.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Limits {
    /// Ranks of one key that is not public.
    pub(in crate::cli) rank_per_s: u32,
    pub(in crate::cli) rank_burst: u32,
    /// Ranks of public keys from one address.
    pub(in crate::cli) rank_address_per_s: u32,
    pub(in crate::cli) rank_address_burst: u32,
    /// Ranks of one public key from all addresses.
    pub(in crate::cli) rank_public_per_s: u32,
    pub(in crate::cli) rank_public_burst: u32,
    /// Calls that bring events, of one key, or of public keys from one address.
    pub(in crate::cli) events_per_s: u32,
    pub(in crate::cli) events_burst: u32,
    /// Calls of one key that change something.
    pub(in crate::cli) writes_per_s: u32,
    pub(in crate::cli) writes_burst: u32,
    /// Exports begun by one key.
    pub(in crate::cli) exports_per_h: u32,
    /// Backups begun by one key.
    pub(in crate::cli) backups_per_h: u32,
}

/// Least and greatest figure of [`Limits`]: with none nothing could be done any more, and beyond a
/// million a second the time of one call is no longer whole in nanoseconds.
const LIMIT: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// What is logged.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Log {
    /// error, warn, info, debug or trace.
    pub(in crate::cli) level: String,
    /// text or json.
    pub(in crate::cli) format: String,
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
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { fsync_ms: 10 }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            keep_min: 10,
            keep_mib: 1_024,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rates = Rates::default();
        Self {
            rank_per_s: rates.rank.tokens,
            rank_burst: rates.rank.burst,
            rank_address_per_s: rates.rank_address.tokens,
            rank_address_burst: rates.rank_address.burst,
            rank_public_per_s: rates.rank_public.tokens,
            rank_public_burst: rates.rank_public.burst,
            events_per_s: rates.events.tokens,
            events_burst: rates.events.burst,
            writes_per_s: rates.writes.tokens,
            writes_burst: rates.writes.burst,
            exports_per_h: rates.exports.tokens,
            backups_per_h: rates.backups.tokens,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "text".to_owned(),
        }
    }
}

impl Server {
    /// Where shops reach the server, if that was said.
    ///
    /// # Errors
    /// Exit code 2 for what is no bare `http://` or `https://` address.
    pub(in crate::cli) fn read_public_url(&self) -> Outcome<Option<PublicUrl>> {
        let read = self.public_url.as_deref().map(PublicUrl::parse);
        read.transpose()
            .map_err(|fault| wrong("server.public_url", &fault))
    }
}

impl Store {
    /// Which kind of store is meant.
    ///
    /// # Errors
    /// Exit code 2 for one that does not exist.
    pub(in crate::cli) fn read_kind(&self) -> Outcome<StoreKind> {
        match self.kind.as_str() {
            "embedded" => Ok(StoreKind::Embedded),
            "memory" => Ok(StoreKind::Memory),
            other => Err(wrong(
                "store.kind",
                &Fault::unknown_value(other, &["embedded", "memory"]),
            )),
        }
    }
}

impl Limits {
    /// What `http` is told.
    ///
    /// # Errors
    /// Exit code 2 for a figure out of range.
    pub(in crate::cli) fn read(&self) -> Outcome<Rates> {
        let figures = serde_json::to_value(self).unwrap_or_default();
        for (name, figure) in figures.as_object().into_iter().flatten() {
            let found = figure
                .as_u64()
                .and_then(|figure| u32::try_from(figure).ok());
            if !found.is_some_and(|figure| LIMIT.contains(&figure)) {
                let fault = Fault::OutOfRange {
                    found: figure.to_string(),
                    allowed: format!("{} to {}", LIMIT.start(), LIMIT.end()),
                };
                return Err(wrong(&format!("limits.{name}"), &fault));
            }
        }
        Ok(Rates {
            rank: Quota::per_s("rank", self.rank_per_s, self.rank_burst),
            rank_address: Quota::per_s("rank", self.rank_address_per_s, self.rank_address_burst),
            rank_public: Quota::per_s("rank", self.rank_public_per_s, self.rank_public_burst),
            events: Quota::per_s("events", self.events_per_s, self.events_burst),
            writes: Quota::per_s("writes", self.writes_per_s, self.writes_burst),
            exports: Quota::per_h("exports", self.exports_per_h),
            backups: Quota::per_h("backups", self.backups_per_h),
        })
    }
}

fn wrong(setting: &str, fault: &Fault) -> Failure {
    let meant = fault
        .did_you_mean()
        .map(|word| format!(", did you mean \"{word}\"?"));
    Failure::usage(format!(
        "settings: {setting}: {fault}{}",
        meant.unwrap_or_default()
    ))
}

impl Log {
    /// What `telemetry` is told.
    ///
    /// # Errors
    /// Exit code 2 for a level or format that does not exist.
    pub(in crate::cli) fn read(&self) -> Outcome<log::Settings> {
        Ok(log::Settings {
            level: log::Level::parse(&self.level).map_err(|fault| wrong("log.level", &fault))?,
            format: log::Format::parse(&self.format)
                .map_err(|fault| wrong("log.format", &fault))?,
        })
    }
}

/// Reads the settings file and the environment.
///
/// # Errors
/// Exit code 2, naming an unknown or unreadable setting and the nearest known one.
pub(in crate::cli) fn load(file: Option<&Path>) -> Outcome<Settings> {
    let settings = read(gather(file, environment())?)?;
    settings.log.read()?;
    settings.store.read_kind()?;
    settings.limits.read()?;
    settings.server.read_public_url()?;
    Ok(settings)
}

/// Prints every setting with its value and origin.
///
/// # Errors
/// As [`load`].
pub(in crate::cli) fn print(file: Option<&Path>, format: Format) -> Outcome<()> {
    let gathered = gather(file, environment())?;
    let rows = origins(&gathered, &read(gathered.clone())?);
    show(format, &rows, &["setting", "value", "origin"]);
    Ok(())
}

/// Says whether the settings can be read.
///
/// # Errors
/// As [`load`].
pub(in crate::cli) fn check(file: Option<&Path>) -> Outcome<()> {
    load(file)?;
    match file {
        None if !Path::new(FILE).exists() => note("no endcap.toml here: defaults and environment"),
        _ => {}
    }
    say("settings are sound");
    Ok(())
}

/// What was set, and where.
fn gather(file: Option<&Path>, environment: Map<String, String>) -> Outcome<Config> {
    let path = file.unwrap_or(Path::new(FILE));
    let source = File::from(path)
        .format(FileFormat::Toml)
        .required(file.is_some());
    let variables = Environment::with_prefix("ENDCAP")
        .prefix_separator("_")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("server.trusted_proxies")
        .try_parsing(true)
        .source(Some(environment));
    let built = Config::builder()
        .add_source(source)
        .add_source(variables)
        .build();
    built.map_err(|error| Failure::usage(explain(&error.to_string())))
}

fn read(gathered: Config) -> Outcome<Settings> {
    let read: Result<Settings, _> = gathered.try_deserialize();
    read.map_err(|error| Failure::usage(explain(&error.to_string())))
}

/// Only variables of the form `ENDCAP_SECTION__KEY`: others, such as `ENDCAP_URL`, are no settings.
fn environment() -> Map<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("ENDCAP_") && name.contains("__"))
        .collect()
}

/// serde names the unknown word and the expected ones; the nearest of them is what was meant.
fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.contains("unknown field") || message.contains("unknown variant");
    let meant = quoted.split_first().filter(|_| unknown);
    let meant = meant.and_then(|(word, known)| nearest(word, known.iter().copied()));
    let meant = meant
        .map(|known| format!(", did you mean \"{known}\"?"))
        .unwrap_or_default();
    format!("settings: {message}{meant}")
}

/// Every setting as a row, in the order of the sections.
fn origins(gathered: &Config, settings: &Settings) -> Value {
    let sections = serde_json::to_value(settings).unwrap_or_default();
    let mut rows = Vec::new();
    for (section, keys) in sections.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            let origin = origin(gathered, section, key);
            let setting = format!("{section}.{key}");
            rows.push(json!({ "setting": setting, "value": value, "origin": origin }));
        }
    }
    Value::Array(rows)
}

fn origin(gathered: &Config, section: &str, key: &str) -> String {
    let set = match &gathered.cache.kind {
        ValueKind::Table(sections) => match sections.get(section).map(|value| &value.kind) {
            Some(ValueKind::Table(keys)) => keys.get(key),
            _ => None,
        },
        _ => None,
    };
    match set.map(|value| value.origin()) {
        Some(Some("the environment")) => {
            let (section, key) = (section.to_uppercase(), key.to_uppercase());
            format!("ENDCAP_{section}__{key}")
        }
        Some(Some(file)) => file.to_owned(),
        Some(None) => "set".to_owned(),
        None => "default".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endcap.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn variables(pairs: &[(&str, &str)]) -> Map<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
        let text = "[server]\nlisten = \"127.0.0.1:9\"\n[store]\ngroup_ms = 5\nkind = \"memory\"\n";
        let (_folder, path) = file(text);
        let environment = variables(&[
            ("ENDCAP_STORE__GROUP_MS", "7"),
            ("ENDCAP_SERVER__TRUSTED_PROXIES", "10.0.0.1,::1"),
        ]);
        let gathered = gather(Some(&path), environment).unwrap();
        let settings = read(gathered.clone()).unwrap();
        assert_eq!(settings.server.listen.port(), 9);
        assert_eq!(settings.server.trusted_proxies.len(), 2);
        assert_eq!(settings.store.read_kind().unwrap(), StoreKind::Memory);
        assert_eq!((settings.store.group_ms, settings.store.cache_mib), (7, 64));
        assert_eq!(
            origin(&gathered, "store", "group_ms"),
            "ENDCAP_STORE__GROUP_MS"
        );
        assert!(origin(&gathered, "server", "listen").ends_with("endcap.toml"));
        assert_eq!(origin(&gathered, "store", "cache_mib"), "default");
        let rows = origins(&gathered, &settings);
        let names = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["setting"].as_str().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("server.")).count(), 5);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let (_folder, path) = file(text);
        let failure = load(Some(&path)).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.text().contains(expected), "{}", failure.text());
    }

    #[test]
    fn unknown_settings_and_values_get_a_suggestion() {
        check_refused(
            "[server]\nlissten = \"127.0.0.1:9\"\n",
            "did you mean \"listen\"?",
        );
        check_refused(
            "[sever]\nlisten = \"127.0.0.1:9\"\n",
            "did you mean \"server\"?",
        );
        check_refused("[log]\nlevel = \"inf\"\n", "did you mean \"info\"?");
        check_refused("[store]\nkind = \"memry\"\n", "did you mean \"memory\"?");
        check_refused("[server]\nlisten = \"here\"\n", "server.listen");
        check_refused(
            "[limits]\nwrite_per_s = 9\n",
            "did you mean \"writes_per_s\"?",
        );
        check_refused("[limits]\nwrites_burst = 0\n", "limits.writes_burst");
        check_refused("[limits]\nrank_per_s = 1000001\n", "limits.rank_per_s");
    }

    #[test]
    fn limits_are_those_of_the_specification_unless_set() {
        let (_folder, path) = file("[limits]\nwrites_per_s = 1000\nwrites_burst = 2000\n");
        let rates = load(Some(&path)).unwrap().limits.read().unwrap();
        assert_eq!(rates.writes, Quota::per_s("writes", 1_000, 2_000));
        let plain = Rates::default();
        assert_eq!((rates.rank, rates.backups), (plain.rank, plain.backups));
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            load(Some(&folder.path().join("none.toml")))
                .unwrap_err()
                .code(),
            2
        );
    }
}

//! Where log lines go.
//!
//! Whoever logs uses `tracing`: a message that is readable alone, and fields with units. Here it is
//! decided that an event is one line, whatever texts its fields hold, and that no line holds an API
//! key, should one ever slip into a field.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::domain::complaint::Fault;

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// What somebody has to look at.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// What was decided on the way.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// Every level with its spelling in settings.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Error, "error"),
        (Self::Warn, "warn"),
        (Self::Info, "info"),
        (Self::Debug, "debug"),
        (Self::Trace, "trace"),
    ];

    /// Reads the spelling in settings.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(level, _)| *level)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Format {
    /// Reads the spelling in settings.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Fault::unknown_value(text, &["text", "json"])),
        }
    }
}

/// What the log can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How much of endcap's own events; of other crates' never more than warnings.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
}

/// The process logs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is set up already")]
pub struct AlreadySet;

/// Sends the events of this process to standard error, once for all.
///
/// # Errors
/// [`AlreadySet`].
pub fn init(settings: Settings) -> Result<(), AlreadySet> {
    let dispatch = dispatch(settings, io::stderr);
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| AlreadySet)
}

/// A subscriber that writes one line an event.
fn dispatch<W>(settings: Settings, writer: W) -> tracing::Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let own = settings.level.filter();
    let others = own.min(LevelFilter::WARN);
    let filter = Targets::new()
        .with_default(others)
        .with_target("endcap", own);
    let registry = tracing_subscriber::registry().with(filter);
    // A closed standard error must not end the process, so failures to write stay silent.
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(OneLine(writer));
    match settings.format {
        Format::Text => registry.with(layer).into(),
        Format::Json => {
            let json = layer.json().flatten_event(true).with_current_span(false);
            registry.with(json.with_span_list(false)).into()
        }
    }
}

/// Makes writers whose every call is one line.
struct OneLine<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// Writes each event, which comes in one call, as one line without keys.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = String::with_capacity(event.len());
        let text = String::from_utf8_lossy(event);
        let text = without_keys(text.strip_suffix('\n').unwrap_or(&text));
        for letter in text.chars() {
            match letter {
                '\n' => line.push_str("\\n"),
                '\u{2028}' | '\u{2029}' | ..' ' | '\u{7f}'..='\u{9f}' => {
                    line.push_str(&escaped(letter));
                }
                _ => line.push(letter),
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// As JSON spells it, so that lines of either format stay what they are.
fn escaped(letter: char) -> String {
    format!("\\u{:04x}", letter as u32)
}

/// Characters of the random part of an API key.
const SECRET_CHARS: usize = 43;

/// The text with the random part of each API key cut off: `ec_srv_…`.
fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("ec_") {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let bytes = found.as_bytes();
        let head = "ec_srv_".len();
        let is_secret = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let secret = bytes.get(head..head + SECRET_CHARS);
        let is_key = bytes.get(head - 1) == Some(&b'_')
            && secret.is_some_and(|secret| secret.iter().all(is_secret));
        let taken = if is_key { head } else { "ec_".len() };
        out.push_str(&found[..taken]);
        rest = &found[taken..];
        if is_key {
            out.push('…');
            rest = rest
                .trim_start_matches(|letter: char| is_secret(&(letter as u8)) && letter.is_ascii());
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `log` leaves.
    fn lines(level: Level, format: Format, log: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let own = sink.clone();
        let dispatch = dispatch(Settings { level, format }, move || own.clone());
        tracing::dispatcher::with_default(&dispatch, log);
        let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_fields_hold() {
        let odd = "a\nb\u{1b}[31m\u{2028}c";
        let found = lines(
            Level::Info,
            Format::Text,
            || tracing::info!(name = %odd, "read"),
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("read name=a\\nb"), "{found:?}");
        assert!(!found[0].contains('\u{1b}'));
        let found = lines(
            Level::Info,
            Format::Json,
            || tracing::info!(name = %odd, "read"),
        );
        assert_eq!(found.len(), 1);
        let read: serde_json::Value = serde_json::from_str(&found[0]).unwrap();
        assert_eq!(
            (&read["message"], &read["name"]),
            (&"read".into(), &odd.into())
        );
        assert_eq!(read["level"], "INFO");
    }

    #[test]
    fn levels_and_other_crates_are_held_back() {
        let log = || {
            tracing::debug!("own detail");
            tracing::info!("own");
            tracing::info!(target: "hyper", "foreign");
            tracing::warn!(target: "hyper", "foreign warning");
        };
        let found = lines(Level::Debug, Format::Text, log);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(lines(Level::Info, Format::Text, log).len(), 2);
        assert_eq!(lines(Level::Error, Format::Text, log).len(), 0);
    }

    #[test]
    fn no_line_holds_a_key() {
        let secret = "k".repeat(SECRET_CHARS);
        let key = format!("ec_srv_{secret}");
        let found = lines(
            Level::Info,
            Format::Text,
            || tracing::info!(%key, "odd ec_ words ec_srv_x"),
        );
        assert!(found[0].contains("key=ec_srv_…"), "{found:?}");
        assert!(found[0].contains("odd ec_ words ec_srv_x"));
        assert!(!found[0].contains("kk"));
        assert_eq!(
            without_keys(&format!("a {key}, {key}é")),
            "a ec_srv_…, ec_srv_…é"
        );
        assert_eq!(without_keys("ec_sré_x"), "ec_sré_x");
    }

    #[test]
    fn setting_up_twice_is_an_error() {
        let settings = Settings {
            level: Level::Error,
            format: Format::Text,
        };
        // Another test of this process may have been first.
        let _ = init(settings);
        assert_eq!(init(settings), Err(AlreadySet));
    }

    #[test]
    fn settings_are_read_by_name() {
        assert_eq!(Level::parse("debug"), Ok(Level::Debug));
        assert_eq!(
            Level::parse("inf").unwrap_err().did_you_mean(),
            Some("info")
        );
        assert_eq!(Format::parse("json"), Ok(Format::Json));
        assert!(Format::parse("xml").is_err());
    }
}

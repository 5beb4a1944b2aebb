//! Logs: human lines on a terminal, JSON lines elsewhere, each handed to the program's own [`LogSink`].
//!
//! The filter is `SLACKTIDE_LOG` (`info`, `gate=debug,info`, …), else the default of [`Verbosity`]. Values
//! are in fields and units in their names; rows and their keys are in no log line.
//!
//! The PostgreSQL driver logs statements and the texts of notices, which hold the texts that a trigger or a function puts
//! there. It speaks by way of the `log` crate, and no filter can turn that on: the bridge from there is not built, and
//! the driver's targets are refused behind the filter.

use std::io;
use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// The variable that holds the filter.
pub const FILTER_VARIABLE: &str = "SLACKTIDE_LOG";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(TelemetryError::Format(text.to_owned())),
        }
    }
}

/// The default verbosity without `SLACKTIDE_LOG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// A process that runs for months: what it does, and each change of state once. The NATS
    /// client logs every attempt to reconnect; our own connection state logs the same once.
    Agent,
    /// A command that prints its own outcome: only what is wrong.
    Command,
    /// A command with a live display: nothing runs through it.
    Display,
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match self {
            Self::Agent => "info,async_nats=warn,async_nats::connector=off",
            Self::Command => "warn,async_nats=error",
            Self::Display => "off",
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No such format.
    #[error("log format {0:?} is not known; use auto, human or json")]
    Format(String),
    /// The filter cannot be parsed.
    #[error("SLACKTIDE_LOG={0:?} is not a log filter: {1}; use for example info, or gate=debug,info")]
    Filter(String, String),
    /// Someone else set it up.
    #[error("logging is already set up in this process: {0}")]
    Twice(String),
}

/// One log line, without its end.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// How urgent it is.
    pub level: Level,
    /// The formatted line, without colours. Its fields are not escaped.
    pub text: &'a str,
    /// Whether it is a JSON object.
    pub is_json: bool,
}

/// Where log lines go. The program that owns the terminal decides how a line is shown on it.
#[derive(Debug, Clone, Copy)]
pub struct LogSink {
    /// Writes one line.
    pub write: fn(&LogLine<'_>),
    /// Whether people read it as it is written.
    pub is_terminal: bool,
}

/// Collects what a formatter writes for one event.
struct Event {
    sink: LogSink,
    level: Level,
    is_json: bool,
    text: Vec<u8>,
}

impl io::Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if !text.is_empty() {
            (self.sink.write)(&LogLine {
                level: self.level,
                text,
                is_json: self.is_json,
            });
        }
    }
}

/// Makes the writer of each event.
struct Events {
    sink: LogSink,
    is_json: bool,
}

impl Events {
    fn event(&self, level: Level) -> Event {
        Event {
            sink: self.sink,
            level,
            is_json: self.is_json,
            text: Vec::new(),
        }
    }
}

impl<'a> MakeWriter<'a> for Events {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        self.event(Level::INFO)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Event {
        self.event(*event.level())
    }
}

/// Sets up logging for the process.
///
/// # Errors
/// When the filter cannot be parsed, or logging is already set up.
pub fn init(format: LogFormat, verbosity: Verbosity, sink: LogSink) -> Result<(), TelemetryError> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref(), verbosity)?;
    let is_json = is_json(format, sink.is_terminal);
    // Colours are the sink's: a formatter cannot distinguish its own from those in a field.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Events { sink, is_json });
    // Not `try_init`: it would also carry on what is logged by way of the `log` crate.
    let set = if is_json {
        let json = builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        tracing::subscriber::set_global_default(json.finish().with(filter_fn(is_allowed)))
    } else {
        tracing::subscriber::set_global_default(builder.compact().finish().with(filter_fn(is_allowed)))
    };
    set.map_err(|error| TelemetryError::Twice(error.to_string()))
}

fn is_json(format: LogFormat, on_terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !on_terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    }
}

/// Returns whether a line may be written, regardless of the filter.
fn is_allowed(line: &Metadata<'_>) -> bool {
    let target = line.target();
    // At this level the NATS client writes the bytes of each message, rows among them.
    if *line.level() == Level::TRACE && target.starts_with("async_nats") {
        return false;
    }
    !["tokio_postgres", "postgres_protocol", "postgres_types"]
        .iter()
        .any(|driver| {
            target
                .strip_prefix(driver)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

fn filter(text: Option<&str>, verbosity: Verbosity) -> Result<EnvFilter, TelemetryError> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(verbosity.filter());
    EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter(text.to_owned(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_format_is_json_without_a_terminal() {
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Human, false));
    }

    #[test]
    fn log_filter_error_names_the_variable() {
        for verbosity in [Verbosity::Agent, Verbosity::Command, Verbosity::Display] {
            assert!(filter(None, verbosity).is_ok());
        }
        let error = filter(Some("gate=loud"), Verbosity::Agent)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("SLACKTIDE_LOG") && error.contains("gate=loud"),
            "{error}"
        );
    }

    #[test]
    fn telemetry_event_reaches_the_sink_as_one_line() {
        use std::sync::Mutex;
        static LINES: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());
        let sink = LogSink {
            write: |line| LINES.lock().unwrap().push((line.level, line.text.to_owned())),
            is_terminal: false,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Events { sink, is_json: false })
            .compact()
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(why = "one\n\u{202e}two", "first");
            tracing::info!("second");
        });
        let lines = LINES.lock().unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0].0, Level::WARN);
        assert!(
            lines[0].1.contains("first") && lines[1].1.ends_with("second"),
            "{lines:?}"
        );
    }

    #[test]
    fn formats_have_names() {
        assert!(matches!("json".parse(), Ok(LogFormat::Json)));
        assert!("yaml".parse::<LogFormat>().is_err());
    }
}

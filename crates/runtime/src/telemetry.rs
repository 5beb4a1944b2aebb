//! Logs: to standard error, human lines on a terminal, JSON lines elsewhere.
//!
//! The filter is `SLACKTIDE_LOG` (`info`, `gate=debug,info`, …), else what [`Voice`] says. Values
//! are in fields and units in their names; rows and their keys are in no log line.
//!
//! The PostgreSQL driver logs statements and the texts of notices, which hold whatever a trigger or a function puts
//! there. It speaks by way of the `log` crate, and no filter can turn that on: the bridge from there is not built, and
//! the driver's targets are refused behind the filter.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
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

/// How much is said while `SLACKTIDE_LOG` does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// A process that runs for months: what it does, and each change of state once. The NATS
    /// client logs every attempt to reconnect; our own connection state says the same once.
    Agent,
    /// A command that prints its own outcome: only what is wrong.
    Command,
    /// A command with a live display: nothing runs through it.
    Display,
}

impl Voice {
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

/// Sets up logging for the process.
///
/// # Errors
/// When the filter cannot be parsed, or logging is already set up.
pub fn init(format: LogFormat, voice: Voice) -> Result<(), TelemetryError> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref(), voice)?;
    let on_terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // Not `try_init`: it would also carry on what is logged by way of the `log` crate.
    let set = if is_json(format, on_terminal) {
        let json = builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        tracing::subscriber::set_global_default(json.finish().with(filter_fn(may_speak)))
    } else {
        let human = builder.with_ansi(on_terminal).compact();
        tracing::subscriber::set_global_default(human.finish().with(filter_fn(may_speak)))
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

/// Whether a line may be written, whatever the filter names.
fn may_speak(line: &Metadata<'_>) -> bool {
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

fn filter(text: Option<&str>, voice: Voice) -> Result<EnvFilter, TelemetryError> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(voice.filter());
    EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter(text.to_owned(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_where_no_person_looks() {
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Human, false));
    }

    #[test]
    fn a_filter_that_cannot_be_parsed_is_an_error_that_names_the_variable() {
        for voice in [Voice::Agent, Voice::Command, Voice::Display] {
            assert!(filter(None, voice).is_ok());
        }
        let error = filter(Some("gate=loud"), Voice::Agent)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("SLACKTIDE_LOG") && error.contains("gate=loud"),
            "{error}"
        );
    }

    #[test]
    fn formats_have_names() {
        assert!(matches!("json".parse(), Ok(LogFormat::Json)));
        assert!("yaml".parse::<LogFormat>().is_err());
    }
}

//! Logs: to standard error, human lines on a terminal, JSON lines elsewhere.
//!
//! The filter is `SLACKTIDE_LOG` (`info`, `gate=debug,info`, …), else `info`. Values are in
//! fields and units in their names; rows and their keys are in no log line.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

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
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref())?;
    let on_terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let set = if is_json(format, on_terminal) {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    } else {
        builder.with_ansi(on_terminal).compact().try_init()
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

fn filter(text: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or("info");
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
        assert_eq!(
            filter(None).map(|filter| filter.to_string()).ok().as_deref(),
            Some("info")
        );
        let error = filter(Some("gate=loud"))
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

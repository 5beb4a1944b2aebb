//! `[gate.calendar]`: the times in which work is wanted.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Calendar;
use super::period::Blackout;
use super::text::{self, PeriodError};
use crate::config_error::ConfigError;

/// The `[gate.calendar]` table. Off by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarConfig {
    /// The time zone, for example `Asia/Shanghai`.
    pub zone: String,
    /// Work is wanted only inside one of these; always if there is none.
    #[serde(default, rename = "window", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<CalendarWindowConfig>,
    /// Work is never wanted inside one of these.
    #[serde(default, rename = "blackout", skip_serializing_if = "Vec::is_empty")]
    pub blackouts: Vec<BlackoutConfig>,
}

/// One `[[gate.calendar.window]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarWindowConfig {
    /// The days on which it starts, `mon-fri` or `sat`; every day by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// The start, as a time of day: `22:00`.
    pub from: String,
    /// The end, exclusive; on the next day if it is not after `from`.
    pub to: String,
}

/// One `[[gate.calendar.blackout]]`: weekly like a window, or once between two dates (the last one included), two local
/// times, or two timestamps with a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackoutConfig {
    /// The days on which it starts, if it is weekly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// The start.
    pub from: String,
    /// The end.
    pub to: String,
    /// The reason, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CalendarConfig {
    /// Returns the calendar.
    ///
    /// # Errors
    /// What cannot be parsed, by key.
    pub fn calendar(&self) -> Result<Calendar, ConfigError> {
        let zone = TimeZone::get(&self.zone).map_err(|_| ConfigError {
            key: "calendar.zone",
            what: format!("is {:?}", self.zone),
            remedy: "set a time zone, for example \"Asia/Shanghai\" or \"UTC\"",
        })?;
        let mut windows = Vec::new();
        for one in &self.windows {
            let read = text::window(&one.days, &one.from, &one.to);
            windows.push(read.map_err(|error| violation("calendar.window", &error))?);
        }
        let mut blackouts = Vec::new();
        for one in &self.blackouts {
            let read = text::when(&one.days, &one.from, &one.to);
            blackouts.push(Blackout {
                when: read.map_err(|error| violation("calendar.blackout", &error))?,
                reason: one.reason.clone(),
            });
        }
        Ok(Calendar {
            zone,
            windows,
            blackouts,
        })
    }
}

fn violation(key: &'static str, error: &PeriodError) -> ConfigError {
    ConfigError {
        key,
        what: error.to_string(),
        remedy: "correct it, or remove the table",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parsed::{error_of, parse};

    const NIGHTS: &str = "[calendar]\nzone = \"Asia/Shanghai\"\n[[calendar.window]]\ndays = [\"mon-fri\"]\nfrom = \"22:00\"\nto = \"06:00\"\n[[calendar.blackout]]\nfrom = \"2026-12-31\"\nto = \"2027-01-01\"\nreason = \"year end\"\n";

    #[test]
    fn calendar_config_is_a_signal_and_round_trips() {
        let config = parse(NIGHTS).unwrap_or_default();
        assert!(config.limits().signals.contains_key("calendar"));
        let written = toml::to_string(&config).unwrap_or_default();
        assert_eq!(parse(&written), Ok(config));
    }

    #[test]
    fn calendar_config_errors_name_the_key() {
        for (from, to, expected) in [
            ("Asia/Shanghai", "Asia/Shanghei", "gate.calendar.zone is"),
            ("22:00", "22", "gate.calendar.window has \"22\""),
            ("mon-fri", "mon-fre", "gate.calendar.window names the day \"fre\""),
            (
                "2027-01-01",
                "2026-01-01",
                "gate.calendar.blackout ends at 2026-01-01",
            ),
            ("reason", "raison", "`raison`"),
        ] {
            let error = error_of(&NIGHTS.replace(from, to));
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}

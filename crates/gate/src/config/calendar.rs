//! `[gate.calendar]`: when work is wanted at all.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::signal::calendar::{self, Blackout, Calendar};

/// The `[gate.calendar]` table. Off unless given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarConfig {
    /// Whose clock counts, for example `Asia/Shanghai`.
    pub zone: String,
    /// Work only inside one of these; always when there is none.
    #[serde(default, rename = "window", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<CalendarWindowConfig>,
    /// And never inside one of these.
    #[serde(default, rename = "blackout", skip_serializing_if = "Vec::is_empty")]
    pub blackouts: Vec<BlackoutConfig>,
}

/// One `[[gate.calendar.window]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarWindowConfig {
    /// The days on which it begins, `mon-fri` or `sat`; every day when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// From this time of the day, `22:00`.
    pub from: String,
    /// Until this one, exclusive; on the next day when it is not after `from`.
    pub to: String,
}

/// One `[[gate.calendar.blackout]]`: weekly like a window, or once between two dates (the last
/// one included), two local times, or two timestamps with their zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackoutConfig {
    /// The days on which it begins, where it is weekly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// From.
    pub from: String,
    /// Until.
    pub to: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CalendarConfig {
    /// The calendar.
    ///
    /// # Errors
    /// What cannot be read, by key.
    pub fn calendar(&self) -> Result<Calendar, ConfigError> {
        let zone = TimeZone::get(&self.zone).map_err(|_| ConfigError {
            key: "calendar.zone",
            what: format!("is {:?}", self.zone),
            remedy: "name a time zone, for example \"Asia/Shanghai\" or \"UTC\"",
        })?;
        let mut windows = Vec::new();
        for one in &self.windows {
            let read = calendar::window(&one.days, &one.from, &one.to);
            windows.push(read.map_err(|what| wrong("calendar.window", what))?);
        }
        let mut blackouts = Vec::new();
        for one in &self.blackouts {
            let read = calendar::when(&one.days, &one.from, &one.to);
            blackouts.push(Blackout {
                when: read.map_err(|what| wrong("calendar.blackout", what))?,
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

fn wrong(key: &'static str, what: String) -> ConfigError {
    ConfigError {
        key,
        what,
        remedy: "correct it, or remove the table",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::GateConfig;

    fn parse(text: &str) -> Result<GateConfig, String> {
        let config: GateConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    const NIGHTS: &str = "[calendar]\nzone = \"Asia/Shanghai\"\n[[calendar.window]]\ndays = [\"mon-fri\"]\nfrom = \"22:00\"\nto = \"06:00\"\n[[calendar.blackout]]\nfrom = \"2026-12-31\"\nto = \"2027-01-01\"\nreason = \"year end\"\n";

    #[test]
    fn a_calendar_is_a_signal_and_reads_back_what_it_writes() {
        let config = parse(NIGHTS).unwrap_or_default();
        assert!(config.limits().signals.contains_key("calendar"));
        let written = toml::to_string(&config).unwrap_or_default();
        assert_eq!(parse(&written), Ok(config));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_key() {
        for (from, to, told) in [
            ("Asia/Shanghai", "Asia/Shanghei", "gate.calendar.zone is"),
            ("22:00", "22", "gate.calendar.window says \"22\""),
            ("mon-fri", "mon-fre", "gate.calendar.window names the day \"fre\""),
            (
                "2027-01-01",
                "2026-01-01",
                "gate.calendar.blackout ends at 2026-01-01",
            ),
            ("reason", "raison", "`raison`"),
        ] {
            let error = parse(&NIGHTS.replace(from, to)).err().unwrap_or_default();
            assert!(error.contains(told), "{to}: {error}");
        }
    }
}

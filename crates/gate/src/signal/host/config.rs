//! `[gate.signals.NAME]` tables of the host's signals.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catalogue::SignalDefaults;
use crate::config_error::ConfigError;
use crate::limits::Limit;

/// Whether a signal is used: `"auto"`, `true` or `false`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Enablement {
    /// `true`: always; the gate stays closed if this system does not support it. `false`: never.
    Fixed(bool),
    /// If this system supports it.
    Auto(Auto),
}

/// The value `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// `auto`
    Auto,
}

/// The table of one signal of the host. Omitted keys have the defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSignalConfig {
    /// Whether it is used. If omitted: the default, or `"auto"` if the table has another key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Enablement>,
    /// The gate closes at this reading or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// A closed gate opens only below this reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// At this reading or above connections are dropped too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// Only these disks or interfaces; for `disk` and `network`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// The folder of the control group (version 2) of the core's database. `memory` then includes its limit and those
    /// of its ancestors; `psi_*` measure its pressure, not the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<PathBuf>,
}

impl HostSignalConfig {
    /// Whether it is used if this system supports it.
    #[must_use]
    pub fn is_enabled(&self, defaults: &SignalDefaults) -> bool {
        match &self.enabled {
            Some(Enablement::Fixed(enabled)) => *enabled,
            Some(Enablement::Auto(_)) => true,
            None => defaults.enabled || *self != Self::default(),
        }
    }

    /// Whether it is used even if this system does not support it. A named group requires the signal, as a misspelt
    /// name must not turn it off.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.enabled == Some(Enablement::Fixed(true)) || self.group.is_some()
    }

    /// Returns the limits, with defaults for omitted ones.
    #[must_use]
    pub fn limit(&self, defaults: &SignalDefaults, quiet: Option<f64>) -> Limit {
        let (stop, resume, critical) = defaults.limits;
        let stop = self.stop.unwrap_or(stop);
        Limit {
            stop,
            resume: self.resume.unwrap_or(resume),
            // A stop limit above the default critical limit disables the latter.
            critical: self.critical.or(critical.filter(|critical| *critical >= stop)),
            quiet,
            unit: defaults.unit,
        }
    }

    /// Checks what the types cannot express.
    pub(crate) fn validate(&self, defaults: &SignalDefaults) -> Result<(), ConfigError> {
        let violation = |key, what: String, remedy| Err(ConfigError { key, what, remedy });
        let [stop_key, resume_key, critical_key, only_key, group_key] = defaults.keys;
        if !self.only.is_empty() && !["disk", "network"].contains(&defaults.name) {
            return violation(
                only_key,
                "is given".to_owned(),
                "only disk and network support it: remove it",
            );
        }
        if let Some(group) = &self.group {
            if !["memory", "psi_cpu", "psi_io", "psi_memory"].contains(&defaults.name) {
                return violation(
                    group_key,
                    "is given".to_owned(),
                    "only memory and psi_* support it: remove it",
                );
            }
            if !group.is_absolute() {
                return violation(
                    group_key,
                    "is not an absolute path".to_owned(),
                    "set the group's folder, such as /sys/fs/cgroup/system.slice/postgresql.service",
                );
            }
        }
        if !self.is_enabled(defaults) {
            return Ok(());
        }
        let limit = self.limit(defaults, None);
        if !(limit.stop > 0.0 && limit.stop <= defaults.max_limit) {
            let what = format!("is {} {}", limit.stop, limit.unit);
            return violation(stop_key, what, "set a number above 0, and a percentage up to 100");
        }
        if !(limit.resume > 0.0 && limit.resume < limit.stop) {
            let what = format!("is {}, stop is {}", limit.resume, limit.stop);
            return violation(
                resume_key,
                what,
                "equal limits cause flapping: set resume below stop",
            );
        }
        match limit.critical {
            Some(critical) if !(critical >= limit.stop && critical <= defaults.max_limit) => {
                let what = format!("is {critical}, stop is {}", limit.stop);
                violation(
                    critical_key,
                    what,
                    "set it no lower than stop, and a percentage up to 100",
                )
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::host::catalogue::{HOST, HOST_CPU};

    #[test]
    fn host_signal_defaults_are_valid() {
        for defaults in HOST.iter().chain([&HOST_CPU]) {
            let asked = HostSignalConfig {
                enabled: Some(Enablement::Fixed(true)),
                ..HostSignalConfig::default()
            };
            assert_eq!(asked.validate(defaults), Ok(()), "{}", defaults.name);
        }
    }

    #[test]
    fn host_signal_enabled_accepts_bool_auto_or_limits() {
        let parse = |text: &str| toml::from_str::<HostSignalConfig>(text).ok();
        let off = HOST.iter().find(|defaults| !defaults.enabled);
        let wanted = |text: &str| Some(parse(text)?.is_enabled(off?));
        assert_eq!(wanted(""), Some(false));
        assert_eq!(wanted("enabled = true"), Some(true));
        assert_eq!(wanted("enabled = \"auto\""), Some(true));
        assert_eq!(wanted("enabled = false\nstop = 3"), Some(false));
        // A limit must not be ignored silently.
        assert_eq!(wanted("stop = 3"), Some(true));
        assert_eq!(wanted("group = \"/g\""), Some(true));
        assert_eq!(wanted("enabled = \"atuo\""), None);
    }
}

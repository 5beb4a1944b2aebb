//! `[gate.signals.NAME]` of the host's signals.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::limits::Limit;
use crate::signal::host::catalogue::Shipped;

/// Whether a signal is used: `"auto"`, `true` or `false`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Use {
    /// `true`: always; the gate stays shut where this system does not have it. `false`: never.
    Said(bool),
    /// Where this system has it.
    Auto(Auto),
}

/// The word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// `auto`
    Auto,
}

/// The table of one signal of the host. What is left out is as shipped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSignalConfig {
    /// Whether it is used. Left out: as shipped, or `"auto"` when the table says anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Use>,
    /// The gate shuts at this reading or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// A shut gate opens only below this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// At this reading or above connections are dropped too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// Only these disks or interfaces. For `disk` and `network` alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// The folder of the control group of version 2 that the core's database runs in. `memory` then
    /// counts its limit and those above it as well; `psi_*` tell its pressure and not the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<PathBuf>,
}

impl HostSignalConfig {
    /// Whether it is to be used where this system has it.
    #[must_use]
    pub fn is_wanted(&self, shipped: &Shipped) -> bool {
        match &self.enabled {
            Some(Use::Said(said)) => *said,
            Some(Use::Auto(_)) => true,
            None => shipped.on || *self != Self::default(),
        }
    }

    /// Whether it is to be used although this system does not have it. Who names a group means it: a
    /// name misspelt must not turn the signal off.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.enabled == Some(Use::Said(true)) || self.group.is_some()
    }

    /// The limits, as shipped where nothing is said.
    #[must_use]
    pub fn limit(&self, shipped: &Shipped, quiet: Option<f64>) -> Limit {
        let (stop, resume, critical) = shipped.limits;
        let stop = self.stop.unwrap_or(stop);
        Limit {
            stop,
            resume: self.resume.unwrap_or(resume),
            // A stop limit above the shipped critical one leaves no room for that.
            critical: self.critical.or(critical.filter(|critical| *critical >= stop)),
            quiet,
            unit: shipped.unit,
        }
    }

    /// Checks what the types cannot say.
    pub(super) fn validate(&self, shipped: &Shipped) -> Result<(), ConfigError> {
        let wrong = |key, what: String, remedy| Err(ConfigError { key, what, remedy });
        let [stop_key, resume_key, critical_key, only_key, group_key] = shipped.keys;
        if !self.only.is_empty() && !["disk", "network"].contains(&shipped.name) {
            return wrong(
                only_key,
                "is given".to_owned(),
                "only disk and network know it: leave it out",
            );
        }
        if let Some(group) = &self.group {
            if !["memory", "psi_cpu", "psi_io", "psi_memory"].contains(&shipped.name) {
                return wrong(
                    group_key,
                    "is given".to_owned(),
                    "only memory and the pressures know it: leave it out",
                );
            }
            if !group.is_absolute() {
                return wrong(
                    group_key,
                    "is no absolute path".to_owned(),
                    "give the group's folder, such as /sys/fs/cgroup/system.slice/postgresql.service",
                );
            }
        }
        if !self.is_wanted(shipped) {
            return Ok(());
        }
        let limit = self.limit(shipped, None);
        if !(limit.stop > 0.0 && limit.stop <= shipped.most) {
            let what = format!("is {} {}", limit.stop, limit.unit);
            return wrong(
                stop_key,
                what,
                "give a number above 0, and a percentage up to 100",
            );
        }
        if !(limit.resume > 0.0 && limit.resume < limit.stop) {
            let what = format!("is {}, stop is {}", limit.resume, limit.stop);
            return wrong(
                resume_key,
                what,
                "one limit for both flaps: make resume lower than stop",
            );
        }
        match limit.critical {
            Some(critical) if !(critical >= limit.stop && critical <= shipped.most) => {
                let what = format!("is {critical}, stop is {}", limit.stop);
                wrong(
                    critical_key,
                    what,
                    "make it no lower than stop, and a percentage up to 100",
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
    fn what_is_shipped_is_valid() {
        for shipped in HOST.iter().chain([&HOST_CPU]) {
            let asked = HostSignalConfig {
                enabled: Some(Use::Said(true)),
                ..HostSignalConfig::default()
            };
            assert_eq!(asked.validate(shipped), Ok(()), "{}", shipped.name);
        }
    }

    #[test]
    fn the_three_words_and_a_limit_alone() {
        let parse = |text: &str| toml::from_str::<HostSignalConfig>(text).ok();
        let off = HOST.iter().find(|shipped| !shipped.on);
        let wanted = |text: &str| Some(parse(text)?.is_wanted(off?));
        assert_eq!(wanted(""), Some(false));
        assert_eq!(wanted("enabled = true"), Some(true));
        assert_eq!(wanted("enabled = \"auto\""), Some(true));
        assert_eq!(wanted("enabled = false\nstop = 3"), Some(false));
        // A limit that would silently not be held to is the worst answer.
        assert_eq!(wanted("stop = 3"), Some(true));
        assert_eq!(wanted("group = \"/g\""), Some(true));
        assert_eq!(wanted("enabled = \"atuo\""), None);
    }
}

//! `[gate.signals]`: what is measured, and the limits of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::database::{self, DatabaseSignalsConfig, SqlSignalConfig};
use super::http::{self, UrlSignalConfig};
use crate::limits::Limit;
use crate::own::OwnEntry;
use crate::sample::SignalName;
use crate::signal::{cpu, file};

/// The `[gate.signals]` table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalsConfig {
    /// Processes that are the business's, written as in `own`, beside the other backends of the
    /// database server that serves us: what our work costs is measured by how they wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreground: Vec<OwnEntry>,
    /// CPU of the host without our own share. On unless turned off.
    pub host_cpu: HostCpuConfig,
    /// A file that shuts the gate while it exists. Off unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_file: Option<StopFileConfig>,
    /// What is asked of the source's database. Off unless given.
    pub database: DatabaseSignalsConfig,
    /// The user's own SQL, by name. None unless given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sql: BTreeMap<String, SqlSignalConfig>,
    /// What other systems tell over HTTP, by name. None unless given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub url: BTreeMap<String, UrlSignalConfig>,
}

/// The `[gate.signals.host_cpu]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostCpuConfig {
    /// Whether it is read.
    pub enabled: bool,
    /// Percent of all cores at which the gate shuts.
    pub stop: f64,
    /// Percent of all cores below which it may open.
    pub resume: f64,
}

impl Default for HostCpuConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            stop: 70.0,
            resume: 50.0,
        }
    }
}

/// The `[gate.signals.stop_file]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopFileConfig {
    /// The file.
    pub path: PathBuf,
}

impl SignalsConfig {
    /// The limits that the policy holds the signals to.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<SignalName, Limit> {
        let mut signals = BTreeMap::new();
        if self.host_cpu.enabled {
            let limit = Limit {
                stop: self.host_cpu.stop,
                resume: self.host_cpu.resume,
                critical: None,
                quiet: Some(10.0),
                unit: cpu::UNIT,
            };
            signals.insert(cpu::NAME.into(), limit);
        }
        if self.stop_file.is_some() {
            signals.insert(file::NAME.into(), file::LIMIT);
        }
        signals.extend(self.database.limits());
        signals.extend(database::sql_limits(&self.sql));
        signals.extend(http::url_limits(&self.url));
        signals
    }

    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.database.validate()?;
        database::validate_sql(&self.sql)?;
        http::validate_urls(&self.url)?;
        let wrong = |key, what: String, remedy| Err(ConfigError { key, what, remedy });
        let host_cpu = &self.host_cpu;
        if host_cpu.enabled {
            let percent = 0.0..=100.0;
            if !percent.contains(&host_cpu.stop) || host_cpu.stop <= 0.0 {
                let what = format!("is {}", host_cpu.stop);
                return wrong(
                    "signals.host_cpu.stop",
                    what,
                    "give a percentage above 0 and up to 100",
                );
            }
            let fits = percent.contains(&host_cpu.resume) && host_cpu.resume < host_cpu.stop;
            if !fits || host_cpu.resume <= 0.0 {
                let what = format!("is {}, stop is {}", host_cpu.resume, host_cpu.stop);
                return wrong(
                    "signals.host_cpu.resume",
                    what,
                    "one limit for both flaps: make resume lower than stop",
                );
            }
        }
        Ok(())
    }
}

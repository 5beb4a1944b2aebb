//! `[gate.signals]`: what is measured, and the limits of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::database::{self, DatabaseSignalsConfig, SqlSignalConfig};
use super::host::HostSignalConfig;
use super::http::{self, UrlSignalConfig};
use crate::limits::Limit;
use crate::own::OwnEntry;
use crate::sample::SignalName;
use crate::signal::host::catalogue::{self, HOST, HOST_CPU};
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
    pub host_cpu: HostSignalConfig,
    /// Memory of the host that is used. On unless turned off.
    pub memory: HostSignalConfig,
    /// Runnable tasks per core. Off unless asked for, as all below.
    pub run_queue: HostSignalConfig,
    /// How long the business's processes wait for a processor.
    pub sched_delay: HostSignalConfig,
    /// Pressure on the processors.
    pub psi_cpu: HostSignalConfig,
    /// Pressure on the disks.
    pub psi_io: HostSignalConfig,
    /// Pressure on the memory.
    pub psi_memory: HostSignalConfig,
    /// How busy the busiest disk is.
    pub disk: HostSignalConfig,
    /// How much the busiest interface moves.
    pub network: HostSignalConfig,
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

/// The `[gate.signals.stop_file]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopFileConfig {
    /// The file.
    pub path: PathBuf,
}

impl SignalsConfig {
    /// The table of a signal of the host's catalogue.
    #[must_use]
    pub fn host(&self, name: &str) -> &HostSignalConfig {
        match name {
            "memory" => &self.memory,
            "run_queue" => &self.run_queue,
            "sched_delay" => &self.sched_delay,
            "psi_cpu" => &self.psi_cpu,
            "psi_io" => &self.psi_io,
            "psi_memory" => &self.psi_memory,
            "disk" => &self.disk,
            "network" => &self.network,
            _ => &self.host_cpu,
        }
    }

    /// The limits that the policy holds the signals to.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<SignalName, Limit> {
        let mut signals = BTreeMap::new();
        if self.host_cpu.is_wanted(&HOST_CPU) {
            let limit = self.host_cpu.limit(&HOST_CPU, Some(10.0));
            signals.insert(cpu::NAME.into(), limit);
        }
        for shipped in HOST {
            let table = self.host(shipped.name);
            let used = table.is_forced() || catalogue::available(shipped.name, self).is_ok();
            if table.is_wanted(shipped) && used {
                signals.insert(shipped.name.into(), table.limit(shipped, None));
            }
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
        for shipped in HOST.iter().chain([&HOST_CPU]) {
            self.host(shipped.name).validate(shipped)?;
        }
        Ok(())
    }
}

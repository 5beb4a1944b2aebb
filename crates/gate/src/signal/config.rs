//! `[gate.signals]`: the signals and their limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cpu;
use super::file::{self, StopFileConfig};
use super::host::catalogue::{HOST, HOST_CPU};
use super::host::config::HostSignalConfig;
use super::host::support;
use super::http::config::{self as http, UrlSignalConfig};
use super::probe::config::{self as database, DatabaseSignalsConfig, SqlSignalConfig};
use crate::config_error::ConfigError;
use crate::limits::Limit;
use crate::own::OwnEntry;
use crate::sample::SignalName;

/// The `[gate.signals]` table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalsConfig {
    /// Processes of the business, written as in `own`, in addition to the other backends of the database server that
    /// serves us. Their waiting time is the measure of the harm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreground: Vec<OwnEntry>,
    /// CPU load of the host without our own share. On by default.
    pub host_cpu: HostSignalConfig,
    /// Used memory of the host. On by default.
    pub memory: HostSignalConfig,
    /// Runnable tasks per core. Off by default, as are all below.
    pub run_queue: HostSignalConfig,
    /// How long the business's processes wait for a processor.
    pub sched_delay: HostSignalConfig,
    /// Pressure on the processors.
    pub psi_cpu: HostSignalConfig,
    /// Pressure on the disks.
    pub psi_io: HostSignalConfig,
    /// Pressure on the memory.
    pub psi_memory: HostSignalConfig,
    /// Utilisation of the busiest disk.
    pub disk: HostSignalConfig,
    /// Throughput of the busiest interface.
    pub network: HostSignalConfig,
    /// A file that closes the gate while it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_file: Option<StopFileConfig>,
    /// Queries of the source's database.
    pub database: DatabaseSignalsConfig,
    /// The user's own SQL, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sql: BTreeMap<String, SqlSignalConfig>,
    /// Numbers of other systems over HTTP, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub url: BTreeMap<String, UrlSignalConfig>,
}

impl SignalsConfig {
    /// Returns the table of a signal of the host's catalogue.
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

    /// Returns the limits that the policy applies to the signals.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<SignalName, Limit> {
        let mut signals = BTreeMap::new();
        if self.host_cpu.is_enabled(&HOST_CPU) {
            let limit = self.host_cpu.limit(&HOST_CPU, Some(10.0));
            signals.insert(cpu::NAME.into(), limit);
        }
        for defaults in HOST {
            let table = self.host(defaults.name);
            let used = table.is_required() || support::check_available(defaults.name, table).is_ok();
            if table.is_enabled(defaults) && used {
                signals.insert(defaults.name.into(), table.limit(defaults, None));
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

    /// Checks what the types cannot express.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.database.validate()?;
        database::validate_sql(&self.sql)?;
        http::validate_urls(&self.url)?;
        for defaults in HOST.iter().chain([&HOST_CPU]) {
            self.host(defaults.name).validate(defaults)?;
        }
        Ok(())
    }
}

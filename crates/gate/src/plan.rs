//! The sampler's plan: signals, limits and interval. Built from a configuration, replaced as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::GateConfig;
use crate::foreground::Foreground;
use crate::limits::Limits;
use crate::own::{OwnEntry, OwnPids};
use crate::signal::Signal;
use crate::signal::calendar::CalendarSignal;
use crate::signal::calendar::config::CalendarConfig;
use crate::signal::config::SignalsConfig;
use crate::signal::cpu::HostCpu;
use crate::signal::file::StopFile;
use crate::signal::foreground::ForegroundReader;
use crate::signal::host::catalogue::{HOST, HOST_CPU};
use crate::signal::host::{HostSignal, support};

/// The sampler's timing.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Time between samples.
    pub interval: Duration,
    /// Timeout of one reading.
    pub read_timeout: Duration,
}

/// The sampler's inputs; a reload replaces them as a whole.
pub(crate) struct Plan {
    pub(crate) signals: Vec<Box<dyn Signal>>,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    pub(crate) foreground: Option<Box<dyn Foreground>>,
}

impl Plan {
    /// Builds the plan of a valid configuration; `extra_signals` are the signals of other hosts and databases.
    pub(crate) fn from_config(
        config: &GateConfig,
        own_pids: &OwnPids,
        extra_signals: Vec<Box<dyn Signal>>,
    ) -> Self {
        let limits = config.limits();
        let pace = Pace {
            interval: config.interval.get(),
            read_timeout: config.read_timeout(),
        };
        if limits.is_fixed_open {
            // Reads nothing, least of all from the core.
            return Self {
                signals: Vec::new(),
                limits: Limits {
                    signals: BTreeMap::new(),
                    ..limits
                },
                pace,
                foreground: None,
            };
        }
        let mut signals = configured_signals(config, own_pids);
        signals.extend(extra_signals);
        Self {
            signals,
            limits,
            pace,
            foreground: foreground_reader(&config.signals.foreground, own_pids),
        }
    }
}

/// Returns the signals of a configuration that need neither the source nor another system.
#[must_use]
pub fn configured_signals(config: &GateConfig, own_pids: &OwnPids) -> Vec<Box<dyn Signal>> {
    let mut signals: Vec<Box<dyn Signal>> = Vec::new();
    if config.signals.host_cpu.is_enabled(&HOST_CPU) {
        signals.push(Box::new(HostCpu::new(config.own.clone(), own_pids.clone())));
    }
    for signal in host_signals(&config.signals, own_pids) {
        signals.push(Box::new(signal));
    }
    if let Some(stop_file) = &config.signals.stop_file {
        signals.push(Box::new(StopFile::new(stop_file.path.clone())));
    }
    // An unreadable calendar was refused by the validation.
    if let Some(Ok(calendar)) = config.calendar.as_ref().map(CalendarConfig::calendar) {
        signals.push(Box::new(CalendarSignal::new(calendar)));
    }
    signals
}

/// Returns the host's signals that a configuration enables, without host_cpu. Logs those that are not used because this
/// system does not support them.
fn host_signals(config: &SignalsConfig, own_pids: &OwnPids) -> Vec<HostSignal> {
    let mut signals = Vec::new();
    for defaults in HOST {
        let table = config.host(defaults.name);
        if !table.is_enabled(defaults) {
            continue;
        }
        if let Err(error) = support::check_available(defaults.name, table) {
            if table.is_required() {
                tracing::error!(signal = defaults.name, %error, "required signal not available, the gate stays closed");
            } else {
                tracing::info!(signal = defaults.name, %error, "signal not used");
                continue;
            }
        }
        signals.push(HostSignal::new(defaults, table, &config.foreground, own_pids));
    }
    signals
}

/// Returns the reader of the business's scheduling statistics, if this system keeps some.
fn foreground_reader(programs: &[OwnEntry], own_pids: &OwnPids) -> Option<Box<dyn Foreground>> {
    if let Err(error) = ForegroundReader::check_available() {
        tracing::info!(%error, "harm to the business cannot be measured on this system");
        return None;
    }
    Some(Box::new(ForegroundReader::new(
        own_pids.clone(),
        programs.to_vec(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SignalName;

    /// Trap: a configured signal that fails is left out, and the gate opens without it.
    #[tokio::test]
    async fn signal_of_a_missing_control_group_fails() {
        let mut config = SignalsConfig::default();
        config.memory.group = Some("/no/such/group".into());
        config.psi_io.group = Some("/no/such/group".into());
        let mut signals = host_signals(&config, &OwnPids::default());
        let named: Vec<_> = signals.iter().map(Signal::name).collect();
        assert_eq!(named, ["memory".into(), "psi_io".into()]);
        assert!(config.limits().contains_key(&SignalName::from("psi_io")));
        for signal in &mut signals {
            let error = signal
                .read()
                .await
                .map_or_else(|error| error.0, |_| String::new());
            assert!(error.contains("/no/such/group"), "{error}");
        }
    }
}

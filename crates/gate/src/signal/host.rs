//! The host's signals, from the kernel's files.
//!
//! All of them measure the host of the agent: the core's host if they are the same, the wrong one for a remote core.
//! [`catalogue`] describes each signal for both cases.
//!
//! - [`catalogue`] the signals, their defaults, and whether this system supports them
//! - [`parse`] PURE: parsers of the kernel's texts
//! - [`group`] the memory and pressure of a control group
//! - [`meter`] reads the files and computes rates

pub mod catalogue;
pub mod group;
pub mod meter;
pub mod parse;

use async_trait::async_trait;

use self::catalogue::SignalDefaults;
use self::meter::HostMeter;
use super::{Signal, SignalError};
use crate::config::SignalsConfig;
use crate::own::OwnPids;
use crate::sample::SignalName;

/// A signal of the host.
#[derive(Debug)]
pub struct HostSignal {
    name: &'static str,
    unit: &'static str,
    meter: HostMeter,
}

#[async_trait]
impl Signal for HostSignal {
    fn name(&self) -> SignalName {
        self.name.into()
    }

    fn unit(&self) -> &'static str {
        self.unit
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let value = self.meter.read()?;
        if value.is_finite() && value >= 0.0 {
            Ok(value)
        } else {
            Err(SignalError(format!(
                "{} has the invalid value {value}",
                self.name
            )))
        }
    }
}

/// Returns the signals that a configuration enables, without host_cpu. Logs those that are not used because this system
/// does not support them.
#[must_use]
pub fn configured(config: &SignalsConfig, own_pids: &OwnPids) -> Vec<HostSignal> {
    let mut signals = Vec::new();
    for defaults in catalogue::HOST {
        let table = config.host(defaults.name);
        if !table.is_enabled(defaults) {
            continue;
        }
        if let Err(error) = catalogue::check_available(defaults.name, config) {
            if table.is_required() {
                tracing::error!(signal = defaults.name, %error, "required signal not available, the gate stays shut");
            } else {
                tracing::info!(signal = defaults.name, %error, "signal not used");
                continue;
            }
        }
        signals.push(signal(defaults, config, own_pids));
    }
    signals
}

fn signal(defaults: &SignalDefaults, config: &SignalsConfig, own_pids: &OwnPids) -> HostSignal {
    HostSignal {
        name: defaults.name,
        unit: defaults.unit,
        meter: HostMeter::new(defaults.name, config, own_pids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap: a configured signal that fails is left out, and the gate opens without it.
    #[tokio::test]
    async fn signal_of_a_missing_control_group_fails() {
        let mut config = SignalsConfig::default();
        config.memory.group = Some("/no/such/group".into());
        config.psi_io.group = Some("/no/such/group".into());
        let mut signals = configured(&config, &OwnPids::default());
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

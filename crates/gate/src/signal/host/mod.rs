//! What the host itself tells, from the kernel's files.
//!
//! All of these see the host that the agent runs on: the core's when it runs beside it, the wrong
//! one when the core is remote. [`catalogue`] says it for each.
//!
//! - [`catalogue`] the signals of this kind, their defaults, and whether this system has them
//! - [`parse`] PURE: the kernel's texts
//! - [`group`] what a control group of the core tells
//! - [`meter`] reads them, and compares two looks where a rate is wanted

pub mod catalogue;
pub mod group;
pub mod meter;
pub mod parse;

use async_trait::async_trait;

use self::catalogue::Shipped;
use self::meter::Meter;
use super::{Signal, SignalError};
use crate::config::SignalsConfig;
use crate::own::OwnPids;
use crate::sample::SignalName;

/// A signal of the host.
#[derive(Debug)]
pub struct HostSignal {
    name: &'static str,
    unit: &'static str,
    meter: Meter,
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
                "{} gave {value}, which is no reading",
                self.name
            )))
        }
    }
}

/// The signals of this kind that a configuration uses, host_cpu apart; says which are not used
/// because this system does not have them.
#[must_use]
pub fn configured(config: &SignalsConfig, own_pids: &OwnPids) -> Vec<HostSignal> {
    let mut signals = Vec::new();
    for shipped in catalogue::HOST {
        let table = config.host(shipped.name);
        if !table.is_wanted(shipped) {
            continue;
        }
        if let Err(error) = catalogue::available(shipped.name, config) {
            if table.is_forced() {
                tracing::error!(signal = shipped.name, %error, "a signal that was asked for is not there: the gate stays shut");
            } else {
                tracing::info!(signal = shipped.name, %error, "signal not used");
                continue;
            }
        }
        signals.push(signal(shipped, config, own_pids));
    }
    signals
}

fn signal(shipped: &Shipped, config: &SignalsConfig, own_pids: &OwnPids) -> HostSignal {
    HostSignal {
        name: shipped.name,
        unit: shipped.unit,
        meter: Meter::of(shipped.name, config, own_pids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap: a configured signal that fails is left out, and the gate opens without it.
    #[tokio::test]
    async fn a_named_group_that_is_not_there_is_a_signal_that_fails() {
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

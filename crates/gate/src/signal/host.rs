//! The host's signals, from the kernel's files.
//!
//! All of them measure the host of the agent: the core's host if they are the same, the wrong one for a remote core.
//! [`catalogue`] describes each signal for both cases.
//!
//! - [`catalogue`] the signals and their defaults; [`config`] their tables; [`support`] whether this system has them
//! - [`parse`] PURE: parsers of the kernel's texts
//! - [`group`] the memory and pressure of a control group
//! - [`meter`] reads the files and computes rates

pub mod catalogue;
pub mod config;
pub mod group;
pub mod meter;
pub mod parse;
pub mod support;

use async_trait::async_trait;

use self::catalogue::SignalDefaults;
use self::config::HostSignalConfig;
use self::meter::HostMeter;
use super::{Signal, SignalError};
use crate::own::{OwnEntry, OwnPids};
use crate::sample::SignalName;

/// A signal of the host.
#[derive(Debug)]
pub struct HostSignal {
    name: &'static str,
    unit: &'static str,
    meter: HostMeter,
}

impl HostSignal {
    /// Creates a signal of the catalogue; `foreground` are the business's programs, for `sched_delay`.
    #[must_use]
    pub fn new(
        defaults: &SignalDefaults,
        table: &HostSignalConfig,
        foreground: &[OwnEntry],
        own_pids: &OwnPids,
    ) -> Self {
        Self {
            name: defaults.name,
            unit: defaults.unit,
            meter: HostMeter::new(defaults.name, table, foreground, own_pids),
        }
    }
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

//! The measurements. Each signal reads one number; the policy compares it with its limits.
//!
//! - [`cpu`] CPU load of the host without our own share
//! - [`calendar`] the times in which work is wanted
//! - [`http`] a number from another system
//! - [`probe`] queries of the source's database
//! - [`mod@file`] a file that shuts the gate while it exists
//! - [`host`] the host's other signals
//! - [`procfs`] the kernel's text files
//! - [`scripted`] a signal for tests

pub mod calendar;
pub mod cpu;
pub mod file;
pub mod host;
pub mod http;
pub mod probe;
pub mod procfs;
pub mod scripted;

use async_trait::async_trait;

use crate::config::{CalendarConfig, GateConfig};
use crate::own::OwnPids;
use crate::sample::SignalName;

/// A measurement that can be repeated.
#[async_trait]
pub trait Signal: Send {
    /// Returns the name in limits, samples and evidence.
    fn name(&self) -> SignalName;

    /// Returns the unit of the readings.
    fn unit(&self) -> &'static str;

    /// Reads the value. The future may be dropped when it takes too long.
    ///
    /// # Errors
    /// If the value is not known: an error shuts the gate, a guess could open it.
    async fn read(&mut self) -> Result<f64, SignalError>;
}

/// Why a signal could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignalError(pub String);

/// Returns the signals of a configuration.
#[must_use]
pub fn configured(config: &GateConfig, own_pids: &OwnPids) -> Vec<Box<dyn Signal>> {
    let mut signals: Vec<Box<dyn Signal>> = Vec::new();
    if config.signals.host_cpu.is_enabled(&host::catalogue::HOST_CPU) {
        signals.push(Box::new(cpu::HostCpu::new(config.own.clone(), own_pids.clone())));
    }
    for signal in host::configured(&config.signals, own_pids) {
        signals.push(Box::new(signal));
    }
    if let Some(stop_file) = &config.signals.stop_file {
        signals.push(Box::new(file::StopFile::new(stop_file.path.clone())));
    }
    // An unreadable calendar was refused by the validation.
    if let Some(Ok(calendar)) = config.calendar.as_ref().map(CalendarConfig::calendar) {
        signals.push(Box::new(calendar::CalendarSignal::new(calendar)));
    }
    signals
}

//! What is measured. Each signal reads one number; the policy holds it to its limits.
//!
//! - [`cpu`] CPU of the host without our own share
//! - [`calendar`] when work is wanted at all
//! - [`http`] what another system tells
//! - [`probe`] what has to be asked of the source
//! - [`mod@file`] a file that shuts the gate while it exists
//! - [`host`] what else the host tells
//! - [`procfs`] the kernel's text files
//! - [`scripted`] what a test says

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

/// Something that can be read again and again.
#[async_trait]
pub trait Signal: Send {
    /// Its name in limits, samples and evidence.
    fn name(&self) -> SignalName;

    /// The unit of its readings.
    fn unit(&self) -> &'static str;

    /// Reads it. May be dropped while it waits, when it takes too long.
    ///
    /// # Errors
    /// Whenever the number is not known: an error shuts the gate, a guess would open it.
    async fn read(&mut self) -> Result<f64, SignalError>;
}

/// Why a signal could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignalError(pub String);

/// The signals of a configuration.
#[must_use]
pub fn configured(config: &GateConfig, own_pids: &OwnPids) -> Vec<Box<dyn Signal>> {
    let mut signals: Vec<Box<dyn Signal>> = Vec::new();
    if config.signals.host_cpu.is_wanted(&host::catalogue::HOST_CPU) {
        signals.push(Box::new(cpu::HostCpu::new(config.own.clone(), own_pids.clone())));
    }
    for signal in host::configured(&config.signals, own_pids) {
        signals.push(Box::new(signal));
    }
    if let Some(stop_file) = &config.signals.stop_file {
        signals.push(Box::new(file::StopFile::new(stop_file.path.clone())));
    }
    // One that cannot be read was refused before.
    if let Some(Ok(calendar)) = config.calendar.as_ref().map(CalendarConfig::calendar) {
        signals.push(Box::new(calendar::CalendarSignal::new(calendar)));
    }
    signals
}

//! The measurements. Each signal reads one number; the policy compares it with its limits.
//!
//! - [`cpu`] CPU load of the host without our own share
//! - [`calendar`] the times in which work is wanted
//! - [`http`] a number from another system
//! - [`probe`] queries of the source's database
//! - [`foreground`] scheduling statistics of the business's processes
//! - [`config`] the `[gate.signals]` table; the table of each signal is next to the signal
//! - [`mod@file`] a file that closes the gate while it exists
//! - [`host`] the host's other signals
//! - [`procfs`] the kernel's text files
//! - [`scripted`] a signal for tests

pub mod calendar;
pub mod config;
pub mod cpu;
pub mod file;
pub mod foreground;
pub mod host;
pub mod http;
mod limit_checks;
pub mod probe;
pub mod procfs;
pub mod scripted;

use async_trait::async_trait;

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
    /// If the value is not known: an error closes the gate, a guess could open it.
    async fn read(&mut self) -> Result<f64, SignalError>;
}

/// Why a signal could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignalError(pub String);

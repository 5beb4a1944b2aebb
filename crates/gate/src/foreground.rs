//! Scheduling statistics of the business's processes.
//!
//! They are visible only if the agent runs on the core's host. For a remote core there is no measurement.
//!
//! - [`snapshot`] PURE: two snapshots -> scheduler contention
//! - [`reader`] finds the processes and reads their statistics

pub mod reader;
pub mod snapshot;

use std::time::Duration;

use crate::config::GateConfig;
use crate::own::OwnPids;

pub use reader::ForegroundReader;
pub use snapshot::{Snapshot, contention_between};

/// How long the business's processes ran and waited to run, between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerContention {
    /// Time on a processor, over all processes.
    pub run: Duration,
    /// Time that they were runnable and waited for a processor.
    pub wait: Duration,
    /// How often they were put on a processor.
    pub slices: u64,
}

/// A source of the business's scheduler contention.
pub trait Foreground: Send {
    /// Returns the contention since the last call; `None` at the first call, or where it cannot be measured. Must be
    /// fast: the sampler calls it at each tick while work is done during business activity.
    fn contention(&mut self) -> Option<SchedulerContention>;

    /// Discards the previous snapshot.
    fn reset(&mut self);
}

/// Returns the foreground reader of a configuration, if this system supports one.
#[must_use]
pub fn configured(config: &GateConfig, own_pids: &OwnPids) -> Option<Box<dyn Foreground>> {
    if let Err(error) = ForegroundReader::check_available() {
        tracing::info!(%error, "harm to the business cannot be measured on this system");
        return None;
    }
    let programs = config.signals.foreground.clone();
    Some(Box::new(ForegroundReader::new(own_pids.clone(), programs)))
}

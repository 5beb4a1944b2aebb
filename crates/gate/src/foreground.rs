//! Scheduling statistics of the business's processes, as the duty law needs them.
//!
//! They are visible only if the agent runs on the core's host. For a remote core there is no measurement.
//! [`crate::signal::foreground`] reads them from the kernel.

use std::time::Duration;

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

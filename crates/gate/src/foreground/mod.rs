//! What the business's processes get of the processors.

use std::time::Duration;

use crate::config::GateConfig;
use crate::own::OwnPids;

/// How long the business's processes ran and waited to run, between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strain {
    /// Time on a processor, over all processes.
    pub run: Duration,
    /// Time that they could have run and waited for a processor.
    pub wait: Duration,
    /// Times that they were put on a processor.
    pub slices: u64,
}

/// Something that can tell the strain of the business.
pub trait Foreground: Send {
    /// The strain since the last call; none at the first, or where it cannot be seen. Quick: it
    /// is called from the sampler at each tick while work is done beside a business.
    fn strain(&mut self) -> Option<Strain>;

    /// The next call is the first again.
    fn forget(&mut self);
}

/// The foreground of a configuration, where it can be seen.
#[must_use]
pub fn configured(_config: &GateConfig, _own_pids: &OwnPids) -> Option<Box<dyn Foreground>> {
    None
}

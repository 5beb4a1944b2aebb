//! What the business's processes get of the processors.
//!
//! Seen where the agent runs beside the core. Where the core is remote its processes cannot be
//! seen from here, and there is no strain to tell.
//!
//! - [`snapshot`] PURE: two looks -> strain
//! - [`reader`] finds the processes and looks

pub mod reader;
pub mod snapshot;

use std::time::Duration;

use crate::config::GateConfig;
use crate::own::OwnPids;

pub use reader::ForegroundReader;
pub use snapshot::{Snapshot, between};

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
pub fn configured(config: &GateConfig, own_pids: &OwnPids) -> Option<Box<dyn Foreground>> {
    if let Err(error) = ForegroundReader::available() {
        tracing::info!(%error, "what our work costs the business cannot be seen here");
        return None;
    }
    let programs = config.signals.foreground.clone();
    Some(Box::new(ForegroundReader::new(own_pids.clone(), programs)))
}

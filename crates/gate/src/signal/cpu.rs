//! CPU of the host without our own share, in percent of all cores.

use async_trait::async_trait;

use super::{Signal, SignalError};
use crate::own::{OwnEntry, OwnPids};

/// Its name.
pub const NAME: &str = "host_cpu";

/// Its unit.
pub const UNIT: &str = "percent";

/// CPU of the host without our own share.
#[derive(Debug)]
pub struct HostCpu {
    own: Vec<OwnEntry>,
    own_pids: OwnPids,
}

impl HostCpu {
    /// A meter that leaves out these processes, and this one.
    #[must_use]
    pub fn new(own: Vec<OwnEntry>, own_pids: OwnPids) -> Self {
        Self { own, own_pids }
    }
}

#[async_trait]
impl Signal for HostCpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let _ = (&self.own, &self.own_pids);
        Err(SignalError("not measured yet".to_owned()))
    }
}

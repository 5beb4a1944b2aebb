//! CPU of the host without our own share, in percent of all cores.
//!
//! Busy is everything but idle and waiting for IO; time stolen by the hypervisor is busy, since
//! the business does not get it either. Interrupts are shared out as the rest is. From that goes the CPU time of processes whose work is
//! ours, over the same window. What cannot be told apart counts as the business's: a process
//! of ours that ended inside the window, or that was first seen in it.
//!
//! - [`share`] PURE: two snapshots -> percent
//! - [`host`] the host's counters; `root` those of the root control group
//! - [`process`] the CPU time of our processes; `tasks` by thread

pub mod host;
pub mod process;
#[cfg(target_os = "linux")]
pub mod root;
pub mod share;
#[cfg(target_os = "linux")]
pub mod tasks;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use async_trait::async_trait;

use self::process::OwnProcesses;
use self::share::Snapshot;
use super::{Signal, SignalError};
use crate::own::{OwnEntry, OwnPids};
use crate::sample::SignalName;

/// Its name.
pub const NAME: &str = "host_cpu";

/// Its unit.
pub const UNIT: &str = "percent";

/// CPU of the host without our own share.
#[derive(Debug)]
pub struct HostCpu {
    meter: Arc<Mutex<Meter>>,
}

#[derive(Debug)]
struct Meter {
    host: host::Host,
    own: OwnProcesses,
    before: VecDeque<Snapshot>,
}

impl HostCpu {
    /// A meter that leaves out these processes, and this one.
    #[must_use]
    pub fn new(own: Vec<OwnEntry>, own_pids: OwnPids) -> Self {
        let meter = Meter {
            host: host::Host::new(),
            own: OwnProcesses::new(own, own_pids),
            before: VecDeque::new(),
        };
        Self {
            meter: Arc::new(Mutex::new(meter)),
        }
    }
}

#[async_trait]
impl Signal for HostCpu {
    fn name(&self) -> SignalName {
        NAME.into()
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        // Looking through the process list takes milliseconds: not on the runtime's threads.
        // A reading of held files takes some dozen microseconds.
        let scans = match self.meter.try_lock() {
            Ok(meter) => meter.own.will_scan() || cfg!(not(target_os = "linux")),
            Err(_) => false,
        };
        if !scans {
            return read(&self.meter);
        }
        let meter = Arc::clone(&self.meter);
        tokio::task::spawn_blocking(move || read(&meter))
            .await
            .unwrap_or_else(|error| Err(SignalError(format!("the reading failed: {error}"))))
    }
}

fn read(meter: &Mutex<Meter>) -> Result<f64, SignalError> {
    match meter.try_lock() {
        Ok(mut meter) => meter.read(),
        Err(TryLockError::Poisoned(meter)) => PoisonError::into_inner(meter).read(),
        Err(TryLockError::WouldBlock) => Err(SignalError("the reading before has not come back".to_owned())),
    }
}

/// The shortest window over counters in ticks of 10 ms, with some room for jitter.
const TICKS_WINDOW: Duration = Duration::from_millis(190);

impl Meter {
    fn read(&mut self) -> Result<f64, SignalError> {
        let host = self.host.read();
        // Snapshots from before a failure are no longer those before.
        let mut before = std::mem::take(&mut self.before);
        let after = Snapshot {
            host: host?,
            own: self.own.read()?,
        };
        let window = if after.host.precise {
            Duration::ZERO
        } else {
            TICKS_WINDOW
        };
        let fills = |snapshot: &Snapshot| after.host.at.saturating_sub(snapshot.host.at) >= window;
        while before.get(1).is_some_and(fills) {
            before.pop_front();
        }
        let percent = before.front().map_or_else(
            || {
                Err(SignalError(
                    "first reading, nothing to compare it with yet".to_owned(),
                ))
            },
            |before| share::foreground(before, &after).map_err(|error| SignalError(error.to_string())),
        );
        before.push_back(after);
        self.before = before;
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reading_is_an_error_and_the_next_a_percentage() {
        let mut signal = HostCpu::new(
            vec![OwnEntry::Program(vec!["nats-server".to_owned()])],
            OwnPids::new(),
        );
        assert!(signal.read().await.is_err());
        // Until the counters have moved, no time has passed by them, and that is an error too.
        let percent = loop {
            if let Ok(percent) = signal.read().await {
                break percent;
            }
        };
        assert!((0.0..=100.0).contains(&percent), "{percent}");
    }

    #[tokio::test]
    async fn a_reading_that_hangs_makes_the_next_one_fail() {
        let mut signal = HostCpu::new(Vec::new(), OwnPids::new());
        let meter = Arc::clone(&signal.meter);
        let held = meter.lock();
        let reading = signal.read().await;
        drop(held);
        assert!(reading.is_err_and(|error| error.0.contains("not come back")));
    }
}

//! CPU load of the host without our own share, in percent of all cores.
//!
//! Everything but idle time and I/O wait is busy time. Time stolen by the hypervisor is busy, because the business does
//! not get it either. Interrupts are attributed proportionally. The CPU time of our own processes in the same window is
//! subtracted. Time that cannot be attributed counts as the business's: a process of ours that ended or was first seen
//! inside the window.
//!
//! - [`share`] PURE: two snapshots -> percent
//! - [`host`] the host's counters; `root` those of the root control group; [`proc_stat`] PURE: their parser
//! - [`process`] the CPU time of our processes; `tasks` by thread

pub mod host;
pub mod proc_stat;
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

/// The signal's name.
pub const NAME: &str = "host_cpu";

/// The signal's unit.
pub const UNIT: &str = "percent";

/// CPU load of the host without our own share.
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
    /// Creates a meter that excludes these processes and this one.
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
        // A scan of the process list takes milliseconds, so it runs on a blocking thread. Reading open files takes tens
        // of microseconds.
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
        Err(TryLockError::WouldBlock) => Err(SignalError("the previous reading has not finished".to_owned())),
    }
}

/// Minimum window for counters in ticks of 10 ms, with some room for jitter.
const MIN_TICK_WINDOW: Duration = Duration::from_millis(190);

impl Meter {
    fn read(&mut self) -> Result<f64, SignalError> {
        let host = self.host.read();
        // After a failure the earlier snapshots are not used.
        let mut before = std::mem::take(&mut self.before);
        let after = Snapshot {
            host: host?,
            own: self.own.read()?,
        };
        let window = if after.host.precise {
            Duration::ZERO
        } else {
            MIN_TICK_WINDOW
        };
        let fills = |snapshot: &Snapshot| after.host.at.saturating_sub(snapshot.host.at) >= window;
        while before.get(1).is_some_and(fills) {
            before.pop_front();
        }
        let percent = before.front().map_or_else(
            || {
                Err(SignalError(
                    "first reading, no previous value to compare with".to_owned(),
                ))
            },
            |before| {
                share::foreground_percent(before, &after).map_err(|error| SignalError(error.to_string()))
            },
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
    async fn host_cpu_second_reading_is_a_percentage() {
        let mut signal = HostCpu::new(
            vec![OwnEntry::Program(vec!["nats-server".to_owned()])],
            OwnPids::new(),
        );
        assert!(signal.read().await.is_err());
        // Until the counters advance, no time has passed by them, which is an error too.
        let percent = loop {
            if let Ok(percent) = signal.read().await {
                break percent;
            }
        };
        assert!((0.0..=100.0).contains(&percent), "{percent}");
    }

    #[tokio::test]
    async fn host_cpu_hanging_reading_makes_the_next_one_fail() {
        let mut signal = HostCpu::new(Vec::new(), OwnPids::new());
        let meter = Arc::clone(&signal.meter);
        let held = meter.lock();
        let reading = signal.read().await;
        drop(held);
        assert!(reading.is_err_and(|error| error.0.contains("has not finished")));
    }
}

//! Signals that query the system of record: database activity, canaries, the user's SQL.
//!
//! A probe is load on the core, so it is limited more strictly than the work it protects. One task runs all probes in
//! turn, at most one statement per second, each with a timeout of 5 ms. The result is stored with its age, and the
//! signals read the stored result. A value that is too old, or a probe that failed or was late, fails the reading,
//! which closes the gate.
//!
//! Connecting takes a slot too and may take longer than 5 ms; failures back off.
//!
//! - [`config`] the configuration
//! - `readings` the latest results and their maximum age
//! - `schedule` the task

pub mod config;
mod readings;
mod schedule;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::readings::{LatestReadings, ProbedSignal};
use super::{Signal, SignalError};
use crate::sample::SignalName;

/// Minimum time from the end of one statement to the start of the next, over all probes of a source.
pub const MIN_SPACING: Duration = Duration::from_secs(1);

/// Timeout of one statement.
pub const TIMEOUT: Duration = Duration::from_millis(5);

/// How much older than a whole round a value may be.
const GRACE: Duration = Duration::from_secs(2);

/// One statement on the source, which yields one or more signals.
#[async_trait]
pub trait Probe: Send {
    /// The signals that it speaks for, and the unit of each.
    fn signals(&self) -> Vec<(SignalName, &'static str)>;

    /// Whether it is connected; otherwise it is connected first.
    fn is_connected(&self) -> bool;

    /// Connects. Not subject to the 5 ms; attempted at most once a second.
    ///
    /// # Errors
    /// If the source cannot be reached; contains no secret.
    async fn connect(&mut self) -> Result<(), SignalError>;

    /// Executes its statement once and returns the value of each of its signals.
    ///
    /// # Errors
    /// If any value is not known.
    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError>;

    /// Closes the connection after a statement did not finish.
    fn disconnect(&mut self);
}

/// Statistics of the probes, separate from those of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProbeCount {
    /// Statements executed.
    pub probes: u64,
    /// Statements that failed or were late, and failed connection attempts.
    pub failures: u64,
    /// Duration of the last statement, in microseconds.
    pub last_us: u64,
    /// Duration of the slowest statement, in microseconds.
    pub max_us: u64,
}

/// Probes a source; the spacing and the statistics survive a reconfiguration of the signals. Clones share one prober.
#[derive(Debug, Clone, Default)]
pub struct Prober {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the last statement or connection attempt ended. Locked while one is in progress.
    last: Mutex<Option<Instant>>,
    count: Count,
}

#[derive(Debug, Default)]
struct Count {
    probes: AtomicU64,
    failures: AtomicU64,
    last_us: AtomicU64,
    max_us: AtomicU64,
}

impl Prober {
    /// Creates a prober without probes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Probes in turn until the last of the returned signals is dropped. Without probes there is no task and no signal,
    /// and the source is never queried.
    #[must_use]
    pub fn start(&self, probes: Vec<Box<dyn Probe>>) -> Vec<Box<dyn Signal>> {
        if probes.is_empty() {
            return Vec::new();
        }
        let names: Vec<_> = probes.iter().flat_map(|probe| probe.signals()).collect();
        let round = MIN_SPACING.saturating_mul(u32::try_from(probes.len()).unwrap_or(u32::MAX));
        let readings = Arc::new(LatestReadings::default());
        let task = tokio::spawn(schedule::run(
            probes,
            Arc::clone(&self.shared),
            Arc::clone(&readings),
        ));
        let task = Arc::new(Task(task));
        let signal = |(name, unit)| {
            Box::new(ProbedSignal {
                name,
                unit,
                readings: Arc::clone(&readings),
                max_age: round.saturating_add(GRACE),
                _task: Arc::clone(&task),
            }) as Box<dyn Signal>
        };
        names.into_iter().map(signal).collect()
    }

    /// Returns the statistics so far.
    #[must_use]
    pub fn count(&self) -> ProbeCount {
        let count = &self.shared.count;
        ProbeCount {
            probes: count.probes.load(Relaxed),
            failures: count.failures.load(Relaxed),
            last_us: count.last_us.load(Relaxed),
            max_us: count.max_us.load(Relaxed),
        }
    }
}

/// Aborts the task with the last signal.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;

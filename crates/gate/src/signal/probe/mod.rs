//! Signals that have to ask the system of record: database activity, canaries, the user's SQL.
//!
//! A probe is work on the core, so it is rationed harder than the work it protects: all probes
//! take turns in one task, never two statements within a second, each for 5 ms at most. What a
//! probe said is kept with its age; the signals read what is kept. A value that is too old, and
//! a probe that failed or was late, fail the reading, and a failed reading shuts the gate.
//!
//! Connecting takes a turn too and is slower than 5 ms; it backs off while it fails.
//!
//! - `kept` what was last said, and how old it may be
//! - `turns` the one task

mod kept;
mod turns;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::kept::{Kept, Probed};
use super::{Signal, SignalError};
use crate::sample::SignalName;

/// From the end of one statement to the beginning of the next, over all probes of a source.
pub const APART: Duration = Duration::from_secs(1);

/// How long one statement may take.
pub const TIMEOUT: Duration = Duration::from_millis(5);

/// How much older than a whole round a value may be.
const GRACE: Duration = Duration::from_secs(2);

/// One statement on the source, which speaks for one or more signals.
#[async_trait]
pub trait Probe: Send {
    /// The signals that it speaks for, and the unit of each.
    fn signals(&self) -> Vec<(SignalName, &'static str)>;

    /// Whether it can be asked now; otherwise it is connected first.
    fn is_connected(&self) -> bool;

    /// Opens what it needs. Not under the 5 ms; tried once a second at most.
    ///
    /// # Errors
    /// Why the source cannot be reached; no secret in it.
    async fn connect(&mut self) -> Result<(), SignalError>;

    /// Asks its statement, one, and gives a value to each of its signals.
    ///
    /// # Errors
    /// Whenever a number is not known.
    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError>;

    /// Closes what it had: a statement did not come back.
    fn disconnect(&mut self);
}

/// What the probes did to the source, counted apart from the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProbeCount {
    /// Statements.
    pub probes: u64,
    /// Statements that failed or were late, and connections that could not be made.
    pub failures: u64,
    /// How long the last statement took, in microseconds.
    pub last_us: u64,
    /// How long the slowest took.
    pub max_us: u64,
}

/// Probes a source, and goes on counting and pacing when the signals are configured anew.
/// Copies are the same prober.
#[derive(Debug, Clone, Default)]
pub struct Prober {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the last statement or attempt to connect ended. Held while one is under way.
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
    /// One that has asked nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Probes in turn from now on, until the last of the signals is dropped. No probes: no
    /// task, no signals, and the source is never asked.
    #[must_use]
    pub fn start(&self, probes: Vec<Box<dyn Probe>>) -> Vec<Box<dyn Signal>> {
        if probes.is_empty() {
            return Vec::new();
        }
        let names: Vec<_> = probes.iter().flat_map(|probe| probe.signals()).collect();
        let round = APART.saturating_mul(u32::try_from(probes.len()).unwrap_or(u32::MAX));
        let kept = Arc::new(Kept::default());
        let task = tokio::spawn(turns::take(probes, Arc::clone(&self.shared), Arc::clone(&kept)));
        let task = Arc::new(Task(task));
        let signal = |(name, unit)| {
            Box::new(Probed {
                name,
                unit,
                kept: Arc::clone(&kept),
                most_age: round.saturating_add(GRACE),
                _task: Arc::clone(&task),
            }) as Box<dyn Signal>
        };
        names.into_iter().map(signal).collect()
    }

    /// What was done to the source so far.
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

/// Ends with the last signal that holds it.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;

//! A shut flag for database drivers, which check it for every row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Whether the gate is shut, and since when: one atomic load, no lock, no task.
#[derive(Debug, Clone)]
pub struct ShutFlag {
    clock: Clock,
    /// Monotonic nanoseconds of the shut plus one; zero while open.
    since: Arc<AtomicU64>,
}

impl ShutFlag {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            since: Arc::default(),
        }
    }

    pub(crate) fn shut(&self, mono: Duration) {
        let nanos = u64::try_from(mono.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        self.since.store(nanos, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.since.store(0, Ordering::SeqCst);
    }

    /// Whether the gate is shut.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.since.load(Ordering::SeqCst) != 0
    }

    /// Returns how long the gate has been shut; `None` while it is open. Distinguishes a row within the time to yield
    /// from a later one.
    #[must_use]
    pub fn shut_for(&self) -> Option<Duration> {
        let nanos = self.since.load(Ordering::SeqCst).checked_sub(1)?;
        Some(self.clock.now().mono.saturating_sub(Duration::from_nanos(nanos)))
    }
}

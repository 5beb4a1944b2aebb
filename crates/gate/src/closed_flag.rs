//! A flag that the gate is closed, for database drivers, which check it for every row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Whether the gate is closed, and since when: one atomic load, no lock, no task.
#[derive(Debug, Clone)]
pub struct ClosedFlag {
    clock: Clock,
    /// Monotonic nanoseconds of the closing plus one; zero while open.
    since: Arc<AtomicU64>,
}

impl ClosedFlag {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            since: Arc::default(),
        }
    }

    pub(crate) fn close(&self, mono: Duration) {
        let nanos = u64::try_from(mono.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        self.since.store(nanos, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.since.store(0, Ordering::SeqCst);
    }

    /// Whether the gate is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.since.load(Ordering::SeqCst) != 0
    }

    /// Returns how long the gate has been closed; `None` while it is open. Distinguishes a row within the time to yield
    /// from a later one.
    #[must_use]
    pub fn closed_for(&self) -> Option<Duration> {
        let nanos = self.since.load(Ordering::SeqCst).checked_sub(1)?;
        Some(self.clock.now().mono.saturating_sub(Duration::from_nanos(nanos)))
    }
}

//! What the drivers count, independently of the code that uses them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gate::closed_flag::ClosedFlag;

use crate::port::DriverCounts;

/// The last instruction on the source must end within this time after the sample that closed the gate.
pub const YIELD_BOUND: Duration = Duration::from_millis(100);

/// Counts at the driver's boundary: by a trace hook in SQLite, by protocol messages in PostgreSQL.
pub(crate) struct DriverCounter {
    closed: ClosedFlag,
    statements: AtomicU64,
    rows: AtomicU64,
    rows_while_closed: AtomicU64,
    rows_while_yielding: AtomicU64,
    statements_while_closed: AtomicU64,
}

impl DriverCounter {
    pub(crate) fn new(closed: ClosedFlag) -> Self {
        Self {
            closed,
            statements: AtomicU64::default(),
            rows: AtomicU64::default(),
            rows_while_closed: AtomicU64::default(),
            rows_while_yielding: AtomicU64::default(),
            statements_while_closed: AtomicU64::default(),
        }
    }

    pub(crate) fn statement(&self) {
        self.statements.fetch_add(1, Relaxed);
        if self.closed.closed_for().is_some_and(|span| span > YIELD_BOUND) {
            self.statements_while_closed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn row(&self) {
        self.rows.fetch_add(1, Relaxed);
        match self.closed.closed_for() {
            None => {}
            Some(span) if span > YIELD_BOUND => {
                self.rows_while_closed.fetch_add(1, Relaxed);
            }
            Some(_) => {
                self.rows_while_yielding.fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn counts(&self) -> DriverCounts {
        DriverCounts {
            statements: self.statements.load(Relaxed),
            rows: self.rows.load(Relaxed),
            rows_while_closed: self.rows_while_closed.load(Relaxed),
            rows_while_yielding: self.rows_while_yielding.load(Relaxed),
            statements_while_closed: self.statements_while_closed.load(Relaxed),
        }
    }
}

impl fmt::Debug for DriverCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

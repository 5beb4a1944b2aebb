//! What the drivers count by themselves, whatever the code above believes it does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gate::shut::ShutFlag;

use crate::port::DriverCount;

/// Within this time after the shutting sample the last instruction on the source must be over.
pub const YIELD_BOUND: Duration = Duration::from_millis(100);

/// Counts at the driver's boundary: a trace hook in SQLite, the protocol's messages in PostgreSQL.
pub(crate) struct DriverCounter {
    shut: ShutFlag,
    statements: AtomicU64,
    rows: AtomicU64,
    rows_while_shut: AtomicU64,
    rows_while_yielding: AtomicU64,
    statements_while_shut: AtomicU64,
}

impl DriverCounter {
    pub(crate) fn new(shut: ShutFlag) -> Self {
        Self {
            shut,
            statements: AtomicU64::default(),
            rows: AtomicU64::default(),
            rows_while_shut: AtomicU64::default(),
            rows_while_yielding: AtomicU64::default(),
            statements_while_shut: AtomicU64::default(),
        }
    }

    pub(crate) fn statement(&self) {
        self.statements.fetch_add(1, Relaxed);
        if self.shut.shut_for().is_some_and(|span| span > YIELD_BOUND) {
            self.statements_while_shut.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn row(&self) {
        self.rows.fetch_add(1, Relaxed);
        match self.shut.shut_for() {
            None => {}
            Some(span) if span > YIELD_BOUND => {
                self.rows_while_shut.fetch_add(1, Relaxed);
            }
            Some(_) => {
                self.rows_while_yielding.fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn counted(&self) -> DriverCount {
        DriverCount {
            statements: self.statements.load(Relaxed),
            rows: self.rows.load(Relaxed),
            rows_while_shut: self.rows_while_shut.load(Relaxed),
            rows_while_yielding: self.rows_while_yielding.load(Relaxed),
            statements_while_shut: self.statements_while_shut.load(Relaxed),
        }
    }
}

impl fmt::Debug for DriverCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counted().fmt(f)
    }
}

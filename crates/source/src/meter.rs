//! How long a reader has used its source.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Sums the time of a reader's statements, without the time that they waited for other readers. Clones share the sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Adds the time of one statement.
    pub(crate) fn add(&self, spent: Duration) {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Relaxed);
    }

    /// Returns the sum.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meter_clones_add_to_one_sum() {
        let meter = Meter::default();
        meter.clone().add(Duration::from_micros(2));
        meter.add(Duration::from_nanos(500));
        assert_eq!(meter.total(), Duration::from_nanos(2_500));
    }
}

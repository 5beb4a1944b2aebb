//! PURE: computes how many rows the next quantum may read.
//!
//! Short quanta keep the core's queue short when load rises; the row limit is the means to bound the time. The memory of a
//! quantum is bounded in the same way.

use std::time::Duration;

/// The configured bounds of a quantum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// The target duration of a quantum.
    pub target: Duration,
    /// The minimum number of rows.
    pub min_rows: usize,
    /// The maximum number of rows.
    pub max_rows: usize,
    /// The maximum expected packed bytes of a quantum.
    pub max_bytes: usize,
}

impl Default for Sizing {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(20),
            min_rows: 50,
            max_rows: 20_000,
            max_bytes: 8_000_000,
        }
    }
}

/// The measurements of the last quantum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantumStats {
    /// The limit for the whole target duration.
    pub limit: usize,
    /// The requested rows: fewer than `limit` if the gate granted a shorter quantum.
    pub requested: usize,
    /// The rows that were read.
    pub rows: u64,
    /// Their packed bytes.
    pub bytes: usize,
    /// Time on the source.
    pub time: Duration,
}

impl Sizing {
    /// Returns the first limit: small, because nothing is known of the rows.
    #[must_use]
    pub fn first(&self) -> usize {
        self.min_rows.saturating_mul(4).min(self.max_rows).max(1)
    }

    /// Returns the next limit. It at most doubles, and shrinks at once. A quantum with fewer rows than requested is no measure
    /// of time and never increases the limit.
    #[must_use]
    pub fn next(&self, stats: QuantumStats) -> usize {
        if stats.rows == 0 {
            return self.bound(stats.limit);
        }
        let (rows, micros) = (u128::from(stats.rows), stats.time.as_micros().max(1));
        let by_time = rows * self.target.as_micros() / micros;
        let growth_limit = stats
            .limit
            .saturating_mul(if stats.rows >= stats.requested as u64 {
                2
            } else {
                1
            });
        let by_bytes = rows * self.max_bytes as u128 / (stats.bytes.max(1) as u128);
        let next = usize::try_from(by_time.min(by_bytes)).unwrap_or(usize::MAX);
        self.bound(next.min(growth_limit))
    }

    /// Returns the rows to request if the quantum may take at most this long.
    #[must_use]
    pub fn within(&self, limit: usize, quantum: Duration) -> usize {
        let (quantum, target) = (quantum.as_micros(), self.target.as_micros().max(1));
        if quantum >= target {
            return limit;
        }
        let rows = usize::try_from(limit as u128 * quantum / target).unwrap_or(limit);
        self.bound(rows).min(limit)
    }

    /// Returns the limit after a statement timeout.
    #[must_use]
    pub fn after_timeout(&self, limit: usize) -> usize {
        (limit / 4).clamp(1, self.max_rows.max(1))
    }

    fn bound(&self, rows: usize) -> usize {
        rows.clamp(
            self.min_rows.max(1).min(self.max_rows.max(1)),
            self.max_rows.max(1),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(limit: usize, rows: u64, millis: u64) -> QuantumStats {
        QuantumStats {
            limit,
            requested: limit,
            rows,
            bytes: 1,
            time: Duration::from_millis(millis),
        }
    }

    #[test]
    fn sizing_aims_at_the_target_and_at_most_doubles() {
        let sizing = Sizing::default();
        assert_eq!(sizing.next(stats(1000, 1000, 20)), 1000);
        assert_eq!(sizing.next(stats(1000, 1000, 1)), 2000);
        assert_eq!(sizing.next(stats(1000, 1000, 200)), 100);
        assert_eq!(sizing.next(stats(1000, 1000, 20_000)), 50);
        assert_eq!(sizing.next(stats(20_000, 20_000, 1)), 20_000);
    }

    #[test]
    fn sizing_drained_feed_never_grows_the_limit() {
        assert_eq!(Sizing::default().next(stats(1000, 3, 0)), 1000);
        assert_eq!(Sizing::default().next(stats(1000, 0, 500)), 1000);
    }

    /// Next to a business a quantum is a tenth as long; that must not shrink what is known.
    #[test]
    fn sizing_shorter_quantum_requests_less_and_keeps_the_limit() {
        let sizing = Sizing::default();
        let asked = sizing.within(4_000, Duration::from_millis(2));
        assert_eq!(asked, 400);
        let stats = QuantumStats {
            requested: asked,
            rows: 400,
            ..stats(4_000, 0, 2)
        };
        assert_eq!(sizing.next(stats), 4_000);
        assert_eq!(sizing.within(4_000, Duration::from_secs(1)), 4_000);
        assert_eq!(sizing.within(60, Duration::from_micros(1)), 50);
    }

    #[test]
    fn sizing_large_rows_are_bounded_by_memory() {
        let sizing = Sizing {
            min_rows: 1,
            ..Sizing::default()
        };
        let stats = QuantumStats {
            limit: 200,
            requested: 200,
            rows: 200,
            bytes: 400_000_000,
            time: Duration::from_millis(1),
        };
        assert_eq!(sizing.next(stats), 4);
    }
}

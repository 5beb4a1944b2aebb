//! PURE: how many rows the next quantum may read.
//!
//! Short quanta are what keeps a core's queue short when load rises; rows are only the means
//! of asking for time. The memory that a quantum may fill is bounded the same way.

use std::time::Duration;

/// The bounds, from configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// How long a quantum should take.
    pub target: Duration,
    /// Fewest rows.
    pub least: usize,
    /// Most rows.
    pub most: usize,
    /// Most packed bytes that a quantum is expected to bring.
    pub most_bytes: usize,
}

impl Default for Sizing {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(20),
            least: 50,
            most: 20_000,
            most_bytes: 8_000_000,
        }
    }
}

/// What the last quantum came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// The limit that was meant for the whole target.
    pub limit: usize,
    /// The rows that were asked for, fewer where the gate asked for a shorter quantum.
    pub asked: usize,
    /// Rows that came.
    pub rows: u64,
    /// Their packed bytes.
    pub bytes: usize,
    /// Time on the source.
    pub time: Duration,
}

impl Sizing {
    /// The first limit: small, for nothing is known of the rows.
    #[must_use]
    pub fn first(&self) -> usize {
        self.least.saturating_mul(4).min(self.most).max(1)
    }

    /// The next limit. It grows at most to the double and shrinks at once. A quantum that
    /// brought fewer rows than asked for says little about time and never lets it grow.
    #[must_use]
    pub fn next(&self, took: Took) -> usize {
        if took.rows == 0 {
            return self.bound(took.limit);
        }
        let (rows, micros) = (u128::from(took.rows), took.time.as_micros().max(1));
        let by_time = rows * self.target.as_micros() / micros;
        let most = took
            .limit
            .saturating_mul(if took.rows >= took.asked as u64 { 2 } else { 1 });
        let by_bytes = rows * self.most_bytes as u128 / (took.bytes.max(1) as u128);
        let next = usize::try_from(by_time.min(by_bytes)).unwrap_or(usize::MAX);
        self.bound(next.min(most))
    }

    /// The rows to ask for when the quantum may take this long at most.
    #[must_use]
    pub fn within(&self, limit: usize, quantum: Duration) -> usize {
        let (quantum, target) = (quantum.as_micros(), self.target.as_micros().max(1));
        if quantum >= target {
            return limit;
        }
        let rows = usize::try_from(limit as u128 * quantum / target).unwrap_or(limit);
        self.bound(rows).min(limit)
    }

    /// The limit after a statement ran into its timeout.
    #[must_use]
    pub fn after_timeout(&self, limit: usize) -> usize {
        (limit / 4).clamp(1, self.most.max(1))
    }

    fn bound(&self, rows: usize) -> usize {
        rows.clamp(self.least.max(1).min(self.most.max(1)), self.most.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(limit: usize, rows: u64, millis: u64) -> Took {
        Took {
            limit,
            asked: limit,
            rows,
            bytes: 1,
            time: Duration::from_millis(millis),
        }
    }

    #[test]
    fn it_aims_at_the_time_and_grows_at_most_to_the_double() {
        let sizing = Sizing::default();
        assert_eq!(sizing.next(took(1000, 1000, 20)), 1000);
        assert_eq!(sizing.next(took(1000, 1000, 1)), 2000);
        assert_eq!(sizing.next(took(1000, 1000, 200)), 100);
        assert_eq!(sizing.next(took(1000, 1000, 20_000)), 50);
        assert_eq!(sizing.next(took(20_000, 20_000, 1)), 20_000);
    }

    #[test]
    fn a_quantum_that_drained_the_feed_never_lets_it_grow() {
        assert_eq!(Sizing::default().next(took(1000, 3, 0)), 1000);
        assert_eq!(Sizing::default().next(took(1000, 0, 500)), 1000);
    }

    /// Beside a business a quantum is a tenth as long; that must not shrink what is known.
    #[test]
    fn a_shorter_quantum_asks_for_less_and_forgets_nothing() {
        let sizing = Sizing::default();
        let asked = sizing.within(4_000, Duration::from_millis(2));
        assert_eq!(asked, 400);
        let took = Took {
            asked,
            rows: 400,
            ..took(4_000, 0, 2)
        };
        assert_eq!(sizing.next(took), 4_000);
        assert_eq!(sizing.within(4_000, Duration::from_secs(1)), 4_000);
        assert_eq!(sizing.within(60, Duration::from_micros(1)), 50);
    }

    #[test]
    fn large_rows_bound_it_by_memory() {
        let sizing = Sizing {
            least: 1,
            ..Sizing::default()
        };
        let took = Took {
            limit: 200,
            asked: 200,
            rows: 200,
            bytes: 400_000_000,
            time: Duration::from_millis(1),
        };
        assert_eq!(sizing.next(took), 4);
    }
}

//! PURE: decides how long a feed's open block waits for more rows.
//!
//! A trickle of rows would make a chunk at each poll: thousands an hour, each with a signature, a sync and a ledger entry. So
//! chunks that are closed only because no more rows are there keep a minimum distance. A full block, a row after a pause and the
//! end of a backlog do not wait, and no block waits longer than the distance: lanes at different positions have separate blocks,
//! and one lane's blocks must not keep another's open.

use std::time::Duration;

use tokio::time::Instant;

/// Keeps the minimum distance between one feed's chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector {
    /// When a block was last closed because no more rows were there.
    closed_at: Option<Instant>,
}

impl Collector {
    /// Returns how long a drained block stays open, given how long it has been open.
    pub(super) fn wait(&self, distance: Duration, open_for: Duration, now: Instant) -> Duration {
        self.closed_at.map_or(Duration::ZERO, |at| {
            distance.saturating_sub(now.saturating_duration_since(at).max(open_for))
        })
    }

    /// Records that a block was closed because no more rows were there.
    pub(super) fn closed(&mut self, now: Instant) {
        self.closed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[tokio::test(start_paused = true)]
    async fn collector_trickle_keeps_its_distance_and_a_pause_ends_it() {
        let (mut collector, begun) = (Collector::default(), Instant::now());
        assert_eq!(collector.wait(S(2), S(0), begun), S(0));
        collector.closed(begun);
        assert_eq!(collector.wait(S(2), S(0), begun), S(2));
        assert_eq!(collector.wait(S(2), S(0), begun + S(1)), S(1));
        assert_eq!(collector.wait(S(2), S(0), begun + S(9)), S(0));
        assert_eq!(collector.wait(S(0), S(0), begun), S(0));
    }

    /// Trap: a lagging lane is read for next to one with a trickle, whose chunk is always the last one.
    #[tokio::test(start_paused = true)]
    async fn collector_block_waits_no_longer_than_the_distance() {
        let (mut collector, begun) = (Collector::default(), Instant::now());
        for second in 0..9 {
            collector.closed(begun + S(second));
            let wait = collector.wait(S(2), S(second), begun + S(second));
            assert_eq!(wait, S(2).saturating_sub(S(second)), "open for {second} s");
        }
    }
}

//! PURE: how long the open block of a feed waits for more rows.
//!
//! A trickle would make a chunk at each look: thousands an hour, each with its signature, its sync and its ledger entry. So
//! chunks that are closed only because nothing more is there keep a distance. A block that is full, a row after a pause and
//! the end of a backlog do not wait, and no block waits longer than the distance: lanes that stand at different places have
//! blocks of their own, and those of one must not keep another's open.

use std::time::Duration;

use tokio::time::Instant;

/// Keeps the distance of one feed's chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector {
    /// When a block was closed last because nothing more was there.
    closed_at: Option<Instant>,
}

impl Collector {
    /// How long a block that nothing more is there for stays open, which has been open for so long.
    pub(super) fn wait(&self, distance: Duration, open_for: Duration, now: Instant) -> Duration {
        self.closed_at.map_or(Duration::ZERO, |at| {
            distance.saturating_sub(now.saturating_duration_since(at).max(open_for))
        })
    }

    /// A block was closed because nothing more was there.
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

    /// Trap: a lane that is behind is read for beside one with a trickle, whose chunk is always the last one.
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

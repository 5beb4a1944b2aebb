//! Polls the streams, and decides about each request that they change.

use std::sync::Arc;

use jiff::Timestamp;
use requests::forecast;
use tokio::time::Instant;

use super::super::request_index::PendingRequest;
use super::super::stream_follower::PollOutcome;
use super::RequestWorker;

/// The interval at which the positions of a long queue are updated.
const LONG_QUEUE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// A queue with more requests than this is long.
const LONG_QUEUE: usize = 20;

impl RequestWorker {
    /// Reads new messages, and decides about the requests that they change.
    pub(super) async fn poll(&mut self) {
        if let Err(error) = self.read_streams().await {
            let what = error.to_string();
            self.report_error(&what, |errors| errors.streams = Some(what.clone()));
            if !self.is_read {
                self.set_state("waiting for the exchange");
                return;
            }
        } else {
            self.is_read = true;
            self.clear_error(|errors| errors.streams = None);
            self.update_status(|status| status.polled_at = Some(Timestamp::now()));
        }
        for key in self.table.take_removed() {
            self.answers.remove(&key);
        }
        for key in self.table.take_changed(&self.rules.kinds) {
            self.decide_again(&key);
        }
        if let Some(now) = self.now() {
            for key in self.table.take_rechecks(now, &self.rules.kinds) {
                self.decide_again(&key);
            }
        }
        self.update_queue_positions();
        self.send_progress();
        self.update_counts();
        self.drop_stale_errors();
    }

    /// Clears errors of requests that have an outcome, and of the source while no request needs it.
    fn drop_stale_errors(&mut self) {
        let index = &self.table.index;
        let is_open = |entry: &PendingRequest| !entry.processing.state.has_outcome();
        self.errors
            .attempts
            .retain(|key, _| index.get(key).is_some_and(is_open));
        let is_asked = index.iter().any(|(_, entry)| is_open(entry));
        self.clear_error(|errors| {
            if !is_asked {
                errors.source = None;
            }
        });
    }

    async fn read_streams(&mut self) -> exchange::Result<()> {
        let exchange = Arc::clone(&self.parts.exchange);
        if let Some(record) = exchange.lease(&self.parts.source_name).await? {
            self.clock
                .observe(record.stored_at, Instant::now(), self.parts.lease_age);
        }
        self.table.index.mark_polled();
        let index = &mut self.table.index;
        if self.follower.poll(exchange.as_ref(), index).await? == PollOutcome::Rewritten {
            tracing::warn!("request streams were rewritten, reading them from the start");
            self.reset();
            // Another rewrite in the meantime is detected by the next poll.
            let index = &mut self.table.index;
            self.follower.poll(exchange.as_ref(), index).await?;
        }
        if let Some(now) = self.now() {
            self.table.index.end_round(now);
        }
        Ok(())
    }

    /// Updates the queue positions and forecasts.
    fn update_queue_positions(&mut self) {
        let is_due = self
            .positions_updated_at
            .is_none_or(|at| self.table.queue().len() <= LONG_QUEUE || at.elapsed() >= LONG_QUEUE_INTERVAL);
        if !is_due {
            return;
        }
        self.positions_updated_at = Some(Instant::now());
        let places = self.table.queue().positions();
        let history = self
            .parts
            .answering
            .history
            .as_ref()
            .map(|watch| Arc::clone(&watch.borrow()));
        let now = Timestamp::now();
        let expected = forecast::estimate_all(&places, |work| {
            let work = u64::try_from(work.as_millis()).unwrap_or(u64::MAX);
            // Work is source time in milliseconds, so one second of duty does 1,000 units.
            recordings::forecast::forecast(history.as_deref()?, work, Some(1_000.0), now).median
        });
        self.table.index.clear_queue_positions();
        for one in expected {
            if let Some(processing) = self.table.index.processing_mut(&one.key) {
                let progress = &mut processing.progress;
                (progress.place, progress.forecast) = (Some(one.place), one.at);
            }
        }
    }

    /// Updates the counts of waiting requests in the status.
    pub(super) fn update_counts(&self) {
        let counts = self.table.counts();
        self.update_status(|status| {
            (status.waiting, status.queued) = (counts.waiting, counts.queued);
            (status.answering, status.for_approval) = (counts.answering, counts.for_approval);
            (status.held, status.oldest) = (counts.held, counts.oldest);
        });
    }
}

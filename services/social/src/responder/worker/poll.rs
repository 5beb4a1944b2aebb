//! Polls the streams and schedules each changed request.

use std::sync::Arc;

use jiff::Timestamp;
use requests::forecast;
use requests::queue::RequestKey;
use schemas::progress::Waiting;
use tokio::time::Instant;

use super::super::plan;
use super::super::request_index::RequestIndex;
use super::super::rule_set::Decision;
use super::super::stream_follower::{PollOutcome, StreamFollower};
use super::{RequestWorker, trusted};

/// The interval at which the positions of a long queue are updated.
const LONG_QUEUE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// A queue with more requests than this is long.
const LONG_QUEUE: usize = 20;

impl RequestWorker {
    /// Reads new messages and reschedules the requests that they change.
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
        for key in self.index.take_removed() {
            self.remove_request(&key);
        }
        for key in self.index.take_changed() {
            if let Some(entry) = self.index.get(&key)
                && let Some(at) = plan::recheck_at(entry, &self.rules.kinds)
            {
                self.rechecks.insert((at, key.clone()));
            }
            self.reschedule(&key);
        }
        self.run_rechecks();
        self.update_queue_positions();
        self.send_progress();
        self.update_counts();
        self.drop_stale_errors();
    }

    /// Clears errors of requests that have an outcome, and of the source while no request needs it.
    fn drop_stale_errors(&mut self) {
        let index = &self.index;
        let waits = |key: &RequestKey| index.get(key).is_some_and(|entry| !entry.state.closed);
        self.errors.attempts.retain(|key, _| waits(key));
        let is_asked = index.iter().any(|(_, entry)| !entry.state.closed);
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
        self.index.mark_polled();
        if self.follower.poll(exchange.as_ref(), &mut self.index).await? == PollOutcome::Rewritten {
            tracing::warn!("request streams were rewritten, reading them from the start");
            self.reset();
            // Another rewrite in the meantime is detected by the next poll.
            self.follower.poll(exchange.as_ref(), &mut self.index).await?;
        }
        if let Some(now) = self.now() {
            self.index.end_round(now);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.index = RequestIndex::new(trusted(&self.parts));
        self.follower = StreamFollower::default();
        self.queue = requests::queue::Queue::default();
        self.answers.clear();
        self.in_flight.clear();
        self.pending_outcomes.clear();
        self.publishing_tasks.abort_all();
        self.publishing_tasks = tokio::task::JoinSet::new();
        self.rechecks.clear();
        self.backoffs.clear();
    }

    /// Removes a request that has an outcome or is gone.
    pub(super) fn remove_request(&mut self, key: &RequestKey) {
        self.queue.remove(key);
        self.answers.remove(key);
        self.in_flight.remove(key);
        self.backoffs.retain(|(_, backoffs)| backoffs != key);
    }

    /// Reschedules the requests whose recheck time has passed.
    fn run_rechecks(&mut self) {
        let Some(now) = self.now() else { return };
        if self.rechecks.len() > self.index.len() * 2 + 1_000 {
            self.rechecks.retain(|(_, key)| self.index.get(key).is_some());
        }
        while let Some((at, _)) = self.rechecks.first()
            && *at <= now
        {
            let Some((_, key)) = self.rechecks.pop_first() else {
                break;
            };
            if let Some(entry) = self.index.get(&key) {
                let later = plan::recheck_at(entry, &self.rules.kinds).filter(|later| *later > now);
                if let Some(deadline) = later {
                    self.rechecks.insert((deadline, key.clone()));
                }
                self.reschedule(&key);
            }
        }
    }

    /// Decides about a request under the current rules; `None` while it is being published or the exchange's time is unknown.
    pub(super) fn decide(&self, key: &RequestKey) -> Option<Decision> {
        let entry = self.index.get(key)?;
        let state = &entry.state;
        if state.closed || state.publishing {
            return None;
        }
        let now = self.now()?;
        let answering = &self.parts.answering;
        // Once its answer has begun, its own rows do not count against it.
        let quota = answering
            .quotas
            .get(&key.recipient)
            .filter(|_| !state.begun)
            .zip(self.index.history(&key.recipient));
        let kind = entry.request.as_ref().map_or("", |request| request.kind.as_str());
        let cost = self.costs.estimate(kind);
        Some(
            self.rules
                .decide((key, entry), quota, &answering.options, now, cost),
        )
    }

    /// Applies the current decision about a request: outcome, wait or queue.
    pub(super) fn reschedule(&mut self, key: &RequestKey) {
        let Some(decision) = self.decide(key) else { return };
        let is_backing_off = self
            .index
            .state_mut(key)
            .is_some_and(|state| state.retry_at.is_some());
        match decision {
            // An outcome that could not be stored backs off like any attempt.
            Decision::Reply(..) if is_backing_off => {
                self.queue.remove(key);
            }
            Decision::Reply(outcome, definition) => self.finish(key, outcome, definition),
            Decision::Wait(waiting) => {
                self.pause(key);
                self.set_waiting(key, Some(waiting));
            }
            Decision::RunOut => {
                self.pause(key);
                self.set_waiting(key, Some(Waiting::Taken));
            }
            Decision::Answer(allowed) => {
                if is_backing_off {
                    self.queue.remove(key);
                } else if self.queue.get(key).is_none() {
                    self.queue.insert(allowed.queued);
                }
                let waiting = self.answers.get(key).filter(|answer| answer.read.is_some());
                let waiting = waiting.map_or(Waiting::Taken, |answer| Waiting::Answering {
                    attempt: answer.attempt,
                    parts: answer.next_number() - 1,
                    rows: answer.sums.rows,
                });
                self.set_waiting(key, Some(waiting));
            }
        }
    }

    fn set_waiting(&mut self, key: &RequestKey, waiting: Option<Waiting>) {
        if let Some(state) = self.index.state_mut(key) {
            state.waiting = waiting;
        }
    }

    /// Stops reading for a request. Stored parts are kept; rows that are not stored are read again.
    fn pause(&mut self, key: &RequestKey) {
        self.queue.remove(key);
        if let Some(answer) = self.answers.get_mut(key) {
            answer.query = None;
            if let Some(batch) = &mut answer.batch {
                batch.batcher.discard_open();
            }
        }
    }

    /// Updates the queue positions and forecasts.
    fn update_queue_positions(&mut self) {
        let is_due = self
            .positions_updated_at
            .is_none_or(|at| self.queue.len() <= LONG_QUEUE || at.elapsed() >= LONG_QUEUE_INTERVAL);
        if !is_due {
            return;
        }
        self.positions_updated_at = Some(Instant::now());
        let places = self.queue.positions();
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
        self.index.clear_queue_positions();
        for one in expected {
            if let Some(state) = self.index.state_mut(&one.key) {
                (state.place, state.forecast) = (Some(one.place), one.at);
            }
        }
    }

    /// Updates the counts of waiting requests in the status.
    pub(super) fn update_counts(&self) {
        let (mut waiting, mut for_approval, mut held, mut answering) = (0, 0, 0, 0);
        let mut oldest: Option<Timestamp> = None;
        for (_, entry) in self.index.iter().filter(|(_, entry)| !entry.state.closed) {
            waiting += 1;
            oldest = Some(oldest.map_or(entry.position.stored_at, |oldest| {
                oldest.min(entry.position.stored_at)
            }));
            match &entry.state.waiting {
                Some(Waiting::WaitsForApproval { .. }) => for_approval += 1,
                Some(Waiting::Held { .. }) => held += 1,
                _ => {}
            }
            answering += u64::from(entry.state.begun);
        }
        let queued = self.queue.len() as u64;
        self.update_status(|status| {
            (status.waiting, status.queued, status.answering) = (waiting, queued, answering);
            (status.for_approval, status.held, status.oldest) = (for_approval, held, oldest);
        });
    }
}

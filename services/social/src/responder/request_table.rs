//! PURE: the requests without an outcome, each with its state, and the indices of these states.
//!
//! One map holds everything about a request ([`RequestIndex`]). The queue has the requests in state *queued*; two sets have the
//! times at which a request changes without an event from outside: back-offs by the local clock, and deadlines and officers'
//! times by the exchange's. [`RequestTable::apply`] keeps queue and back-offs equal to the states.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use requests::admission::RowLimit;
use requests::kind::{Kind, Kinds};
use requests::queue::{Queue, RequestKey};
use requests::quota::{Quota, StreamPosition};
use schemas::name::RecipientName;
use schemas::progress::Waiting;
use tokio::time::Instant;

use super::answer_config::AnswerOptions;
use super::plan;
use super::request_index::{RequestIndex, Trusted};
use super::request_state::{Processing, RequestState};
use super::request_step::{Action, Event, StepContext, step};
use super::rule_set::{Decision, RuleSet};

/// The current times, and the random number for back-offs.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The local monotonic clock.
    pub now: Instant,
    /// The exchange's clock, if it is known.
    pub exchange_now: Option<Timestamp>,
    /// A random number from 0 to 1.
    pub jitter: f64,
}

/// The requests without an outcome.
#[derive(Debug)]
pub struct RequestTable {
    /// The requests, as the streams and this process know them.
    pub index: RequestIndex,
    quotas: BTreeMap<RecipientName, Quota>,
    options: AnswerOptions,
    queue: Queue,
    /// A time whose request is gone or has another state is skipped when it comes.
    backoffs: BTreeSet<(Instant, RequestKey)>,
    rechecks: BTreeSet<(Timestamp, RequestKey)>,
}

/// The numbers of requests by what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// Without an outcome that is stored or being stored.
    pub waiting: u64,
    /// In the queue.
    pub queued: u64,
    /// Read or stored in part.
    pub answering: u64,
    /// Without enough officers.
    pub for_approval: u64,
    /// Held.
    pub held: u64,
    /// When the oldest of `waiting` was stored.
    pub oldest: Option<Timestamp>,
}

impl RequestTable {
    /// Creates an empty table.
    #[must_use]
    pub fn new(trusted: Trusted, quotas: BTreeMap<RecipientName, Quota>, options: AnswerOptions) -> Self {
        Self {
            index: RequestIndex::new(trusted),
            quotas,
            options,
            queue: Queue::default(),
            backoffs: BTreeSet::new(),
            rechecks: BTreeSet::new(),
        }
    }

    /// Applies an event to a request; see [`step`]. An event at a request that has its outcome has no effect.
    pub fn apply(&mut self, key: &RequestKey, event: Event, moment: Moment) -> Vec<Action> {
        let Some(entry) = self.index.get(key) else {
            return Vec::new();
        };
        let deadline = entry.request.as_ref().ok().and_then(|request| request.deadline);
        let Some(processing) = self.index.processing_mut(key) else {
            return Vec::new();
        };
        let context = StepContext {
            now: moment.now,
            exchange_now: moment.exchange_now,
            deadline,
            jitter: moment.jitter,
            options: &self.options,
        };
        let before = std::mem::take(processing);
        let old_backoff = backoff_end(&before.state);
        let (after, actions) = step(before, event, &context);
        match &after.state {
            RequestState::Queued(_) if self.queue.get(key).is_some() => {}
            RequestState::Queued(entry) => self.queue.insert((**entry).clone()),
            _ => {
                self.queue.remove(key);
            }
        }
        let new_backoff = backoff_end(&after.state);
        if old_backoff != new_backoff {
            if let Some(until) = old_backoff {
                self.backoffs.remove(&(until, key.clone()));
            }
            if let Some(until) = new_backoff {
                self.backoffs.insert((until, key.clone()));
            }
        }
        *processing = after;
        actions
    }

    /// Decides about a request under the rules; `None` while a quantum is read or a message is stored for it. `now` is the
    /// exchange's time, `cost_ms` the estimated cost of its answer.
    #[must_use]
    pub fn decide(
        &self,
        key: &RequestKey,
        rules: &RuleSet,
        now: Timestamp,
        cost_ms: u64,
    ) -> Option<Decision> {
        let entry = self.index.get(key)?;
        if !entry.processing.state.takes_decision() {
            return None;
        }
        // Rows that others received since its attempt began do not stop it.
        let quota = self
            .quotas
            .get(&key.recipient)
            .filter(|_| entry.processing.attempt.is_none())
            .zip(self.index.history(&key.recipient));
        Some(rules.decide((key, entry), quota, &self.options, now, cost_ms))
    }

    /// Returns the request of the next quantum.
    #[must_use]
    pub fn next(&self) -> Option<&RequestKey> {
        self.queue.next().map(|entry| &entry.key)
    }

    /// Returns the queue of admitted requests.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Records a quantum: how long the source was used for this recipient.
    pub fn charge(&mut self, recipient: &RecipientName, millis: u64) {
        self.queue.charge(recipient, millis);
    }

    /// Returns the requests that received an outcome since the last call. They are in no index any more.
    pub fn take_removed(&mut self) -> Vec<RequestKey> {
        let removed = self.index.take_removed();
        for key in &removed {
            self.queue.remove(key);
        }
        removed
    }

    /// Returns the requests that are new or have a new cancel or approval since the last call.
    pub fn take_changed(&mut self, kinds: &Kinds) -> BTreeSet<RequestKey> {
        let changed = self.index.take_changed();
        for key in &changed {
            if let Some(entry) = self.index.get(key)
                && let Some(at) = plan::recheck_at(entry, kinds, Timestamp::MIN)
            {
                self.rechecks.insert((at, key.clone()));
            }
        }
        changed
    }

    /// Returns the requests whose deadline or officers' time has passed since the last call.
    pub fn take_rechecks(&mut self, now: Timestamp, kinds: &Kinds) -> Vec<RequestKey> {
        if self.rechecks.len() > self.index.len() * 2 + 1_000 {
            let index = &self.index;
            self.rechecks.retain(|(_, key)| index.get(key).is_some());
        }
        let mut due = Vec::new();
        while let Some((at, _)) = self.rechecks.first()
            && *at <= now
        {
            let Some((_, key)) = self.rechecks.pop_first() else {
                break;
            };
            if let Some(entry) = self.index.get(&key) {
                if let Some(later) = plan::recheck_at(entry, kinds, now) {
                    self.rechecks.insert((later, key.clone()));
                }
                due.push(key);
            }
        }
        due
    }

    /// Returns the requests whose back-off has ended.
    pub fn take_ended_backoffs(&mut self, now: Instant) -> Vec<RequestKey> {
        let mut due = Vec::new();
        while let Some((until, _)) = self.backoffs.first()
            && *until <= now
        {
            let Some((_, key)) = self.backoffs.pop_first() else {
                break;
            };
            due.push(key);
        }
        due
    }

    /// Returns when the next back-off ends.
    #[must_use]
    pub fn next_backoff(&self) -> Option<Instant> {
        self.backoffs.first().map(|(until, _)| *until)
    }

    /// Returns whether running answers have used the rest of the recipient's daily rows, so that no other answer can begin.
    #[must_use]
    pub fn is_quota_used(&self, key: &RequestKey, now: Timestamp) -> bool {
        let has_attempt = |processing: &Processing| processing.attempt.is_some();
        let has_begun = self
            .index
            .get(key)
            .is_some_and(|entry| has_attempt(&entry.processing));
        !has_begun && self.remaining_quota(&key.recipient, now) == Some(0)
    }

    /// Returns the row limit of a request's answer, and which rule sets it.
    #[must_use]
    pub fn row_limit(&self, key: &RequestKey, kind: &Kind, now: Timestamp) -> (u64, RowLimit) {
        let most = kind.config().max_rows;
        let own = self
            .index
            .get(key)
            .and_then(|entry| entry.processing.attempt.as_ref());
        let own = own.map_or(0, |attempt| attempt.rows);
        let room = self.remaining_quota(&key.recipient, now);
        match room
            .map(|room| room.saturating_add(own))
            .filter(|room| *room < most)
        {
            Some(room) => (room, RowLimit::Quota),
            None => (most, RowLimit::Kind),
        }
    }

    /// Returns the recipient's remaining daily rows, less those that running answers have read; `None` if there is no limit.
    fn remaining_quota(&self, recipient: &RecipientName, now: Timestamp) -> Option<u64> {
        let quota = Quota {
            rows_a_day: Some(self.quotas.get(recipient)?.rows_a_day?),
            ..Quota::default()
        };
        let position = StreamPosition {
            sequence: u64::MAX,
            stored_at: now,
        };
        let history = self.index.history(recipient)?;
        let left = quota
            .evaluate(history, position, now)
            .ok()
            .flatten()
            .unwrap_or_default();
        // Once the outcome is stored, its rows are in the history and there is no attempt.
        let running = self
            .index
            .requests_of(recipient)
            .filter_map(|(_, entry)| entry.processing.attempt.as_ref());
        Some(left.saturating_sub(running.map(|attempt| attempt.rows).sum()))
    }

    /// Counts the requests by what they wait for.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        let mut counts = RequestCounts {
            queued: self.queue.len() as u64,
            ..RequestCounts::default()
        };
        let is_open = |processing: &Processing| !processing.state.has_outcome();
        for (_, entry) in self.index.iter().filter(|(_, entry)| is_open(&entry.processing)) {
            let stored_at = entry.position.stored_at;
            counts.waiting += 1;
            counts.oldest = Some(counts.oldest.map_or(stored_at, |oldest| oldest.min(stored_at)));
            counts.answering += u64::from(entry.processing.attempt.is_some());
            match &entry.processing.progress.waiting {
                Some(Waiting::WaitsForApproval { .. }) => counts.for_approval += 1,
                Some(Waiting::Held { .. }) => counts.held += 1,
                _ => {}
            }
        }
        counts
    }
}

fn backoff_end(state: &RequestState) -> Option<Instant> {
    match state {
        RequestState::Backoff { until } => Some(*until),
        _ => None,
    }
}

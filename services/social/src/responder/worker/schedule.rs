//! Selects the request for the next quantum, and its row limit.

use std::time::Duration;

use requests::admission::RowLimit;
use requests::kind::Kind;
use requests::queue::RequestKey;
use requests::quota::{Quota, StreamPosition};
use tokio::time::Instant;

use super::super::answer::Answer;
use super::{MAX_PUBLISHING_TASKS, RequestWorker};

/// How long a request waits for quota that running answers may leave.
const QUOTA_RETRY: Duration = Duration::from_secs(1);

impl RequestWorker {
    /// Returns the request for the next quantum; `None` if nothing can be read now.
    pub(super) fn candidate(&mut self) -> Option<RequestKey> {
        if !self.is_read || self.now().is_none() {
            return None;
        }
        if self.source_retry_at.is_some() {
            self.set_state("waiting for the source");
            return None;
        }
        if self.publishing_tasks.len() >= MAX_PUBLISHING_TASKS {
            self.set_state("waiting for the exchange");
            return None;
        }
        while let Some(key) = self.queue.next().map(|entry| entry.key.clone()) {
            self.reschedule(&key);
            if self.queue.next().map(|entry| &entry.key) != Some(&key) {
                continue;
            }
            if !self.answers.contains_key(&key) && self.defer_if_quota_used(&key) {
                continue;
            }
            let state = if self.parts.gate.verdict().permits_work() {
                "answering"
            } else {
                "waiting for the gate"
            };
            self.set_state(state);
            return Some(key);
        }
        self.set_state("waiting for requests");
        None
    }

    /// Defers a request, and returns true, if running answers have used the rest of the recipient's daily rows.
    pub(super) fn defer_if_quota_used(&mut self, key: &RequestKey) -> bool {
        let defer_if_quota_used = self.remaining_quota(key) == Some(0);
        if defer_if_quota_used {
            self.back_off(key, Instant::now() + QUOTA_RETRY);
        }
        defer_if_quota_used
    }

    /// Returns the recipient's remaining daily rows, less those that running answers have read; `None` if there is no limit.
    fn remaining_quota(&self, key: &RequestKey) -> Option<u64> {
        let most = self.parts.answering.quotas.get(&key.recipient)?.rows_a_day?;
        let quota = Quota {
            rows_a_day: Some(most),
            ..Quota::default()
        };
        let now = self.now()?;
        let position = StreamPosition {
            sequence: u64::MAX,
            stored_at: now,
        };
        let history = self.index.history(&key.recipient)?;
        let left = quota
            .evaluate(history, position, now)
            .ok()
            .flatten()
            .unwrap_or_default();
        let own = self
            .in_flight
            .iter()
            .filter(|(other, _)| other.recipient == key.recipient);
        Some(left.saturating_sub(own.map(|(_, rows)| *rows).sum()))
    }

    /// Returns the row limit of an answer, and which rule sets it.
    pub(super) fn row_limit(&self, answer: &Answer, kind: &Kind) -> (u64, RowLimit) {
        let most = kind.config().max_rows;
        let room = self
            .remaining_quota(&answer.request_ref.key)
            .map(|room| room.saturating_add(answer.rows()));
        match room.filter(|room| *room < most) {
            Some(room) => (room, RowLimit::Quota),
            None => (most, RowLimit::Kind),
        }
    }
}

//! Begins a quantum with a permit, and handles its end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use requests::queue::RequestKey;
use source::{End, ErrorKind, Quantum};
use tokio::time::Instant;

use super::super::answer::Answer;
use super::super::request_state::ReadEnd;
use super::super::request_step::{Event, QuantumEnd};
use super::super::rule_set::Allowed;
use super::RequestWorker;
use super::query::QueryError;
pub(super) use super::read::QuantumDone;
use super::read::QuantumTask;
use crate::gate_queue::QueuedPermit;
use crate::retry;

/// The maximum age of an open block.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

/// The maximum number of queries that stay open at the source while others are read.
const MAX_OPEN_QUERIES: usize = 4;

impl RequestWorker {
    /// Uses a permit for a request, if the rules still allow it.
    pub(super) fn begin_quantum(&mut self, key: &RequestKey, permit: QueuedPermit) {
        // The rules may have changed during the wait for the gate.
        self.refresh_rules();
        let (Some(decision), Some(now)) = (self.decide(key), self.now()) else {
            return;
        };
        if self.table.is_quota_used(key, now) {
            return self.apply(key, Event::QuotaUsed);
        }
        self.permit = Some(permit);
        self.apply(key, Event::Permitted(decision));
    }

    /// Starts to read one quantum with the current permit. Returns an event if that is not possible.
    pub(super) fn read(&mut self, key: &RequestKey, allowed: Box<Allowed>) -> Option<Event> {
        let dropped = |what: &str| Some(Event::AttemptFailed(what.to_owned()));
        let (Some(permit), Some(now)) = (self.permit.take(), self.now()) else {
            return dropped("its permit was dropped");
        };
        let Some(kind) = self.kind_of(key).and_then(|name| self.rules.kinds.get(name)) else {
            return dropped("its kind was removed");
        };
        let max_rows = self.table.row_limit(key, kind, now);
        let kind = kind.name().to_owned();
        let mut answer = match self.answers.remove(key) {
            Some(answer) => answer,
            None => {
                let request_ref = self.request_ref(key, Some(allowed.definition))?;
                Answer::new(request_ref, self.parts.sizing.first(), allowed.max_rows)
            }
        };
        answer.max_rows = max_rows;
        // Under the permit, like every use of the source.
        self.limit_open_queries();
        let task = QuantumTask {
            parts: Arc::clone(&self.parts),
            rules: Arc::clone(&self.rules),
            key: key.clone(),
            kind,
            allowed,
            permit,
        };
        self.reading_tasks.spawn(task.run(answer));
        None
    }

    /// Handles the end of a quantum.
    pub(super) fn quantum_ended(&mut self, done: QuantumDone) {
        let QuantumDone {
            key,
            kind,
            mut answer,
            read,
            millis,
            is_revoked,
        } = done;
        self.table.charge(&key.recipient, millis);
        answer.cost_ms = answer.cost_ms.saturating_add(millis);
        self.update_status(|status| {
            status.quanta += 1;
            status.source_ms += millis;
        });
        if self.table.index.get(&key).is_none() {
            // Another responder stored its outcome meanwhile.
            return;
        }
        match read {
            Ok(quantum) => self.quantum_read(&key, &kind, answer, &quantum),
            Err(error) => self.quantum_failed(&key, &kind, answer, error, is_revoked),
        }
    }

    fn quantum_read(&mut self, key: &RequestKey, kind: &str, mut answer: Answer, quantum: &Quantum) {
        self.source_failures = 0;
        self.clear_error(|errors| {
            errors.source = None;
            errors.attempts.remove(key);
        });
        let has_order = self.has_order(kind);
        let (most, limited_by) = answer.max_rows;
        let mut ended = None;
        if let Some(batch) = &mut answer.batch {
            ended = if batch.batcher.exceeds_limit() {
                Some(ReadEnd::Truncated(limited_by.reason(most)))
            } else {
                match quantum.end {
                    End::Drained => Some(ReadEnd::Complete),
                    End::Limit if !has_order => Some(ReadEnd::Truncated(limited_by.reason(most))),
                    End::Revoked if !has_order => {
                        batch.batcher.reset();
                        None
                    }
                    End::Limit | End::Revoked => None,
                }
            };
        }
        self.end_quantum(key, kind, answer, ended, None);
    }

    /// Takes the closed blocks of a quantum, and applies its end to the request.
    fn end_quantum(
        &mut self,
        key: &RequestKey,
        kind: &str,
        mut answer: Answer,
        ended: Option<ReadEnd>,
        wait: Option<Duration>,
    ) {
        let now = Timestamp::now();
        let (has_order, is_ended) = (self.has_order(kind), ended.is_some());
        let before = answer.closed.len();
        if let Some(batch) = &mut answer.batch {
            let old = batch
                .batcher
                .rows
                .open_since()
                .is_some_and(|since| now.duration_since(since).unsigned_abs() >= CLOSE_AFTER);
            if is_ended || (old && has_order) {
                batch.batcher.close(now);
            }
            // Without an order, an answer is read in one quantum and published only when it is complete.
            if has_order || is_ended {
                answer
                    .closed
                    .extend(batch.batcher.take_closed().into_iter().map(Arc::new));
            }
        }
        let rows = answer.rows();
        if is_ended {
            self.costs.record(kind, answer.cost_ms);
            answer.query = None;
        }
        let end = QuantumEnd {
            blocks: answer.closed.len() - before,
            rows,
            ended,
            wait,
        };
        self.answers.insert(key.clone(), answer);
        self.apply(key, Event::QuantumRead(end));
    }

    fn quantum_failed(
        &mut self,
        key: &RequestKey,
        kind: &str,
        mut answer: Answer,
        error: QueryError,
        is_revoked: bool,
    ) {
        let error = match error {
            QueryError::Kind(what) => {
                return self.apply(key, Event::AttemptFailed(format!("kind {kind:?}: {what}")));
            }
            QueryError::Source(error) => error,
        };
        let has_order = self.has_order(kind);
        if !has_order && let Some(batch) = &mut answer.batch {
            batch.batcher.reset();
        }
        match error.kind {
            // Not an error: the gate closed.
            ErrorKind::Revoked => self.end_quantum(key, kind, answer, None, None),
            _ if is_revoked => {
                answer.query = None;
                self.end_quantum(key, kind, answer, None, None);
            }
            ErrorKind::TimedOut if has_order && answer.limit > 1 => {
                answer.limit = self.parts.sizing.after_timeout(answer.limit);
                let what = error.to_string();
                self.report_error(&what, |errors| errors.source = Some(what.clone()));
                self.end_quantum(key, kind, answer, None, Some(retry::after(1)));
            }
            ErrorKind::Unreachable => {
                self.source_failures = self.source_failures.saturating_add(1);
                self.source_retry_at = Some(Instant::now() + retry::after(self.source_failures));
                let what = error.to_string();
                self.report_error(&what, |errors| errors.source = Some(what.clone()));
                answer.query = None;
                self.end_quantum(key, kind, answer, None, None);
            }
            ErrorKind::TimedOut | ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Database => {
                self.apply(key, Event::AttemptFailed(error.to_string()));
            }
        }
    }

    fn has_order(&self, kind: &str) -> bool {
        let kind = self.parts.answering.kinds.get(kind);
        kind.is_some_and(|kind| !kind.config().order.is_empty())
    }

    /// Closes queries above the maximum, because each open query holds resources of the source.
    fn limit_open_queries(&mut self) {
        let open = self
            .answers
            .values()
            .filter(|answer| answer.query.is_some())
            .count();
        let next = self.table.next().cloned();
        let mut left = open.saturating_sub(MAX_OPEN_QUERIES);
        for (key, answer) in &mut self.answers {
            if left == 0 {
                return;
            }
            if answer.query.is_some() && next.as_ref() != Some(key) {
                answer.query = None;
                left -= 1;
            }
        }
    }
}

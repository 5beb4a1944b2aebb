//! Reads one quantum at the source for one request.

use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use jiff::Timestamp;
use requests::kind::Kind;
use requests::mask::plan::Plan;
use requests::queue::RequestKey;
use requests::row_filter::RowFilter;
use schemas::reply::Outcome;
use source::{End, ErrorKind, Quantum};
use tokio::time::Instant;

use super::super::ResponderParts;
use super::super::answer::{Answer, AnswerRows, OpenQuery, ReadEnd};
use super::super::request_query::request_query;
use super::super::row_batcher::{BatcherSink, RowBatcher, money_sent};
use super::super::rule_set::{Allowed, Decision, RuleSet};
use super::RequestWorker;
use super::query::{QueryError, token};
use crate::gate_queue::QueuedPermit;
use crate::quantum::QuantumStats;
use crate::retry;

/// The maximum age of an open block.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

/// The maximum number of queries that stay open at the source while others are read.
const MAX_OPEN_QUERIES: usize = 4;

impl RequestWorker {
    pub(super) async fn run_quantum(&mut self, key: &RequestKey, permit: QueuedPermit) {
        // The rules may have changed during the wait for the gate.
        self.refresh_rules();
        let Some(Decision::Answer(allowed)) = self.decide(key) else {
            return self.reschedule(key);
        };
        let (Some(request_ref), rules) = (
            self.request_ref(key, Some(allowed.definition)),
            Arc::clone(&self.rules),
        ) else {
            return;
        };
        let Some(kind) = self
            .index
            .get(key)
            .and_then(|entry| entry.request.as_ref().ok())
            .and_then(|request| rules.kinds.get(&request.kind))
        else {
            return;
        };
        if !self.answers.contains_key(key) && self.defer_if_quota_used(key) {
            return;
        }
        let limit = self.parts.sizing.first();
        let mut answer = self
            .answers
            .remove(key)
            .unwrap_or_else(|| Answer::new(request_ref, 1, limit, allowed.max_rows));
        let max_rows = self.row_limit(&answer, kind);
        answer.max_rows = max_rows;
        if let Some(state) = self.index.state_mut(key) {
            state.begun = true;
        }
        let started = Instant::now();
        let parts = Arc::clone(&self.parts);
        let read = Self::read(&parts, &mut answer, &allowed, &rules, kind, &permit).await;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_revoked = permit.is_revoked();
        let is_exceeded = answer
            .batch
            .as_ref()
            .is_some_and(|batch| batch.batcher.exceeds_limit());
        if is_exceeded || matches!(&read, Ok(quantum) if quantum.end == End::Drained) {
            // Under the permit: closing a query sends a message to the source.
            answer.query = None;
        }
        self.limit_open_queries();
        // The source is not used below.
        drop(permit);
        self.queue.charge(&key.recipient, millis);
        answer.cost_ms = answer.cost_ms.saturating_add(millis);
        self.in_flight.insert(key.clone(), answer.rows());
        self.update_status(|status| {
            status.quanta += 1;
            status.source_ms += millis;
        });
        match read {
            Ok(quantum) => self.quantum_read(answer, kind, quantum),
            Err(error) => self.quantum_failed(answer, kind, error, is_revoked),
        }
    }

    async fn read(
        parts: &ResponderParts,
        answer: &mut Answer,
        allowed: &Allowed,
        rules: &RuleSet,
        kind: &Kind,
        permit: &Permit,
    ) -> Result<Quantum, QueryError> {
        let started_at = Timestamp::now();
        let (from, _) = *answer.read.get_or_insert((started_at, started_at));
        let read = Self::read_rows(parts, answer, allowed, rules, kind, permit).await;
        let (evidence, now) = (permit.load_evidence(), Timestamp::now());
        answer.read = Some((from, now.max(from)));
        gate::merge(&mut answer.load, evidence.clone());
        if let Some(batch) = &mut answer.batch {
            batch.batcher.end_quantum(now, evidence);
            if let Some(fault) = batch.batcher.take_error() {
                return Err(QueryError::Kind(fault));
            }
        }
        read
    }

    async fn read_rows(
        parts: &ResponderParts,
        answer: &mut Answer,
        allowed: &Allowed,
        rules: &RuleSet,
        kind: &Kind,
        permit: &Permit,
    ) -> Result<Quantum, QueryError> {
        let config = kind.config();
        let recipient = answer.request_ref.key.recipient.clone();
        if answer.query.is_none() {
            let sent = kind
                .source_arguments(&allowed.bound)
                .map_err(|error| QueryError::Kind(error.to_string()))?;
            let query = request_query(kind, sent);
            let reader = parts.source.open_request_query(&query, permit).await?;
            let grant = kind
                .grant_of(&recipient)
                .ok_or_else(|| QueryError::Kind("the grant was removed".to_owned()))?;
            let mut columns = reader.schema().clone();
            // An answer is a list, so its rows need no key.
            kind.name().clone_into(&mut columns.name);
            (columns.key, columns.tombstone) = (Vec::new(), None);
            let plan = Plan::new(&columns, Some(&grant.columns), &grant.masks, &config.money)
                .map_err(|error| QueryError::Kind(error.to_string()))?;
            if answer
                .batch
                .as_ref()
                .is_some_and(|batch| batch.columns != columns)
            {
                return Err(QueryError::Kind(
                    "the source's columns changed during the answer".to_owned(),
                ));
            }
            if answer.batch.is_none() {
                let money = money_sent(&config.money, plan.schema());
                let batcher = RowBatcher::new(&columns, plan.schema(), &config.order, &money)
                    .map_err(|column| QueryError::Kind(format!("it has no column {column:?}")))?;
                answer.batch = Some(AnswerRows {
                    batcher,
                    schema: Arc::new(plan.schema().clone()),
                    columns,
                    screened_by: rules.version,
                });
            }
            answer.query = Some(OpenQuery { reader, plan });
        }
        let token = token(parts.answering.masking.as_deref(), &recipient, kind)?;
        let (Some(open), Some(batch)) = (&mut answer.query, &mut answer.batch) else {
            return Err(QueryError::Kind("its query is not open".to_owned()));
        };
        if batch.screened_by != rules.version {
            // The open block was filtered by earlier rules.
            batch.batcher.discard_open();
            batch.screened_by = rules.version;
        }
        let blocked = rules
            .blocked()
            .map_err(|error| QueryError::Kind(error.to_string()))?;
        let schema = open.reader.schema().clone();
        let row_filter = RowFilter::new(&schema, &config.person, blocked, allowed.held_persons.clone())
            .map_err(|error| QueryError::Kind(error.to_string()))?;
        let (most, _) = answer.max_rows;
        let one_more = most.saturating_sub(batch.batcher.count().rows).saturating_add(1);
        let one_more = usize::try_from(one_more).unwrap_or(usize::MAX);
        let requested_rows = if config.order.is_empty() {
            one_more
        } else {
            let sizing = &parts.sizing;
            sizing.within(answer.limit, permit.quantum()).min(one_more)
        };
        batch.batcher.begin_quantum(Timestamp::now(), most);
        let after = batch.batcher.after().cloned();
        let mut sink = BatcherSink {
            batcher: &mut batch.batcher,
            plan: &open.plan,
            token: &token,
            row_filter: &row_filter,
        };
        let quantum = open
            .reader
            .read(after.as_ref(), requested_rows, permit, &mut sink)
            .await?;
        let quantum_result = QuantumStats {
            limit: answer.limit,
            requested: requested_rows,
            rows: quantum.rows,
            bytes: batch.batcher.packed_bytes(),
            time: quantum.took,
        };
        if quantum.end != End::Revoked && !config.order.is_empty() {
            answer.limit = parts.sizing.next(quantum_result);
        }
        Ok(quantum)
    }

    /// Handles a quantum that was read.
    fn quantum_read(&mut self, mut answer: Answer, kind: &Kind, quantum: Quantum) {
        self.source_failures = 0;
        let key = answer.request_ref.key.clone();
        self.clear_error(|errors| {
            errors.source = None;
            errors.attempts.remove(&key);
        });
        let has_order = !kind.config().order.is_empty();
        let (most, limited_by) = answer.max_rows;
        if let Some(batch) = &mut answer.batch {
            let ended = if batch.batcher.exceeds_limit() {
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
            answer.ended = ended;
        }
        self.continue_answer(answer, kind);
    }

    /// Publishes closed blocks, or queues the answer for its next quantum.
    fn continue_answer(&mut self, mut answer: Answer, kind: &Kind) {
        let key = answer.request_ref.key.clone();
        let now = Timestamp::now();
        let has_order = !kind.config().order.is_empty();
        let is_ended = answer.ended.is_some();
        if let Some(batch) = &mut answer.batch {
            let old = batch
                .batcher
                .open_since()
                .is_some_and(|since| now.duration_since(since).unsigned_abs() >= CLOSE_AFTER);
            if is_ended || (old && has_order) {
                batch.batcher.close(now);
            }
            // Without an order, an answer is read in one quantum and published only when it is complete.
            if has_order || is_ended {
                answer.blocks.extend(batch.batcher.take_closed());
            }
        }
        if is_ended {
            self.costs.record(kind.name(), answer.cost_ms);
            answer.query = None;
            // Its rows are known, so they count for the recipient's next request.
            let rows = answer.rows();
            let at = self.now().unwrap_or(now);
            self.index.record_own_outcome(
                &key,
                at,
                &Outcome::Answered {
                    rows,
                    parts: Vec::new(),
                },
            );
            self.in_flight.remove(&key);
        }
        if is_ended || !answer.blocks.is_empty() {
            self.publish_answer(answer);
        } else {
            self.answers.insert(key.clone(), answer);
            self.reschedule(&key);
        }
    }

    fn quantum_failed(&mut self, mut answer: Answer, kind: &Kind, error: QueryError, is_revoked: bool) {
        let key = answer.request_ref.key.clone();
        let error = match error {
            QueryError::Kind(what) => return self.fail(&key, format!("kind {:?}: {what}", kind.name())),
            QueryError::Source(error) => error,
        };
        let has_order = !kind.config().order.is_empty();
        if !has_order && let Some(batch) = &mut answer.batch {
            batch.batcher.reset();
        }
        match error.kind {
            // Not an error: the gate closed.
            ErrorKind::Revoked => self.continue_answer(answer, kind),
            _ if is_revoked => {
                answer.query = None;
                self.continue_answer(answer, kind);
            }
            ErrorKind::TimedOut if has_order && answer.limit > 1 => {
                answer.limit = self.parts.sizing.after_timeout(answer.limit);
                let what = error.to_string();
                self.report_error(&what, |errors| errors.source = Some(what.clone()));
                self.continue_answer(answer, kind);
                self.back_off(&key, Instant::now() + retry::after(1));
            }
            ErrorKind::Unreachable => {
                self.source_failures = self.source_failures.saturating_add(1);
                self.source_retry_at = Some(Instant::now() + retry::after(self.source_failures));
                let what = error.to_string();
                self.report_error(&what, |errors| errors.source = Some(what.clone()));
                answer.query = None;
                self.continue_answer(answer, kind);
            }
            ErrorKind::TimedOut | ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Database => {
                self.fail(&key, error.to_string());
            }
        }
    }

    /// Closes queries above the maximum, because each open query holds resources of the source.
    fn limit_open_queries(&mut self) {
        let open = self
            .answers
            .values()
            .filter(|answer| answer.query.is_some())
            .count();
        let next = self.queue.next().map(|entry| entry.key.clone());
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

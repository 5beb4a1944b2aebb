//! Reads one quantum at the source for one request, in a task of its own.

use std::sync::Arc;

use disclosure::mask::plan::Plan;
use disclosure::row_filter::RowFilter;
use gate::Permit;
use jiff::Timestamp;
use requests::queue::RequestKey;
use source::{End, Quantum};
use tokio::time::Instant;

use super::super::ResponderParts;
use super::super::answer::{Answer, AnswerRows, OpenQuery};
use super::super::answer_batcher::{AnswerBatcher, BatcherSink, money_sent};
use super::super::request_query::request_query;
use super::super::rule_set::{Allowed, RuleSet};
use super::query::{QueryError, token};
use super::repair;
use crate::gate_queue::QueuedPermit;
use crate::quantum::QuantumStats;

/// A quantum to read.
pub(super) struct QuantumTask {
    pub(super) parts: Arc<ResponderParts>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) key: RequestKey,
    /// The name of its kind.
    pub(super) kind: String,
    pub(super) allowed: Box<Allowed>,
    pub(super) permit: QueuedPermit,
}

/// A quantum that was read, or why not.
pub(super) struct QuantumDone {
    pub(super) key: RequestKey,
    pub(super) kind: String,
    pub(super) answer: Answer,
    pub(super) read: Result<Quantum, QueryError>,
    /// Source time.
    pub(super) millis: u64,
    /// Whether the gate closed meanwhile.
    pub(super) is_revoked: bool,
}

impl QuantumTask {
    /// Reads the quantum and returns the permit.
    pub(super) async fn run(self, mut answer: Answer) -> QuantumDone {
        let started = Instant::now();
        let mut read = self.read(&mut answer).await;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_exceeded = answer
            .batch
            .as_ref()
            .is_some_and(|batch| batch.batcher.exceeds_limit());
        if is_exceeded || matches!(&read, Ok(quantum) if quantum.end == End::Drained) {
            // Under the permit: closing a query sends a message to the source.
            answer.query = None;
        }
        let is_revoked = self.permit.is_revoked();
        drop(self.permit);
        if matches!(&read, Ok(quantum) if quantum.end == End::Drained)
            && let Err(error) = repair::publish(&self.parts, &self.rules, &mut answer).await
        {
            read = Err(error);
        }
        QuantumDone {
            is_revoked,
            key: self.key,
            kind: self.kind,
            answer,
            read,
            millis,
        }
    }

    async fn read(&self, answer: &mut Answer) -> Result<Quantum, QueryError> {
        let started_at = Timestamp::now();
        let (from, _) = *answer.read.get_or_insert((started_at, started_at));
        let read = self.read_rows(answer).await;
        let (evidence, now) = (self.permit.load_evidence(), Timestamp::now());
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

    async fn read_rows(&self, answer: &mut Answer) -> Result<Quantum, QueryError> {
        let (parts, rules, allowed) = (&self.parts, &self.rules, &self.allowed);
        let permit: &Permit = &self.permit;
        let kind = rules
            .kinds
            .get(&self.kind)
            .ok_or_else(|| QueryError::Kind("it was removed".to_owned()))?;
        if let Some(feed) = kind.reconciled() {
            return self.read_digests(answer, kind, feed).await;
        }
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
                let (sent, order) = (plan.schema(), &config.order);
                let definition = answer
                    .request_ref
                    .definition
                    .unwrap_or(answer.request_ref.request);
                let batcher = AnswerBatcher::new(&columns, sent, order, &money, definition)
                    .map_err(|error| QueryError::Kind(error.to_string()))?;
                answer.batch = Some(AnswerRows {
                    batcher,
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
        let one_more = most
            .saturating_sub(batch.batcher.rows.count().rows)
            .saturating_add(1);
        let one_more = usize::try_from(one_more).unwrap_or(usize::MAX);
        let requested_rows = if config.order.is_empty() {
            one_more
        } else {
            let sizing = &parts.sizing;
            sizing.within(answer.limit, permit.quantum()).min(one_more)
        };
        batch.batcher.begin_quantum(Timestamp::now(), most);
        let after = batch.batcher.after();
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
            bytes: batch.batcher.rows.packed_bytes(),
            time: quantum.took,
        };
        if quantum.end != End::Revoked && !config.order.is_empty() {
            answer.limit = parts.sizing.next(quantum_result);
        }
        Ok(quantum)
    }
}

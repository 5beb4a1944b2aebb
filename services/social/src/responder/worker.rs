//! Serves requests during one term of the lease: performs what [`super::request_step`] decides.
//!
//! One loop reads one quantum at a time and stores messages of several requests concurrently. Polling the streams, waiting for the
//! gate, the end of the quantum and the exchange's responses are selected on together, and each becomes an event of one request.

mod act;
mod kind_checks;
mod poll;
mod progress;
mod publish;
mod quantum;
mod query;
mod read;
mod read_digests;
mod repair;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disclosure::blocklist::BlockList;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use requests::forecast::CostEstimator;
use requests::queue::RequestKey;
use runtime::log_dedup::LogDedup;
use runtime::supervise::describe_end;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::ResponderParts;
use super::answer::{Answer, Signer};
use super::clock::ExchangeClock;
use super::progress_throttle::SentProgress;
use super::reply_publisher::{ReplyPublisher, SignedMessage};
use super::request_index::Trusted;
use super::request_step::Event;
use super::request_table::{Moment, RequestTable};
use super::rule_set::RuleSet;
use super::stats::RequestsStatus;
use super::stream_follower::StreamFollower;
use crate::gate_queue::QueuedPermit;
use crate::hold::HoldWatch;
use kind_checks::KindChecks;
use publish::{Finished, Outgoing};
use quantum::QuantumDone;

/// The maximum number of messages that are stored concurrently.
const MAX_PUBLISHING_TASKS: usize = 16;

/// The state of one term of the lease.
pub struct RequestWorker {
    parts: Arc<ResponderParts>,
    publisher: Arc<ReplyPublisher>,
    clock: ExchangeClock,
    holds: HoldWatch,
    blocked: watch::Receiver<Arc<BlockList>>,
    rules: Arc<RuleSet>,
    follower: StreamFollower,
    is_read: bool,
    /// Every request without an outcome, with its state.
    table: RequestTable,
    /// The rows that are read and not stored, by request. Those of the quantum that is being read are in its task.
    answers: BTreeMap<RequestKey, Answer>,
    reading_tasks: JoinSet<QuantumDone>,
    publishing_tasks: JoinSet<Finished>,
    /// One for each message that is being stored.
    publishing_slots: Arc<Semaphore>,
    progress_tasks: JoinSet<(RequestKey, Option<SentProgress>)>,
    /// The permit of the event that is applied now, if it has one.
    permit: Option<QueuedPermit>,
    /// The message of the event that is applied now, if it has one.
    unconfirmed: Option<(Outgoing, SignedMessage)>,
    /// When the unreachable source is tried again.
    source_retry_at: Option<Instant>,
    source_failures: u32,
    positions_updated_at: Option<Instant>,
    kind_checks: KindChecks,
    costs: CostEstimator,
    log_dedup: LogDedup,
    errors: CurrentErrors,
}

/// The last errors, each until the same operation succeeds or is no longer needed.
#[derive(Debug, Default)]
struct CurrentErrors {
    /// From reading the request streams.
    streams: Option<String>,
    /// From reading the source.
    source: Option<String>,
    /// From the last attempt, by request.
    attempts: BTreeMap<RequestKey, String>,
    /// Mismatches with the source, by kind.
    kinds: BTreeMap<String, String>,
}

impl CurrentErrors {
    fn first(&self) -> Option<&String> {
        let attempt = self.attempts.values().next();
        let kind = self.kinds.values().next();
        self.streams
            .as_ref()
            .or(self.source.as_ref())
            .or(attempt)
            .or(kind)
    }
}

impl RequestWorker {
    /// Creates a worker that has read nothing.
    #[must_use]
    pub fn new(parts: Arc<ResponderParts>, costs: CostEstimator) -> Self {
        let clock = ExchangeClock::default();
        let (holds, blocked) = (parts.holds.clone(), parts.answering.blocked.clone());
        let rules = RuleSet::new(
            Arc::clone(&parts.answering.kinds),
            Arc::clone(&blocked.borrow()),
            &holds.borrow(),
            Arc::clone(&parts.persons),
            1,
        );
        let publisher = ReplyPublisher {
            exchange: Arc::clone(&parts.exchange) as Arc<dyn exchange::RequestExchange>,
            lease: parts.lease.clone(),
            clock: clock.clone(),
            options: parts.answering.options,
        };
        // The kinds that reconcile feeds have the columns that their publishers check.
        let configured = parts
            .answering
            .kinds
            .iter()
            .filter(|kind| kind.reconciled().is_none());
        let kind_checks = KindChecks::of(configured.map(requests::kind::Kind::name));
        Self {
            kind_checks,
            table: new_table(&parts),
            parts,
            publisher: Arc::new(publisher),
            clock,
            holds,
            blocked,
            rules: Arc::new(rules),
            follower: StreamFollower::default(),
            is_read: false,
            answers: BTreeMap::new(),
            reading_tasks: JoinSet::new(),
            publishing_tasks: JoinSet::new(),
            publishing_slots: Arc::new(Semaphore::new(MAX_PUBLISHING_TASKS)),
            progress_tasks: JoinSet::new(),
            permit: None,
            unconfirmed: None,
            source_retry_at: None,
            source_failures: 0,
            positions_updated_at: None,
            costs,
            log_dedup: LogDedup::default(),
            errors: CurrentErrors::default(),
        }
    }

    /// Answers until `stop`, then waits for publications that are under way. Returns early when the term of the lease ends.
    pub async fn serve(&mut self, stop: &CancellationToken) {
        let (gate, gate_queue) = (self.parts.gate.clone(), self.parts.gate_queue.clone());
        let mut tick = tokio::time::interval(
            self.parts
                .answering
                .options
                .interval
                .max(Duration::from_millis(1)),
        );
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Kept across iterations: a new request for a permit would lose its place in the queue.
        let mut pending_permit: Option<BoxFuture<'static, QueuedPermit>> = None;
        loop {
            tokio::task::coop::consume_budget().await;
            self.refresh_rules();
            self.wake_due();
            let candidate = self.candidate();
            let kind = match candidate {
                None if self.reading_tasks.is_empty() => self.due_kind(),
                _ => None,
            };
            if candidate.is_none() && kind.is_none() {
                pending_permit = None;
            } else if pending_permit.is_none() {
                let (gate_queue, gate) = (gate_queue.clone(), gate.clone());
                pending_permit = Some(Box::pin(async move { gate_queue.request(&gate).await }));
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => self.poll().await,
                Some(done) = self.reading_tasks.join_next() => match done {
                    Ok(done) => self.quantum_ended(done),
                    Err(error) => return report_ended_task(&error),
                },
                Some(done) = self.publishing_tasks.join_next() => match done {
                    Ok(done) => self.message_sent(done),
                    Err(error) => return report_ended_task(&error),
                },
                Some(sent) = self.progress_tasks.join_next() => self.record_progress(sent.ok()),
                // A closed channel never changes.
                Ok(()) = self.holds.changed() => {}
                Ok(()) = self.blocked.changed() => {}
                () = sleep_until(wake) => {}
                permit = await_permit(&mut pending_permit) => {
                    pending_permit = None;
                    // Without this check the loop would take permits without ever waiting.
                    if self.parts.lease.term().is_none() {
                        return;
                    }
                    match (candidate, kind) {
                        (Some(key), _) => self.begin_quantum(&key, permit),
                        (None, Some(kind)) => self.check_kind(&kind, permit).await,
                        (None, None) => {}
                    }
                }
            }
        }
        drop(pending_permit);
        self.set_state("ending");
        while let Some(done) = self.reading_tasks.join_next().await {
            if let Ok(done) = done {
                self.quantum_ended(done);
            }
        }
        while let Some(done) = self.publishing_tasks.join_next().await {
            if let Ok(done) = done {
                self.message_sent(done);
            }
        }
    }

    /// Returns the learned costs.
    #[must_use]
    pub fn into_costs(self) -> CostEstimator {
        self.costs
    }

    /// Takes over changed rules and decides about every request.
    fn refresh_rules(&mut self) {
        let is_new = self.holds.has_changed().unwrap_or(false) || self.blocked.has_changed().unwrap_or(false);
        let same_list = self
            .rules
            .is_based_on(&self.blocked.borrow(), &self.holds.borrow());
        if !is_new && same_list {
            return;
        }
        let rules = RuleSet::new(
            Arc::clone(&self.parts.answering.kinds),
            Arc::clone(&self.blocked.borrow_and_update()),
            &self.holds.borrow_and_update(),
            Arc::clone(&self.parts.persons),
            self.rules.version + 1,
        );
        self.rules = Arc::new(rules);
        let all: Vec<RequestKey> = self.table.index.iter().map(|(key, _)| key.clone()).collect();
        for key in &all {
            self.decide_again(key);
        }
    }

    /// Wakes requests whose back-off has ended.
    fn wake_due(&mut self) {
        let now = Instant::now();
        for key in self.table.take_ended_backoffs(now) {
            self.apply(&key, Event::BackoffEnded);
        }
        if self.source_retry_at.is_some_and(|until| until <= now) {
            self.source_retry_at = None;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let first = self.table.next_backoff();
        // A kind that is already due waits for the source or the gate.
        let kind = self.kind_checks.next().filter(|at| *at > Instant::now());
        [first, self.source_retry_at, kind].into_iter().flatten().min()
    }

    /// Returns the exchange's time.
    fn now(&self) -> Option<Timestamp> {
        self.clock.now(Instant::now())
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Instant::now(),
            exchange_now: self.now(),
            jitter: rand::random(),
        }
    }

    fn signer(&self, key: &RequestKey) -> Signer {
        Signer {
            instance: self.parts.instance.clone(),
            key: Arc::clone(&self.parts.key),
            to: self.parts.encryption.recipients.get(&key.recipient).cloned(),
        }
    }

    fn update_status(&self, change: impl FnOnce(&mut RequestsStatus)) {
        self.parts.registry.requests(change);
    }

    fn set_state(&self, text: &str) {
        self.update_status(|status| {
            if status.state != text {
                text.clone_into(&mut status.state);
            }
        });
    }

    /// Logs an error that is retried; `note` stores it where success clears it.
    fn report_error(&mut self, what: &str, note: impl FnOnce(&mut CurrentErrors)) {
        if self.log_dedup.is_new(what) {
            tracing::warn!(error = what, "answering requests failed, retrying");
        }
        note(&mut self.errors);
        self.show_errors();
    }

    /// Clears an error with `note`, because the operation succeeded or is no longer needed.
    fn clear_error(&mut self, note: impl FnOnce(&mut CurrentErrors)) {
        note(&mut self.errors);
        if self.errors.first().is_none()
            && let Some(occurrences) = self.log_dedup.recovered()
        {
            tracing::info!(occurrences, "answering requests works again");
        }
        self.show_errors();
    }

    /// Shows the first current error in the status.
    fn show_errors(&self) {
        let first = self.errors.first();
        self.update_status(|status| {
            if status.last_error.as_ref() != first {
                status.last_error = first.cloned();
            }
        });
    }
}

fn new_table(parts: &ResponderParts) -> RequestTable {
    let answering = &parts.answering;
    let trusted = Trusted {
        requests: answering.trusted_requests.clone(),
        here: parts.origin.clone(),
        officers: answering.officers.clone(),
    };
    RequestTable::new(trusted, answering.quotas.clone(), answering.options)
}

fn report_ended_task(error: &JoinError) {
    let error = describe_end(error);
    tracing::error!(
        error,
        "task of the responder failed, reading the streams from the start"
    );
}

async fn await_permit(pending_permit: &mut Option<BoxFuture<'static, QueuedPermit>>) -> QueuedPermit {
    match pending_permit {
        Some(pending_permit) => pending_permit.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

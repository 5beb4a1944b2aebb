//! Runs one lane: performs at the exchange what [`crate::step`] decides.
//!
//! At most one chunk is in flight. Meanwhile the next one is compressed and signed, and the one after that is read. If the lane
//! has to continue from elsewhere, prepared chunks are dropped: a new generation notifies the reader and distinguishes old
//! messages from new ones.

mod hold_evaluator;
mod parts;
mod repairs;
mod status;
mod trace;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use runtime::supervise::describe_end;
use schemas::chunk::ChunkError;
use schemas::cursor::Cursor;
use schemas::manifest::OutstandingRows;
use schemas::name::Lane;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::lease_keeper::LeaseWatch;
use crate::retry;
use crate::signed_chunk::{ChunkContext, SignedChunk};
use crate::step::{self, Action, Event, step};
use crate::stop::StopReason;
use crate::tail::{self, TailContext, pending_resync};
use disclosure::hold::HoldEffect;

use hold_evaluator::hold_changed;
pub use parts::{LaneHandle, LaneMessage, LaneParts, Position, QueuedBatch, lane_changed};
use repairs::RepairInbox;
pub use repairs::{LaneRepairs, RepairError, RepairTicket};

type CallResult = (Event, Option<TailContext>);
type Call = Pin<Box<dyn Future<Output = CallResult> + Send>>;
type Signing = JoinHandle<Result<SignedChunk, ChunkError>>;

/// Runs one lane.
pub struct LaneWorker {
    parts: LaneParts,
    state: step::Lane,
    inbox: mpsc::Receiver<LaneMessage>,
    closed: bool,
    position: watch::Sender<Position>,
    /// The position at which the next block must begin.
    follows: Option<Cursor>,
    call: Option<Call>,
    in_flight: Option<SignedChunk>,
    signing: Option<Signing>,
    signed: Option<SignedChunk>,
    /// The current effect of holds on the lane.
    hold: HoldEffect,
    /// The outstanding withheld rows according to the last chunk signed here, or the tail.
    outstanding: BTreeMap<String, OutstandingRows>,
    /// During a resynchronisation: the rows that no chunk of the epoch carries, according to the last chunk signed here, or the
    /// tail.
    resync: Option<u64>,
    /// Rows that are sent again.
    repairs: RepairInbox,
    /// The context of the tail that was read last.
    context: TailContext,
    receipt_log_dedup: LogDedup,
    failures: u32,
    /// Whether the last failure, or a doubted tail, is one that ends with an election or when a replica has caught up.
    awaits_leader: bool,
    /// The beginning of the monotonic time of events.
    started: Instant,
    /// For errors of reading, and of publishing and stops: a lane that may not publish can still be read.
    log_dedup: [LogDedup; 2],
    /// The last error of reading and of publishing, until the same operation succeeds.
    errors: [Option<String>; 2],
}

impl LaneWorker {
    /// Creates a worker, with the two channel ends for the reader.
    #[must_use]
    pub fn new(parts: LaneParts) -> (Self, mpsc::Sender<LaneMessage>, watch::Receiver<Position>) {
        let (outbox, inbox) = mpsc::channel(2);
        let (position, watch) = watch::channel(Position::default());
        let state = step::Lane::new(parts.instance.clone(), parts.definition);
        let worker = Self {
            parts,
            state,
            inbox,
            closed: false,
            position,
            follows: None,
            call: None,
            in_flight: None,
            signing: None,
            signed: None,
            hold: HoldEffect::Free(None),
            outstanding: BTreeMap::new(),
            resync: None,
            repairs: RepairInbox::default(),
            context: TailContext::default(),
            receipt_log_dedup: LogDedup::default(),
            failures: 0,
            awaits_leader: false,
            started: Instant::now(),
            log_dedup: Default::default(),
            errors: [None, None],
        };
        (worker, outbox, watch)
    }

    /// Runs until the reader has closed its end and everything it sent is published or dropped.
    pub async fn run(mut self) {
        let mut lease = self.parts.lease.clone();
        let mut holds = self.parts.holds.clone();
        let mut was_held = false;
        while !self.closed {
            let hold_evaluator = self.hold_evaluator();
            let hold = hold_evaluator.evaluate(&self.parts.holds);
            self.hold = hold.clone();
            if let HoldEffect::Held(why) = &hold {
                // Once, because each discard wakes the reader.
                if !std::mem::replace(&mut was_held, true) {
                    self.discard(None);
                }
                self.show_held(why);
                tokio::select! {
                    () = hold_changed(&hold, &hold_evaluator, &mut holds) => {}
                    message = self.inbox.recv() => self.closed |= message.is_none(),
                }
                continue;
            }
            was_held = false;
            self.show_free();
            let term = tokio::select! {
                term = lease.acquired() => term,
                () = hold_changed(&hold, &hold_evaluator, &mut holds) => continue,
                message = self.inbox.recv() => { self.closed |= message.is_none(); continue }
            };
            self.decide(Event::Begin);
            tokio::select! {
                () = lease.ended(term) => {}
                // Rows that were read and not published are dropped, even if their publish is under way: the exchange is
                // read again before the next publish.
                () = hold_changed(&hold, &hold_evaluator, &mut holds) => {}
                () = self.work() => return,
            }
            self.decide(Event::LeaseLost);
            self.discard(None);
            self.position.send_modify(|position| position.known = false);
        }
    }

    /// Works while the lease is held and holds do not change.
    async fn work(&mut self) {
        let mut check = tokio::time::interval(self.parts.check.max(Duration::from_millis(1)));
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        check.reset();
        loop {
            if self.signing.is_none() && self.signed.is_none() {
                self.sign_repair();
            }
            let has_room = self.signing.is_none() && self.signed.is_none();
            let accepts_repairs = has_room && self.state.next_position().is_some();
            let accepts_blocks = !self.closed
                && has_room
                && !self.repairs.is_open()
                && (self.state.next_position().is_some() || self.state.stopped().is_some());
            if self.closed && has_room && self.call.is_none() {
                return;
            }
            tokio::select! {
                (event, context) = await_call(&mut self.call) => {
                    self.call = None;
                    if let Some(context) = context {
                        self.take_context(context);
                    }
                    self.decide(event);
                    self.publish_signed();
                }
                signed = await_signing(&mut self.signing) => { self.signing = None; self.take_signed(signed); }
                message = self.inbox.recv(), if accepts_blocks => match message {
                    None => self.closed = true,
                    Some(LaneMessage::Block(batch)) => self.sign(batch),
                    Some(LaneMessage::SourceChanged { generation, what }) => self.source_changed(generation, what),
                },
                Some(order) = self.repairs.next(), if accepts_repairs && !self.repairs.is_open() => self.begin_repair(order),
                _ = check.tick(), if self.call.is_none() => self.decide(Event::Check),
                () = tokio::time::sleep(self.parts.recheck), if self.state.stopped().is_some() && self.call.is_none() => {
                    self.decide(Event::Begin);
                }
            }
        }
    }

    fn source_changed(&mut self, generation: u64, what: String) {
        if generation == self.position.borrow().generation {
            self.decide(Event::SourceChanged(what));
        }
    }

    fn sign(&mut self, batch: QueuedBatch) {
        let is_current = batch.generation == self.position.borrow().generation;
        let Some(position) = self.state.next_position().filter(|_| is_current) else {
            return;
        };
        if batch.rows.block.cursor_before != self.follows {
            // Must not happen: the block is not published, and the lane begins again at the exchange.
            tracing::error!(lane = %self.parts.lane, "block does not follow the previous one, continuing from the exchange");
            self.discard(None);
            self.decide(Event::Begin);
            return;
        }
        // The heads before the holds: a chunk that names a control record must obey it.
        let heads = self.parts.record_tracker.heads(&self.parts.lane.recipient);
        if self.hold_evaluator().evaluate(&self.parts.holds) != self.hold {
            // The block was read under other holds; `run` begins again.
            return;
        }
        self.follows.clone_from(&batch.rows.block.cursor_after);
        self.repairs.observe(&batch.rows);
        let since = batch.rows.block.read_from;
        self.parts.registry.lane(&self.parts.lane, |status| {
            status.unpublished_since.get_or_insert(since);
        });
        let (lane, key) = (self.parts.lane.clone(), Arc::clone(&self.parts.key));
        let (instance, encryption) = (self.parts.instance.clone(), self.parts.encryption.clone());
        let context = ChunkContext {
            position,
            outstanding: self.outstanding.clone(),
            resync: self.resync,
            heads,
            origin: Some(self.parts.trust.here.clone()),
        };
        let trace = trace::read(&lane, &batch.rows);
        self.signing = Some(tokio::task::spawn_blocking(move || {
            let _span = trace::signing(trace);
            let signed = batch
                .rows
                .sign_for(&lane, &context, &instance, &key, encryption.as_ref());
            signed.map(|chunk| SignedChunk { trace, ..chunk })
        }));
    }

    fn take_signed(&mut self, signed: Result<SignedChunk, SigningError>) {
        match signed {
            Ok(chunk) => {
                self.outstanding.clone_from(&chunk.outstanding);
                self.resync = pending_resync(chunk.resync);
                self.signed = Some(chunk);
                self.publish_signed();
            }
            Err(error) => self.decide(Event::Failed(exchange::ErrorKind::TooLarge, error.to_string())),
        }
    }

    /// Publishes the signed chunk if nothing is in flight.
    fn publish_signed(&mut self) {
        if self.call.is_some() || self.state.in_flight() || self.state.next_position().is_none() {
            return;
        }
        if let Some(chunk) = self.signed.take() {
            let prepared = chunk.prepared.clone();
            self.in_flight = Some(chunk);
            self.decide(Event::Ready(prepared));
        }
    }

    fn decide(&mut self, event: Event) {
        self.record_event(&event);
        let state = std::mem::replace(
            &mut self.state,
            step::Lane::new(String::new(), self.parts.definition),
        );
        let (state, actions) = step(state, event);
        self.state = state;
        for action in actions {
            self.act(action);
        }
        let (state, stopped_by) = match self.state.stopped() {
            Some(reason) => (self.describe_stop(reason), Some(reason.kind())),
            None => (self.state.state().to_owned(), None),
        };
        let last = self.state.last();
        self.parts.conditions.lane(&self.parts.lane, |lane| {
            (lane.stopped_by, lane.is_held) = (stopped_by, false);
        });
        self.parts.registry.lane(&self.parts.lane, |status| {
            (status.state, status.stopped, status.stopped_by) = (state, stopped_by.is_some(), stopped_by);
            status.held = None;
            (status.epoch, status.number) = last.map_or((0, 0), |link| (link.epoch, link.number));
        });
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ReadTail { backed_off } => {
                let (exchange, lane) = (Arc::clone(&self.parts.exchange), self.parts.lane.clone());
                let (trust, wait) = (self.parts.trust.clone(), self.wait(backed_off));
                let own = self.parts.own.clone();
                self.call = Some(Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    let (event, context) = tail::read(exchange.as_ref(), &lane, &trust, &own).await;
                    let is_read = matches!(event, Event::TailRead { .. });
                    (event, is_read.then_some(context))
                }));
            }
            Action::AskLeader => {
                let (exchange, lane) = (Arc::clone(&self.parts.exchange), self.parts.lane.clone());
                let started = self.started;
                self.call = Some(Box::pin(async move {
                    let event = match exchange.leader_sequence(&lane).await {
                        Ok(sequence) => Event::LeaderAnswered {
                            sequence,
                            at: started.elapsed(),
                        },
                        Err(error) => Event::Failed(error.kind, error.to_string()),
                    };
                    (event, None)
                }));
            }
            Action::Publish { expect, backed_off } => {
                let Some(chunk) = self.in_flight.as_ref() else {
                    return;
                };
                let (bytes, context) = (chunk.bytes.clone(), chunk.trace);
                let (exchange, lane) = (Arc::clone(&self.parts.exchange), self.parts.lane.clone());
                let (lease, wait) = (self.parts.lease.clone(), self.wait(backed_off));
                self.call = Some(Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    let publishing = publish(exchange.as_ref(), &lane, bytes, expect, &lease);
                    (trace::publish(&lane, context, publishing).await, None)
                }));
            }
            Action::Stored => {
                self.stored();
                self.publish_signed();
            }
            Action::ReadFrom(cursor) => {
                self.failures = 0;
                self.parts
                    .registry
                    .lane(&self.parts.lane, |status| status.adoptions += 1);
                self.outstanding.clone_from(&self.context.outstanding);
                self.resync = self.context.resync;
                self.show_resync(self.resync.is_some());
                self.discard(Some(cursor));
            }
            Action::Stop(reason) => {
                let reason = self.describe_stop(&reason);
                if self.log_dedup[1].is_new(&reason) {
                    tracing::error!(lane = %self.parts.lane, reason, "lane stopped");
                }
                self.discard(None);
            }
        }
    }

    fn stored(&mut self) {
        let Some(chunk) = self.in_flight.take() else {
            return;
        };
        self.failures = 0;
        // Not news for the reader, which knows it already; repairs are possible from here on.
        self.position.send_if_modified(|position| {
            position.begins_at_fence = false;
            position.is_resync &= chunk.resync.is_some_and(|resync| !resync.is_complete);
            false
        });
        if chunk.is_repair {
            self.repairs.stored(chunk.prepared.link);
        }
        if let Some(resync) = chunk.resync {
            self.show_resync(!resync.is_complete);
            if resync.is_complete {
                let (lane, excluded_rows) = (&self.parts.lane, resync.excluded_rows);
                tracing::info!(%lane, excluded_rows, "resynchronisation complete");
            }
        }
        self.parts.registry.lane(&self.parts.lane, |status| {
            status.chunks += 1;
            status.rows += chunk.rows;
            status.bytes += chunk.bytes.len() as u64;
            status.withheld += chunk.withheld;
            status.rejects += chunk.rejects;
            status.outstanding = chunk.outstanding;
            status.published_at = Some(Timestamp::now());
            status.unpublished_since = None;
            status.last_error = None;
        });
    }

    /// Drops prepared chunks and notifies the reader where to continue.
    fn discard(&mut self, from: Option<Option<Cursor>>) {
        (self.call, self.in_flight, self.signed) = (None, None, None);
        self.repairs.discard();
        if let Some(signing) = self.signing.take() {
            signing.abort();
        }
        self.parts
            .registry
            .lane(&self.parts.lane, |status| status.unpublished_since = None);
        self.follows = from.clone().flatten();
        let is_resync = self.resync.is_some();
        let has_changed_definition = matches!(self.state.stopped(), Some(StopReason::DefinitionChanged));
        let withhold = match &self.hold {
            HoldEffect::Free(withhold) => withhold.clone(),
            HoldEffect::Held(_) => None,
        };
        self.position.send_modify(|position| {
            position.withhold = withhold;
            position.is_resync = is_resync;
            position.has_changed_definition = has_changed_definition;
            position.generation += 1;
            position.from = from;
            position.known = true;
            position.source.clone_from(&self.context.source);
            position.read_at = self.context.read_at;
            position.is_source_accepted = self.context.is_source_accepted;
            position.begins_at_fence = self.context.begins_at_fence;
        });
    }

    fn wait(&self, backed_off: bool) -> Duration {
        match (backed_off, self.awaits_leader) {
            (false, _) => Duration::ZERO,
            (true, true) => retry::for_leader(self.failures),
            (true, false) => retry::after(self.failures),
        }
    }
}

async fn publish(
    exchange: &dyn Exchange,
    lane: &Lane,
    bytes: Bytes,
    expect: u64,
    lease: &LeaseWatch,
) -> Event {
    if lease.term().is_none() {
        return Event::LeaseLost;
    }
    match exchange.publish_chunk(lane, bytes, expect).await {
        Ok(Published::Done { sequence }) => Event::Acked { sequence },
        Ok(Published::Conflict) => Event::Conflict,
        Err(error) => Event::Failed(error.kind, error.to_string()),
    }
}

async fn await_call(call: &mut Option<Call>) -> CallResult {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

/// Why a chunk could not be signed.
#[derive(Debug, thiserror::Error)]
enum SigningError {
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    #[error("signing a chunk failed: {0}")]
    Ended(&'static str),
}

async fn await_signing(signing: &mut Option<Signing>) -> Result<SignedChunk, SigningError> {
    match signing {
        Some(signing) => match signing.await {
            Ok(signed) => Ok(signed?),
            Err(error) => Err(SigningError::Ended(describe_end(&error))),
        },
        None => std::future::pending().await,
    }
}

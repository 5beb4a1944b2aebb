//! One lane's executor: does at the exchange what [`crate::step`] decides.
//!
//! At most one chunk is in flight; while it is, the next one is compressed and signed behind
//! it, and the one after that is read. Whatever was prepared is dropped when the lane has to go
//! on from elsewhere: the generation tells the reader, and tells old parcels from new ones.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use runtime::said::Said;
use schemas::cursor::Cursor;
use schemas::name::Lane;
use schemas::sign::SigningKey;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::lease_keeper::LeaseWatch;
use crate::retry;
use crate::seal::{Packed, SealedChunk};
use crate::status::Board;
use crate::step::{self, Action, Event, step};
use crate::tail::{self, Trust};

/// A block for a lane, read for this generation of it.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The generation.
    pub generation: u64,
    /// The block.
    pub packed: Arc<Packed>,
}

/// Where the reader has to go on for a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Counted up whenever what was read and not stored is void.
    pub generation: u64,
    /// The place to read on from; none: nothing may be read for this lane now.
    pub from: Option<Option<Cursor>>,
    /// Whether the exchange was read, whatever came of it: before that, a reader that is about
    /// to begin waits for this lane, so that lanes at equal cursors begin together.
    pub known: bool,
}

type Call = Pin<Box<dyn Future<Output = Event> + Send>>;
type Sealing = JoinHandle<Result<SealedChunk, String>>;

/// What a lane's executor is made of.
pub struct LaneParts {
    /// Its name.
    pub lane: Lane,
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// Signs chunks.
    pub key: Arc<SigningKey>,
    /// Whose tail and receipts count.
    pub trust: Trust,
    /// This life of this process.
    pub instance: String,
    /// The digest of the feed's definition.
    pub definition: schemas::digest::Digest,
    /// The lease.
    pub lease: LeaseWatch,
    /// Where it shows what it does.
    pub board: Board,
    /// How long between looks at a stopped lane.
    pub recheck: Duration,
    /// How long between looks at a lane that is not in doubt.
    pub check: Duration,
}

/// The executor.
pub struct LaneWorker {
    parts: LaneParts,
    state: step::Lane,
    inbox: mpsc::Receiver<Parcel>,
    closed: bool,
    position: watch::Sender<Position>,
    /// The position that the next block has to begin at.
    follows: Option<Cursor>,
    call: Option<Call>,
    flight: Option<SealedChunk>,
    sealing: Option<Sealing>,
    sealed: Option<SealedChunk>,
    failures: u32,
    /// What was said of reading, and of publishing and stops: a lane that may not publish can be read all the same.
    said: [Said; 2],
}

impl LaneWorker {
    /// With the two ends that the reader keeps.
    #[must_use]
    pub fn new(parts: LaneParts) -> (Self, mpsc::Sender<Parcel>, watch::Receiver<Position>) {
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
            flight: None,
            sealing: None,
            sealed: None,
            failures: 0,
            said: Default::default(),
        };
        (worker, outbox, watch)
    }

    /// Runs until the reader has closed its end and everything it sent is published or void.
    pub async fn run(mut self) {
        let mut lease = self.parts.lease.clone();
        while !self.closed {
            let term = tokio::select! {
                term = lease.held() => term,
                parcel = self.inbox.recv() => { self.closed |= parcel.is_none(); continue }
            };
            self.decide(Event::Begin);
            tokio::select! {
                () = lease.over(term) => {}
                () = self.work() => return,
            }
            self.decide(Event::LeaseLost);
            self.void(None);
            self.position.send_modify(|position| position.known = false);
        }
    }

    /// Everything while the lease is held.
    async fn work(&mut self) {
        let mut check = tokio::time::interval(self.parts.check.max(Duration::from_millis(1)));
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        check.reset();
        loop {
            let has_room = self.sealing.is_none() && self.sealed.is_none();
            let wants = !self.closed
                && has_room
                && (self.state.next_place().is_some() || self.state.stopped().is_some());
            if self.closed && has_room && self.call.is_none() {
                return;
            }
            tokio::select! {
                event = answer(&mut self.call) => { self.call = None; self.decide(event); self.offer(); }
                sealed = ended(&mut self.sealing) => { self.sealing = None; self.take_sealed(sealed); }
                parcel = self.inbox.recv(), if wants => match parcel {
                    None => self.closed = true,
                    Some(parcel) => self.seal(parcel),
                },
                _ = check.tick(), if self.call.is_none() => self.decide(Event::Check),
                () = tokio::time::sleep(self.parts.recheck), if self.state.stopped().is_some() && self.call.is_none() => {
                    self.decide(Event::Begin);
                }
            }
        }
    }

    fn seal(&mut self, parcel: Parcel) {
        let current = parcel.generation == self.position.borrow().generation;
        let Some(place) = self.state.next_place().filter(|_| current) else {
            return;
        };
        if parcel.packed.block.cursor_before != self.follows {
            // Never seen, and never published: the lane begins again at the exchange.
            tracing::error!(lane = %self.parts.lane, "a block does not follow the one before it; reading on from the exchange");
            self.void(None);
            self.decide(Event::Begin);
            return;
        }
        self.follows.clone_from(&parcel.packed.block.cursor_after);
        let since = parcel.packed.block.read_from;
        self.parts.board.lane(&self.parts.lane, |status| {
            status.unpublished_since.get_or_insert(since);
        });
        let (lane, key) = (self.parts.lane.clone(), Arc::clone(&self.parts.key));
        let instance = self.parts.instance.clone();
        self.sealing = Some(tokio::task::spawn_blocking(move || {
            parcel
                .packed
                .seal(&lane, place, &instance, &key)
                .map_err(|error| error.to_string())
        }));
    }

    fn take_sealed(&mut self, sealed: Result<SealedChunk, String>) {
        match sealed {
            Ok(chunk) => {
                self.sealed = Some(chunk);
                self.offer();
            }
            Err(what) => self.decide(Event::Failed(exchange::ErrorKind::TooLarge, what)),
        }
    }

    /// Hands the sealed chunk over when nothing is in flight.
    fn offer(&mut self) {
        if self.call.is_some() || self.state.in_flight() || self.state.next_place().is_none() {
            return;
        }
        if let Some(chunk) = self.sealed.take() {
            let offer = chunk.offer.clone();
            self.flight = Some(chunk);
            self.decide(Event::Ready(offer));
        }
    }

    fn decide(&mut self, event: Event) {
        self.note(&event);
        let state = std::mem::replace(
            &mut self.state,
            step::Lane::new(String::new(), self.parts.definition),
        );
        let (state, actions) = step(state, event);
        self.state = state;
        for action in actions {
            self.act(action);
        }
        let (text, stopped) = match self.state.stopped() {
            Some(reason) => (reason.to_string(), true),
            None => (self.state.state().to_owned(), false),
        };
        let last = self.state.last();
        self.parts.board.lane(&self.parts.lane, |status| {
            (status.state, status.stopped) = (text, stopped);
            (status.epoch, status.number) = last.map_or((0, 0), |link| (link.epoch, link.number));
        });
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Failed(_, what) | Event::TailUnreadable(what) => {
                self.failures = self.failures.saturating_add(1);
                let [reading, publishing] = &mut self.said;
                let said = if self.state.in_flight() {
                    publishing
                } else {
                    reading
                };
                if said.is_news(what) {
                    tracing::warn!(lane = %self.parts.lane, error = what, "exchange; tried again and again");
                }
                self.parts
                    .board
                    .lane(&self.parts.lane, |status| status.last_error = Some(what.clone()));
            }
            Event::Acked { .. } => {
                self.failures = 0;
                let [reading, publishing] = &mut self.said;
                if let Some(met) = publishing.over().max(reading.over()) {
                    tracing::info!(lane = %self.parts.lane, met, "the exchange's trouble is over");
                }
            }
            Event::TailRead { .. } => {
                self.said[0].over();
            }
            _ => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ReadTail { backed_off } => {
                let (exchange, lane) = (Arc::clone(&self.parts.exchange), self.parts.lane.clone());
                let (trust, wait) = (self.parts.trust.clone(), self.wait(backed_off));
                self.call = Some(Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    tail::read(exchange.as_ref(), &lane, &trust).await
                }));
            }
            Action::Publish { expect, backed_off } => {
                let Some(bytes) = self.flight.as_ref().map(|chunk| chunk.bytes.clone()) else {
                    return;
                };
                let (exchange, lane) = (Arc::clone(&self.parts.exchange), self.parts.lane.clone());
                let (lease, wait) = (self.parts.lease.clone(), self.wait(backed_off));
                self.call = Some(Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    publish(exchange.as_ref(), &lane, bytes, expect, &lease).await
                }));
            }
            Action::Stored => {
                self.stored();
                self.offer();
            }
            Action::ReadFrom(cursor) => {
                self.failures = 0;
                self.parts
                    .board
                    .lane(&self.parts.lane, |status| status.adoptions += 1);
                self.void(Some(cursor));
            }
            Action::Stop(reason) => {
                if self.said[1].is_news(&reason.to_string()) {
                    tracing::error!(lane = %self.parts.lane, %reason, "lane stopped");
                }
                self.void(None);
            }
        }
    }

    fn stored(&mut self) {
        let Some(chunk) = self.flight.take() else { return };
        self.failures = 0;
        self.parts.board.lane(&self.parts.lane, |status| {
            status.chunks += 1;
            status.rows += chunk.rows;
            status.bytes += chunk.bytes.len() as u64;
            status.published_at = Some(Timestamp::now());
            status.unpublished_since = None;
            status.last_error = None;
        });
    }

    /// Drops what was prepared and tells the reader where to go on.
    fn void(&mut self, from: Option<Option<Cursor>>) {
        (self.call, self.flight, self.sealed) = (None, None, None);
        if let Some(sealing) = self.sealing.take() {
            sealing.abort();
        }
        self.parts
            .board
            .lane(&self.parts.lane, |status| status.unpublished_since = None);
        self.follows = from.clone().flatten();
        self.position.send_modify(|position| {
            position.generation += 1;
            position.from = from;
            position.known = true;
        });
    }

    fn wait(&self, backed_off: bool) -> Duration {
        if backed_off {
            retry::after(self.failures)
        } else {
            Duration::ZERO
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

async fn answer(call: &mut Option<Call>) -> Event {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

async fn ended(sealing: &mut Option<Sealing>) -> Result<SealedChunk, String> {
    match sealing {
        Some(sealing) => sealing
            .await
            .unwrap_or_else(|error| Err(format!("sealing a chunk ended early: {error}"))),
        None => std::future::pending().await,
    }
}

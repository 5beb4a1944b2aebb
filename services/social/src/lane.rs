//! One lane's executor: does at the exchange what [`crate::step`] decides.
//!
//! At most one chunk is in flight; while it is, the next one is compressed and signed behind
//! it, and the one after that is read. Whatever was prepared is dropped when the lane has to go
//! on from elsewhere: the generation tells the reader, and tells old parcels from new ones.

mod holds;
mod parts;
mod show;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use runtime::said::Said;
use runtime::supervise::describe_end;
use schemas::cursor::Cursor;
use schemas::manifest::HeldBack;
use schemas::name::Lane;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::hold::LaneHold;
use crate::lease_keeper::LeaseWatch;
use crate::retry;
use crate::seal::{Behind, SealedChunk};
use crate::step::{self, Action, Event, step};
use crate::tail::{self, Beside, under_way};

use holds::otherwise_than;
pub use parts::{Handed, LaneParts, Parcel, Position};

type Answer = (Event, Option<Beside>);
type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Sealing = JoinHandle<Result<SealedChunk, String>>;

/// The executor.
pub struct LaneWorker {
    parts: LaneParts,
    state: step::Lane,
    inbox: mpsc::Receiver<Handed>,
    closed: bool,
    position: watch::Sender<Position>,
    /// The position that the next block has to begin at.
    follows: Option<Cursor>,
    call: Option<Call>,
    flight: Option<SealedChunk>,
    sealing: Option<Sealing>,
    sealed: Option<SealedChunk>,
    /// What holds mean for it, while it works.
    hold: LaneHold,
    /// Where holds began to keep rows back, as the last chunk sealed here says, or the tail.
    held_back: BTreeMap<String, HeldBack>,
    /// While the feed is sent again from its start: rows that no chunk of the epoch carries, as the last chunk sealed here
    /// says, or the tail.
    resync: Option<u64>,
    /// What stood beside the tail that was read last.
    beside: Beside,
    receipts_said: Said,
    failures: u32,
    /// What was said of reading, and of publishing and stops: a lane that may not publish can be read all the same.
    said: [Said; 2],
    /// The last trouble of each, until the same succeeds.
    troubles: [Option<String>; 2],
}

impl LaneWorker {
    /// With the two ends that the reader keeps.
    #[must_use]
    pub fn new(parts: LaneParts) -> (Self, mpsc::Sender<Handed>, watch::Receiver<Position>) {
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
            hold: LaneHold::Free(None),
            held_back: BTreeMap::new(),
            resync: None,
            beside: Beside::default(),
            receipts_said: Said::default(),
            failures: 0,
            said: Default::default(),
            troubles: [None, None],
        };
        (worker, outbox, watch)
    }

    /// Runs until the reader has closed its end and everything it sent is published or void.
    pub async fn run(mut self) {
        let mut lease = self.parts.lease.clone();
        let mut holds = self.parts.holds.clone();
        let mut rested = false;
        while !self.closed {
            let judging = self.judging();
            let hold = judging.judge(&self.parts.holds);
            self.hold = hold.clone();
            if let LaneHold::Held(why) = &hold {
                // Once: each void tells the reader to look again.
                if !std::mem::replace(&mut rested, true) {
                    self.void(None);
                }
                self.show_held(why);
                tokio::select! {
                    () = otherwise_than(&hold, &judging, &mut holds) => {}
                    parcel = self.inbox.recv() => self.closed |= parcel.is_none(),
                }
                continue;
            }
            rested = false;
            self.show_free();
            let term = tokio::select! {
                term = lease.held() => term,
                () = otherwise_than(&hold, &judging, &mut holds) => continue,
                parcel = self.inbox.recv() => { self.closed |= parcel.is_none(); continue }
            };
            self.decide(Event::Begin);
            tokio::select! {
                () = lease.over(term) => {}
                // What was read and not published is void, even where its publish is under way:
                // the exchange is read anew before anything else is published.
                () = otherwise_than(&hold, &judging, &mut holds) => {}
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
                (event, beside) = answer(&mut self.call) => {
                    self.call = None;
                    if let Some(beside) = beside {
                        self.beside(beside);
                    }
                    self.decide(event);
                    self.offer();
                }
                sealed = ended(&mut self.sealing) => { self.sealing = None; self.take_sealed(sealed); }
                parcel = self.inbox.recv(), if wants => match parcel {
                    None => self.closed = true,
                    Some(Handed::Block(parcel)) => self.seal(parcel),
                    Some(Handed::SourceChanged { generation, what }) => self.source_changed(generation, what),
                },
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
        // The record first, then what it holds: a chunk that names a record obeys it.
        let heads = self.parts.witness.heads(&self.parts.lane.recipient);
        if self.judging().judge(&self.parts.holds) != self.hold {
            // Read under other holds; `run` begins again.
            return;
        }
        self.follows.clone_from(&parcel.packed.block.cursor_after);
        let since = parcel.packed.block.read_from;
        self.parts.board.lane(&self.parts.lane, |status| {
            status.unpublished_since.get_or_insert(since);
        });
        let (lane, key) = (self.parts.lane.clone(), Arc::clone(&self.parts.key));
        let (instance, seal) = (self.parts.instance.clone(), self.parts.seal.clone());
        let behind = Behind {
            place,
            held_back: self.held_back.clone(),
            resync: self.resync,
            heads,
            origin: Some(self.parts.trust.here.clone()),
        };
        self.sealing = Some(tokio::task::spawn_blocking(move || {
            parcel
                .packed
                .seal_to(&lane, &behind, &instance, &key, seal.as_ref())
                .map_err(|error| error.to_string())
        }));
    }

    fn take_sealed(&mut self, sealed: Result<SealedChunk, String>) {
        match sealed {
            Ok(chunk) => {
                self.held_back.clone_from(&chunk.held_back);
                self.resync = under_way(chunk.resync);
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
            Some(reason) => (self.told(reason), Some(reason.kind())),
            None => (self.state.state().to_owned(), None),
        };
        let last = self.state.last();
        self.parts.board.lane(&self.parts.lane, |status| {
            (status.state, status.stopped, status.stopped_by) = (text, stopped.is_some(), stopped);
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
                    let (event, beside) = tail::read(exchange.as_ref(), &lane, &trust, &own).await;
                    let is_read = matches!(event, Event::TailRead { .. });
                    (event, is_read.then_some(beside))
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
                    (
                        publish(exchange.as_ref(), &lane, bytes, expect, &lease).await,
                        None,
                    )
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
                self.held_back.clone_from(&self.beside.held_back);
                self.resync = self.beside.resync;
                self.show_resync(self.resync.is_some());
                self.void(Some(cursor));
            }
            Action::Stop(reason) => {
                let reason = self.told(&reason);
                if self.said[1].is_news(&reason) {
                    tracing::error!(lane = %self.parts.lane, reason, "lane stopped");
                }
                self.void(None);
            }
        }
    }

    fn stored(&mut self) {
        let Some(chunk) = self.flight.take() else { return };
        self.failures = 0;
        if let Some(resync) = chunk.resync {
            self.show_resync(!resync.is_complete);
            if resync.is_complete {
                let (lane, kept_back) = (&self.parts.lane, resync.kept_back);
                tracing::info!(%lane, kept_back, "resynchronisation complete");
            }
        }
        self.parts.board.lane(&self.parts.lane, |status| {
            status.chunks += 1;
            status.rows += chunk.rows;
            status.bytes += chunk.bytes.len() as u64;
            status.withheld += chunk.withheld;
            status.rejects += chunk.rejects;
            status.held_back = chunk.held_back;
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
        let is_resync = self.resync.is_some();
        let withhold = match &self.hold {
            LaneHold::Free(withhold) => withhold.clone(),
            LaneHold::Held(_) => None,
        };
        self.position.send_modify(|position| {
            position.withhold = withhold;
            position.is_resync = is_resync;
            position.generation += 1;
            position.from = from;
            position.known = true;
            position.source.clone_from(&self.beside.source);
            position.read_at = self.beside.read_at;
            position.is_source_accepted = self.beside.is_source_accepted;
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

async fn answer(call: &mut Option<Call>) -> Answer {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

async fn ended(sealing: &mut Option<Sealing>) -> Result<SealedChunk, String> {
    match sealing {
        Some(sealing) => sealing
            .await
            .unwrap_or_else(|error| Err(format!("sealing a chunk ended early: {}", describe_end(&error)))),
        None => std::future::pending().await,
    }
}

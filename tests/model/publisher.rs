//! A simulated process of the social agent. The product's own pure functions decide: `step`, `lease`, `group`, `chunker`, the
//! fence, the verdict on the source. This module performs what they request, in steps so small that another process, a fault
//! or a pause fits between any two.

mod call;
mod lease;
mod read;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::source::SourceIdentity;
use social::chunker::Chunker;
use social::group::{Batch, Group, Member, ResyncPhase};
use social::lease::{Decision, Timing, View, decide, valid_until};
use social::row_batch::Block;
use social::step::{Action, Event, Lane, PreparedChunk, ReceiptFrontier, step};
use social::tail::pending_resync;
use source::fence::{Fence, HighWaterMark, PreparedTransactions, TimeFence};

use super::core::Core;
use super::exchange::{Chunk, Evidence, Exchange};
use super::faults::Env;
use harness::rng::Rng;

pub(super) const TIMING: Timing = Timing {
    ttl: Duration::from_millis(600),
    margin: Duration::from_millis(150),
};

/// The time between two proofs that the exchange was restored; a simulated old leader steps down sooner.
const PROOF_INTERVAL: Duration = Duration::from_millis(200);

/// A publish on its way.
pub(super) struct PendingPublish {
    pub(super) by: String,
    pub(super) chunk: Chunk,
    pub(super) expect: u64,
    /// The exchange's answer, once it has one.
    pub(super) answer: Option<Option<u64>>,
}

enum Call {
    ReadReceipt,
    ReadChunk { receipt: Option<ReceiptFrontier> },
    AskLeader,
    CheckLease { expect: u64 },
    Send { expect: u64 },
    Wait { since: i64 },
}

enum FenceReading {
    Time { at: i64 },
    High { high: Option<Scalar> },
}

/// Output of the reader for the lane.
#[expect(clippy::large_enum_variant, reason = "only a few are queued")]
enum ReaderOutput {
    Block(Read),
    SourceChanged(String),
}

/// A block, with the state when it was closed.
struct Read {
    block: Block,
    /// Generation of the types that it was read with.
    generation: usize,
    source: Option<SourceIdentity>,
    evidence: Option<Evidence>,
}

/// State of the tail that was read last, in addition to its position.
#[derive(Default)]
struct TailContext {
    /// Rows that no chunk of a resynchronisation carries yet, while one is under way.
    resync: Option<u64>,
    source: Option<SourceIdentity>,
    accepts_source: bool,
}

/// A process from its start to its end.
pub(super) struct Publisher {
    pub(super) instance: String,
    env: Env,
    born: i64,
    view: View,
    lease_write: Option<(u64, Duration)>,
    working: bool,
    pub(super) lane: Lane,
    call: Option<Call>,
    outgoing: Option<Chunk>,
    tail_context: TailContext,
    /// The sequence of the tail that was read last.
    read_sequence: u64,
    /// As [`TailContext::resync`], with the chunks made since.
    resync: Option<u64>,
    group: Option<Group>,
    blocks: VecDeque<ReaderOutput>,
    generation: usize,
    follows: Option<Cursor>,
    /// Where the current read began.
    from: Option<Cursor>,
    /// The core's incarnation that it is connected to.
    connection: u32,
    /// The source's identity when the fence was taken.
    source: Option<SourceIdentity>,
    /// The source that rows were read from since reading began.
    named: Option<Option<SourceIdentity>>,
    /// When reading the rows beyond the fence began.
    beyond: Option<i64>,
    time_fence: TimeFence,
    water: HighWaterMark,
    prepared: PreparedTransactions,
    fence_reading: Option<FenceReading>,
    fence: Option<Fence>,
    /// A fence was taken, and there is none.
    may_read_unfenced: bool,
    pub(super) drained: bool,
}

pub(super) fn definition() -> Digest {
    Digest::of(&[b"the feed"])
}

/// Returns the columns, by generation of their types.
pub(super) fn schema(generation: usize) -> RowSchema {
    let version = match generation {
        0 => ColumnType::Int2,
        1 => ColumnType::Int8,
        2 => ColumnType::Text { max: Some(20) },
        _ => ColumnType::Text { max: None },
    };
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
    };
    RowSchema {
        name: "f".into(),
        version: 1,
        columns: vec![
            column("at", ColumnType::Int8),
            column("id", ColumnType::Int8),
            column("version", version),
            column("deleted", ColumnType::Bool),
        ],
        key: vec!["id".into()],
        tombstone: Some("deleted".into()),
    }
}

/// Returns the columns that order the feed.
fn cursor() -> [String; 2] {
    ["at".into(), "id".into()]
}

fn time_fence() -> TimeFence {
    TimeFence::new(Duration::ZERO, Duration::from_millis(1))
}

fn ms(span: i64) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}

impl Publisher {
    pub(super) fn new(instance: String, env: Env, now: i64) -> Self {
        let view = View {
            instance: instance.clone(),
            record: None,
            seen_at: Duration::ZERO,
            renewed_at: None,
        };
        let proof_interval = if env.asks_leader {
            PROOF_INTERVAL
        } else {
            Duration::ZERO
        };
        Self {
            lane: Lane::new(instance.clone(), definition()).with_proof_interval(proof_interval),
            instance,
            env,
            born: now,
            view,
            lease_write: None,
            working: false,
            call: None,
            outgoing: None,
            tail_context: TailContext::default(),
            read_sequence: 0,
            resync: None,
            group: None,
            blocks: VecDeque::new(),
            generation: 0,
            follows: None,
            from: None,
            connection: 0,
            source: None,
            named: None,
            beyond: None,
            time_fence: time_fence(),
            water: HighWaterMark::by_transactions(),
            prepared: PreparedTransactions::default(),
            fence_reading: None,
            fence: None,
            may_read_unfenced: false,
            drained: false,
        }
    }

    pub(super) fn holds(&self, now: i64) -> bool {
        self.view
            .renewed_at
            .is_some_and(|renewed| ms(now - self.born) < valid_until(renewed, TIMING))
    }

    /// Returns whether everything of this incarnation of the core is read, published and confirmed, and the lease is held.
    pub(super) fn is_quiet(&self, incarnation: u32, now: i64) -> bool {
        self.holds(now)
            && self.working
            && self.drained
            && self.connection == incarnation
            && self.call.is_none()
            && self.blocks.is_empty()
            && self.lane.stopped().is_none()
            && !self.lane.in_flight()
            && self
                .group
                .as_ref()
                .is_some_and(|group| group.open_since().is_none() && group.resync.is_none())
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of the simulation, each borrowed on its own"
    )]
    pub(super) fn act(
        &mut self,
        core: &Core,
        exchange: &mut Exchange,
        in_flight: &mut Vec<PendingPublish>,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        if self.working && !self.holds(now) {
            self.working = false;
            self.decide(Event::LeaseLost);
            self.void(None);
            return;
        }
        let due = !matches!(
            decide(&self.view, ms(now - self.born), TIMING),
            Decision::Hold { .. }
        );
        if !self.working || self.lease_write.is_some() || (due && rng.percent(60)) {
            return self.step_lease(exchange, rng, now, faults);
        }
        match rng.below(4) {
            0 | 1 if self.call.is_some() => self.continue_call(exchange, in_flight, rng, now, faults),
            2 => self.read(core, rng, now, faults),
            _ => self.offer(rng),
        }
    }

    fn offer(&mut self, rng: &mut Rng) {
        if self.call.is_some() {
            return;
        }
        if self.lane.stopped().is_some() {
            return self.decide(Event::Begin);
        }
        if self.lane.in_flight() {
            return;
        }
        if self.blocks.is_empty() {
            if rng.percent(30) {
                self.decide(Event::Check);
            }
            return;
        }
        let Some(chunk_number) = self.lane.next_position() else {
            return;
        };
        let Read {
            block,
            generation,
            source,
            evidence,
        } = match self.blocks.pop_front() {
            None => return,
            Some(ReaderOutput::Block(read)) => read,
            Some(ReaderOutput::SourceChanged(what)) => return self.decide(Event::SourceChanged(what)),
        };
        assert_eq!(
            block.cursor_before, self.follows,
            "a block does not follow the one before it"
        );
        self.follows.clone_from(&block.cursor_after);
        let resync = block.resync(self.resync);
        self.resync = pending_resync(resync);
        let context = format!("{generation} {resync:?} {source:?} {:?}", block.cursor_after);
        let digest = Chunk::digest_of(
            chunk_number.epoch,
            chunk_number.number,
            chunk_number.previous,
            &self.instance,
            &[block.plain.as_slice(), context.as_bytes()].concat(),
        );
        let link = schemas::manifest::Link {
            epoch: chunk_number.epoch,
            number: chunk_number.number,
            digest,
        };
        self.outgoing = Some(Chunk {
            link,
            previous: chunk_number.previous,
            opening: None,
            instance: self.instance.clone(),
            before: block.cursor_before.clone(),
            after: block.cursor_after.clone(),
            rows: Rc::new(read::rows(&block)),
            generation,
            resync,
            source,
            accepts_source: false,
            evidence: evidence.filter(|_| block.completes_resync),
            exchanged_at: 0,
        });
        self.decide(Event::Ready(PreparedChunk {
            link,
            cursor: block.cursor_after,
        }));
    }

    fn decide(&mut self, event: Event) {
        let (lane, actions) = step(self.lane.clone(), event);
        self.lane = lane;
        for action in actions {
            match action {
                Action::ReadTail { .. } => self.call = Some(Call::ReadReceipt),
                Action::AskLeader => self.call = Some(Call::AskLeader),
                Action::Publish { expect, .. } => self.call = Some(Call::CheckLease { expect }),
                Action::Stored => self.outgoing = None,
                Action::ReadFrom(cursor) => {
                    self.resync = self.tail_context.resync;
                    self.void(Some(cursor));
                }
                Action::Stop(_) => self.void(None),
            }
        }
    }

    fn void(&mut self, from: Option<Option<Cursor>>) {
        (
            self.call,
            self.outgoing,
            self.fence_reading,
            self.fence,
            self.drained,
        ) = (None, None, None, None, false);
        (self.named, self.beyond, self.may_read_unfenced) = (None, None, false);
        self.blocks.clear();
        self.follows = from.clone().flatten();
        self.from = from.clone().flatten();
        let resync = self.resync.is_some().then_some(ResyncPhase::WithinFence);
        let batch = |from| Batch {
            members: vec![Member {
                lane: 0,
                generation: 1,
            }],
            chunker: Chunker::new(&schema(self.generation), &cursor(), &[], from).unwrap(),
            definition: definition(),
            load: Load::default(),
        };
        self.group = from.map(|from| Group {
            batches: vec![batch(from)],
            limit: 1,
            drained: false,
            unordered: Vec::new(),
            resync,
        });
    }
}

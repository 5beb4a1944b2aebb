//! A simulated process of the social agent. Whatever it decides, the product's own pure
//! functions decide: `step`, `lease`, `chunker`, the fence. Here is only what they ask for, cut
//! into pieces so small that another process, a fault or a pause fits between any two.

mod call;
mod lease;
mod reading;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use social::chunker::{Block, Chunker};
use social::lease::{Decision, Timing, View, decide, valid_until};
use social::step::{Action, Event, Lane, Offer, Signed, step};
use source::fence::{Fence, HighWater, PreparedTransactions, TimeFence};

use super::core::Core;
use super::exchange::{Chunk, Exchange};
use super::faults::Env;
use super::rng::Rng;

pub(super) const TIMING: Timing = Timing {
    ttl: Duration::from_millis(600),
    margin: Duration::from_millis(150),
};

/// A publish on its way.
pub(super) struct Sent {
    pub(super) by: String,
    pub(super) chunk: Chunk,
    pub(super) expect: u64,
    /// The exchange's answer, once it has one.
    pub(super) answer: Option<Option<u64>>,
}

enum Call {
    ReadReceipt,
    ReadChunk { receipt: Option<Signed> },
    CheckLease { expect: u64 },
    Send { expect: u64 },
    Wait { since: i64 },
}

enum Look {
    Time { at: i64 },
    High { high: Option<Scalar> },
}

/// One life of one process.
pub(super) struct Publisher {
    pub(super) instance: String,
    born: i64,
    view: View,
    lease_write: Option<(u64, Duration)>,
    working: bool,
    pub(super) lane: Lane,
    call: Option<Call>,
    flight: Option<Chunk>,
    chunker: Option<Chunker>,
    /// Each with the types that it was read under.
    blocks: VecDeque<(usize, Block)>,
    generation: usize,
    follows: Option<Cursor>,
    time_fence: TimeFence,
    water: HighWater,
    prepared: PreparedTransactions,
    look: Option<Look>,
    fence: Option<Fence>,
    pub(super) drained: bool,
}

pub(super) fn definition() -> Digest {
    Digest::of(&[b"the feed"])
}

/// The columns, by generation of their types.
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
            column("gone", ColumnType::Bool),
        ],
        key: vec!["id".into()],
        tombstone: Some("gone".into()),
    }
}

fn ms(span: i64) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}

impl Publisher {
    pub(super) fn new(instance: String, now: i64) -> Self {
        let view = View {
            instance: instance.clone(),
            record: None,
            seen_at: Duration::ZERO,
            renewed_at: None,
        };
        Self {
            lane: Lane::new(instance.clone(), definition()),
            instance,
            born: now,
            view,
            lease_write: None,
            working: false,
            call: None,
            flight: None,
            chunker: None,
            blocks: VecDeque::new(),
            generation: 0,
            follows: None,
            time_fence: TimeFence::new(Duration::ZERO, Duration::from_millis(1)),
            water: HighWater::by_transactions(),
            prepared: PreparedTransactions::default(),
            look: None,
            fence: None,
            drained: false,
        }
    }

    pub(super) fn holds(&self, now: i64) -> bool {
        self.view
            .renewed_at
            .is_some_and(|renewed| ms(now - self.born) < valid_until(renewed, TIMING))
    }

    /// Everything read, published and known to be stored, and the lease held.
    pub(super) fn is_quiet(&self, now: i64) -> bool {
        self.holds(now)
            && self.working
            && self.drained
            && self.call.is_none()
            && self.blocks.is_empty()
            && self.lane.stopped().is_none()
            && !self.lane.in_flight()
            && self
                .chunker
                .as_ref()
                .is_some_and(|chunker| chunker.open_since().is_none())
    }

    /// One piece of its work.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of the world, each borrowed on its own"
    )]
    pub(super) fn act(
        &mut self,
        core: &Core,
        exchange: &mut Exchange,
        net: &mut Vec<Sent>,
        env: Env,
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
            return self.keep_lease(exchange, rng, now, faults);
        }
        match rng.below(4) {
            0 | 1 if self.call.is_some() => self.call_on(exchange, net, rng, now, faults),
            2 => self.read(core, env, rng, now),
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
        let Some(place) = self.lane.next_place() else {
            return;
        };
        let Some((generation, block)) = self.blocks.pop_front() else {
            return;
        };
        assert_eq!(
            block.cursor_before, self.follows,
            "a block does not follow the one before it"
        );
        self.follows.clone_from(&block.cursor_after);
        let digest = Chunk::digest_of(
            place.epoch,
            place.number,
            place.previous,
            &self.instance,
            &[block.plain.as_slice(), &[u8::try_from(generation).unwrap()]].concat(),
        );
        let link = schemas::manifest::Link {
            epoch: place.epoch,
            number: place.number,
            digest,
        };
        self.flight = Some(Chunk {
            link,
            previous: place.previous,
            opening: None,
            instance: self.instance.clone(),
            before: block.cursor_before.clone(),
            after: block.cursor_after.clone(),
            rows: Rc::new(reading::rows(&block)),
            generation,
        });
        self.decide(Event::Ready(Offer {
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
                Action::Publish { expect, .. } => self.call = Some(Call::CheckLease { expect }),
                Action::Stored => self.flight = None,
                Action::ReadFrom(cursor) => self.void(Some(cursor)),
                Action::Stop(_) => self.void(None),
            }
        }
    }

    fn void(&mut self, from: Option<Option<Cursor>>) {
        (self.call, self.flight, self.look, self.fence, self.drained) = (None, None, None, None, false);
        self.blocks.clear();
        self.follows = from.clone().flatten();
        self.chunker = from.map(|from| {
            Chunker::new(&schema(self.generation), &["at".into(), "id".into()], &[], from).unwrap()
        });
    }
}

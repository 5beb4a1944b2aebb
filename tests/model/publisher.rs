//! A simulated process of the social agent. Whatever it decides, the product's own pure
//! functions decide: `step`, `lease`, `chunker`, the fence. Here is only what they ask for, cut
//! into pieces so small that another process, a fault or a pause fits between any two.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use exchange::ErrorKind;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::rows::RowReader;
use schemas::value::Value;
use social::chunker::{Block, Chunker};
use social::lease::{Decision, Record, Timing, View, decide, valid_until};
use social::step::{Action, Event, Lane, Offer, Signed, Tail, step};
use source::RowSink as _;
use source::fence::{Fence, HighWater, TimeFence, TimeLook};

use super::core::{Core, Mode, Row, time};
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

    fn keep_lease(&mut self, exchange: &mut Exchange, rng: &mut Rng, now: i64, faults: bool) {
        let mono = ms(now - self.born);
        if let Some((expect, sent)) = self.lease_write.take() {
            if faults && rng.percent(5) {
                return; // never arrived
            }
            let record = Record {
                sequence: 0,
                instance: self.view.instance.clone(),
                released: false,
                ttl: TIMING.ttl,
            };
            let written = exchange.write_lease(record.clone(), expect);
            match written {
                // Stored, and the answer lost: read, renew nothing.
                Some(_) if faults && rng.percent(5) => self.look_at_lease(exchange, mono),
                Some(sequence) => {
                    self.view.record = Some(Record { sequence, ..record });
                    self.view.seen_at = sent;
                    self.view.renewed_at = Some(sent);
                    if !self.working && self.holds(now) {
                        self.working = true;
                        self.decide(Event::Begin);
                    }
                }
                None => self.look_at_lease(exchange, mono),
            }
            return;
        }
        match decide(&self.view, mono, TIMING) {
            Decision::Hold { .. } => {
                if !self.working && self.holds(now) {
                    self.working = true;
                    self.decide(Event::Begin);
                }
            }
            Decision::Renew => {
                let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
                self.lease_write = Some((expect, mono));
            }
            Decision::Take { expect } => {
                self.lease_write = Some((expect, mono));
            }
            Decision::Wait { .. } => self.look_at_lease(exchange, mono),
            Decision::Lost => {
                self.view.renewed_at = None;
                self.look_at_lease(exchange, mono);
            }
        }
    }

    fn look_at_lease(&mut self, exchange: &Exchange, mono: Duration) {
        let record = exchange.held.lease.clone();
        if record.as_ref().map(|record| record.sequence)
            != self.view.record.as_ref().map(|record| record.sequence)
        {
            self.view.seen_at = mono;
        }
        self.view.record = record;
    }

    fn call_on(
        &mut self,
        exchange: &mut Exchange,
        net: &mut Vec<Sent>,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        let Some(call) = self.call.take() else { return };
        let fails = faults && rng.percent(4);
        match call {
            Call::ReadReceipt | Call::ReadChunk { .. } if fails => {
                self.decide(Event::Failed(ErrorKind::Unreachable, String::new()));
            }
            Call::ReadReceipt => {
                let receipt = exchange.held.receipt.as_ref().map(|receipt| Signed {
                    epoch: receipt.basis.epoch,
                    to: receipt.basis.to,
                    head: receipt.basis.head,
                });
                self.call = Some(Call::ReadChunk { receipt });
            }
            Call::ReadChunk { receipt } => {
                let tail = exchange.tail().map(|entry| Tail {
                    sequence: entry.sequence,
                    link: entry.chunk.link,
                    instance: entry.chunk.instance.clone(),
                    definition: definition(),
                    cursor: entry.chunk.after.clone(),
                });
                self.decide(Event::TailRead { tail, receipt });
            }
            Call::CheckLease { expect } => {
                if self.holds(now) {
                    self.call = Some(Call::Send { expect });
                } else {
                    self.working = false;
                    self.decide(Event::LeaseLost);
                    self.void(None);
                }
            }
            Call::Send { expect } => {
                if fails {
                    return self.decide(Event::Failed(ErrorKind::Unreachable, String::new()));
                }
                if let Some(chunk) = self.flight.clone() {
                    net.push(Sent {
                        by: self.instance.clone(),
                        chunk,
                        expect,
                        answer: None,
                    });
                    self.call = Some(Call::Wait { since: now });
                }
            }
            Call::Wait { since } => self.await_answer(since, net, rng, now, faults),
        }
    }

    fn await_answer(&mut self, since: i64, net: &mut Vec<Sent>, rng: &mut Rng, now: i64, faults: bool) {
        let digest = self.flight.as_ref().map(|chunk| chunk.link.digest);
        let mine = |sent: &Sent| sent.by == self.instance && Some(sent.chunk.link.digest) == digest;
        if let Some(at) = net.iter().position(|sent| mine(sent) && sent.answer.is_some()) {
            let answer = net.remove(at).answer.flatten();
            // The answer gets lost on its way.
            if !(faults && rng.percent(10)) {
                return self.decide(answer.map_or(Event::Conflict, |sequence| Event::Acked { sequence }));
            }
        }
        if now - since > rng.span(40, 200) {
            // It may be stored, or never, or later.
            self.decide(Event::Failed(ErrorKind::Unknown, String::new()));
        } else {
            self.call = Some(Call::Wait { since });
        }
    }

    fn read(&mut self, core: &Core, env: Env, rng: &mut Rng, now: i64) {
        if self.chunker.is_none() || self.blocks.len() >= 2 {
            return;
        }
        if self.fence.is_none() {
            self.take_fence(core, env, now);
            return;
        }
        let (Some(fence), Some(chunker)) = (self.fence.clone(), self.chunker.as_mut()) else {
            return;
        };
        if core.generation != self.generation {
            // The statement does not fit any more: the feed is opened anew, what was read goes out.
            chunker.close();
            let old = self.generation;
            self.blocks
                .extend(chunker.take_closed().into_iter().map(|block| (old, block)));
            self.generation = core.generation;
            return;
        }
        let limit = 1 + rng.below(6);
        let after = chunker.position().unwrap();
        chunker.begin_quantum(time(now));
        let rows = core.read(after.as_ref(), &fence, limit);
        for row in &rows {
            chunker.row(&[
                Value::Int(row.at),
                Value::Int(row.key),
                Value::Int(row.version),
                Value::Bool(row.gone),
            ]);
        }
        self.drained = rows.len() < limit;
        if self.drained || rng.percent(60) {
            chunker.close();
        }
        let generation = self.generation;
        self.blocks
            .extend(chunker.take_closed().into_iter().map(|block| (generation, block)));
        if self.drained || rng.percent(20) {
            self.fence = None;
        }
    }

    /// Two looks, apart from each other and from the read.
    fn take_fence(&mut self, core: &Core, env: Env, now: i64) {
        if !env.fence {
            self.fence = Some(core.everything());
            return;
        }
        let Some(look) = self.look.take() else {
            self.look = Some(match core.mode {
                Mode::Transaction | Mode::Statement => Look::Time { at: now },
                Mode::Sequence => Look::High { high: core.highest() },
            });
            return;
        };
        self.fence = match look {
            Look::Time { at } => {
                let reading = self.time_fence.take(&TimeLook {
                    at: time(at),
                    open: core.open(),
                });
                reading
                    .below
                    .map(|below| Fence::Below(Scalar::Int(below.as_millisecond())))
            }
            Look::High { high } => self
                .water
                .take(high, ms(now - self.born), &core.open())
                .map(Fence::UpTo),
        };
        if self.fence.is_none() {
            self.drained = core.highest().is_none();
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
            rows: Rc::new(rows(&block)),
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

fn rows(block: &Block) -> Vec<Row> {
    let mut reader = RowReader::new(&block.plain, 4, block.totals.rows);
    let (mut row, mut rows) = (Vec::new(), Vec::new());
    while reader.next_into(&mut row).unwrap() {
        match row.as_slice() {
            [
                Value::Int(at),
                Value::Int(key),
                Value::Int(version),
                Value::Bool(gone),
            ] => {
                rows.push(Row {
                    at: *at,
                    key: *key,
                    version: *version,
                    gone: *gone,
                });
            }
            other => panic!("a row of another shape: {other:?}"),
        }
    }
    rows
}

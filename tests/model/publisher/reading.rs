//! Reading the core: the fence in two looks, the verdict on the source, then quanta into blocks.

use schemas::cursor::Scalar;
use schemas::rows::RowReader;
use schemas::value::Value;
use social::chunker::Block;
use social::group::Phase;
use social::source_verdict::judge;
use source::fence::{Fence, HighWater, PreparedTransactions, TimeLook};
use source::{End, RowSink as _};

use super::super::core::{Core, Mode, Row, time};
use super::super::exchange::Evidence;
use super::super::rng::Rng;
use super::{Handed, Look, Publisher, Read, cursor, ms, schema, time_fence};

impl Publisher {
    pub(super) fn read(&mut self, core: &Core, rng: &mut Rng, now: i64, faults: bool) {
        if core.life != self.connection {
            return self.connect(core, rng);
        }
        if self.group.is_none() || self.blocks.len() >= 2 {
            return;
        }
        if self.fence.is_none() && !std::mem::take(&mut self.looked) {
            return self.take_fence(core, now);
        }
        if core.generation != self.generation {
            // The statement does not fit any more: the feed is opened anew, what was read goes out.
            return self.reshape(core.generation);
        }
        self.quantum(core, rng, now, faults);
        if self.drained || rng.percent(20) {
            self.fence = None;
        }
    }

    /// The connection broke: what was proven of the source, and what was seen of it, is worth nothing.
    fn connect(&mut self, core: &Core, rng: &mut Rng) {
        self.connection = core.life;
        self.forget_source();
        self.drained = false;
        // It broke in the middle of a quantum.
        if rng.percent(50)
            && let Some(group) = &mut self.group
        {
            group.interrupt_resync();
            group.close();
            self.hand_over();
        }
    }

    fn forget_source(&mut self) {
        (self.look, self.fence, self.looked) = (None, None, false);
        (self.time_fence, self.water) = (time_fence(), HighWater::by_transactions());
        self.prepared = PreparedTransactions::default();
    }

    fn reshape(&mut self, generation: usize) {
        if let Some(group) = &mut self.group {
            group.close();
        }
        self.hand_over();
        self.generation = generation;
        if let Some(group) = &mut self.group {
            let errors = group.reshape(&schema(generation), &cursor(), &[]);
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    fn quantum(&mut self, core: &Core, rng: &mut Rng, now: i64, faults: bool) {
        let Some(group) = &mut self.group else { return };
        let Some(bound) = group.bound(self.fence.as_ref()) else {
            return;
        };
        let limit = 1 + rng.below(6);
        let after = group.position().unwrap();
        group.begin_quantum(time(now));
        let mut rows = core.read(after.as_ref(), bound, limit);
        let mut end = if rows.len() < limit {
            End::Drained
        } else {
            End::Limit
        };
        if self.env.resyncs && faults && rng.percent(8) {
            // The gate shuts: what came until then is kept.
            rows.truncate(rng.below(limit));
            end = End::Revoked;
        }
        for row in &rows {
            group.row(&[
                Value::Int(row.at),
                Value::Int(row.key),
                Value::Int(row.version),
                Value::Bool(row.gone),
            ]);
        }
        if !rows.is_empty() {
            self.named = Some(self.source.clone());
        }
        let is_within = group.resync == Some(Phase::Within);
        if is_within && end == End::Drained {
            self.beyond = Some(now);
        }
        match end {
            End::Drained if is_within && !self.env.pins => {
                (group.resync, group.drained) = (Some(Phase::Beyond), false);
            }
            _ => group.end_quantum(end).unwrap(),
        }
        if is_within && end == End::Drained && !self.env.beyond {
            group.end_quantum(End::Drained).unwrap();
        }
        self.drained = group.drained;
        if end != End::Limit || rng.percent(60) {
            group.close();
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let Some(pack) = self.group.as_mut().and_then(|group| group.packs.first_mut()) else {
            return;
        };
        for block in pack.chunker.take_closed() {
            let evidence = self.beyond.map(|since| Evidence {
                life: self.connection,
                since,
            });
            self.blocks.push_back(Handed::Block(Read {
                block,
                generation: self.generation,
                source: self.source.clone(),
                evidence,
            }));
        }
    }

    /// Two looks, apart from each other and from the read.
    fn take_fence(&mut self, core: &Core, now: i64) {
        if !self.env.fence {
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
        let mut open = core.open();
        let at = match look {
            Look::Time { at } => at,
            Look::High { .. } => now,
        };
        // The core's clock is never set back here.
        self.prepared.trace(time(at), (ms(at), ms(at)), &mut open);
        if !self.judge_source(core) {
            return;
        }
        let is_empty = matches!(&look, Look::High { high: None });
        self.fence = match look {
            Look::Time { at } => {
                let reading = self.time_fence.take(&TimeLook { at: time(at), open });
                reading
                    .below
                    .map(|below| Fence::Below(Scalar::Int(below.as_millisecond())))
            }
            Look::High { high } => {
                // As a reader does: transactions are not asked for where no maximum needs it.
                if !self.water.is_new(high.as_ref()) && !self.water.is_waiting() {
                    open.clear();
                }
                let upto = self.water.take(high, ms(now - self.born), &open);
                upto.map(Fence::UpTo)
            }
        };
        if self.fence.is_none()
            && let Some(group) = &mut self.group
        {
            let was = group.resync;
            group.await_fence(is_empty).unwrap();
            if group.resync != was {
                self.beyond = Some(now);
            }
            self.looked = group.bound(None).is_some();
            self.drained = is_empty && group.drained;
            self.hand_over();
        }
    }

    /// Whether it is the source that the lane was read from. Otherwise nothing is read for the lane any more.
    fn judge_source(&mut self, core: &Core) -> bool {
        let Some(group) = &self.group else { return true };
        let at = group.standing();
        let is_beyond = at.as_ref().is_some_and(|at| core.is_beyond(at));
        let is_accepted = self.beside.accepts_source && self.from == at;
        let before = self.named.clone().unwrap_or_else(|| self.beside.source.clone());
        let before = before.filter(|_| self.env.marks);
        let now = core.mark();
        let verdict = judge(before.as_ref(), &now, is_beyond, is_accepted);
        self.source = Some(now);
        let Some(what) = verdict.stops else { return true };
        self.group = None;
        self.forget_source();
        self.blocks.push_back(Handed::SourceChanged(what));
        false
    }
}

pub(super) fn rows(block: &Block) -> Vec<Row> {
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

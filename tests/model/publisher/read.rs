//! Reading the core: the fence from two readings, the verdict on the source, then quanta into blocks.

use schemas::cursor::Scalar;
use schemas::rows::RowReader;
use schemas::value::Value;
use social::group::ResyncPhase;
use social::row_batch::Block;
use social::source_verdict::evaluate;
use source::fence::{Fence, HighWaterMark, PreparedTransactions, TransactionSnapshot};
use source::{End, RowSink as _};

use super::super::core::{Core, Mode, Row, time};
use super::super::exchange::Evidence;
use super::{FenceReading, Publisher, Read, ReaderOutput, cursor, ms, schema, time_fence};
use harness::rng::Rng;

impl Publisher {
    pub(super) fn read(&mut self, core: &Core, rng: &mut Rng, now: i64, faults: bool) {
        if core.incarnation != self.connection {
            return self.connect(core, rng);
        }
        if self.group.is_none() || self.blocks.len() >= 2 {
            return;
        }
        if self.fence.is_none() && !std::mem::take(&mut self.may_read_unfenced) {
            return self.take_fence(core, now);
        }
        if core.generation != self.generation {
            // The statement no longer fits: the feed is opened again, and what was read is published.
            return self.reshape(core.generation);
        }
        self.quantum(core, rng, now, faults);
        if self.drained || rng.percent(20) {
            self.fence = None;
        }
    }

    /// The connection broke: what was read about the source is no longer valid.
    fn connect(&mut self, core: &Core, rng: &mut Rng) {
        self.connection = core.incarnation;
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
        (self.fence_reading, self.fence, self.may_read_unfenced) = (None, None, false);
        (self.time_fence, self.water) = (time_fence(), HighWaterMark::by_transactions());
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
            // The gate closes: the rows so far are kept.
            rows.truncate(rng.below(limit));
            end = End::Revoked;
        }
        for row in &rows {
            group.row(&[
                Value::Int(row.at),
                Value::Int(row.key),
                Value::Int(row.version),
                Value::Bool(row.deleted),
            ]);
        }
        if !rows.is_empty() {
            self.named = Some(self.source.clone());
        }
        let is_within = group.resync == Some(ResyncPhase::WithinFence);
        if is_within && end == End::Drained {
            self.beyond = Some(now);
        }
        match end {
            End::Drained if is_within && !self.env.keeps_position => {
                (group.resync, group.drained) = (Some(ResyncPhase::BeyondFence), false);
            }
            _ => group.end_quantum(end).unwrap(),
        }
        if is_within && end == End::Drained && !self.env.reads_beyond_fence {
            group.end_quantum(End::Drained).unwrap();
        }
        self.drained = group.drained;
        if end != End::Limit || rng.percent(60) {
            group.close();
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let Some(batch) = self.group.as_mut().and_then(|group| group.batches.first_mut()) else {
            return;
        };
        for block in batch.chunker.rows.take_closed() {
            let evidence = self.beyond.map(|since| Evidence {
                incarnation: self.connection,
                since,
            });
            self.blocks.push_back(ReaderOutput::Block(Read {
                block,
                generation: self.generation,
                source: self.source.clone(),
                evidence,
            }));
        }
    }

    /// Takes the fence from two readings, separated from each other and from the read.
    fn take_fence(&mut self, core: &Core, now: i64) {
        if !self.env.fence {
            self.fence = Some(core.everything());
            return;
        }
        let Some(fence_reading) = self.fence_reading.take() else {
            self.fence_reading = Some(match core.mode {
                Mode::Transaction | Mode::Statement => FenceReading::Time { at: now },
                Mode::Sequence => FenceReading::High { high: core.highest() },
            });
            return;
        };
        let mut open = core.open();
        let at = match fence_reading {
            FenceReading::Time { at } => at,
            FenceReading::High { .. } => now,
        };
        // The core's clock is never set back here.
        self.prepared.trace(time(at), (ms(at), ms(at)), &mut open);
        if !self.check_source(core) {
            return;
        }
        let is_empty = matches!(&fence_reading, FenceReading::High { high: None });
        self.fence = match fence_reading {
            FenceReading::Time { at } => {
                let reading = self.time_fence.take(&TransactionSnapshot { at: time(at), open });
                reading
                    .below
                    .map(|below| Fence::Below(Scalar::Int(below.as_millisecond())))
            }
            FenceReading::High { high } => {
                // As a reader does: transactions are queried only where a maximum needs it.
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
            self.may_read_unfenced = group.bound(None).is_some();
            self.drained = is_empty && group.drained;
            self.hand_over();
        }
    }

    /// Returns whether this is the source that the lane was read from. Otherwise nothing more is read for the lane.
    fn check_source(&mut self, core: &Core) -> bool {
        let Some(group) = &self.group else { return true };
        let at = group.source_position();
        let is_beyond = at.as_ref().is_some_and(|at| core.is_beyond(at));
        let is_accepted = self.tail_context.accepts_source && self.from == at;
        let before = self
            .named
            .clone()
            .unwrap_or_else(|| self.tail_context.source.clone());
        let before = before.filter(|_| self.env.compares_source_marks);
        let now = core.mark();
        let verdict = evaluate(before.as_ref(), &now, is_beyond, is_accepted);
        self.source = Some(now);
        let Some(what) = verdict.stop_reason else {
            return true;
        };
        self.group = None;
        self.forget_source();
        self.blocks.push_back(ReaderOutput::SourceChanged(what));
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
                Value::Bool(deleted),
            ] => {
                rows.push(Row {
                    at: *at,
                    key: *key,
                    version: *version,
                    deleted: *deleted,
                });
            }
            other => panic!("a row of another shape: {other:?}"),
        }
    }
    rows
}

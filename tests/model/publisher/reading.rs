//! Reading the core: the fence in two looks, then quanta into blocks.

use schemas::rows::RowReader;
use schemas::value::Value;
use social::chunker::Block;
use source::RowSink as _;
use source::fence::{Fence, TimeLook};

use super::super::core::{Core, Mode, Row, time};
use super::super::faults::Env;
use super::super::rng::Rng;
use super::{Look, Publisher, ms};
use schemas::cursor::Scalar;

impl Publisher {
    pub(super) fn read(&mut self, core: &Core, env: Env, rng: &mut Rng, now: i64) {
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
        let mut open = core.open();
        let at = match look {
            Look::Time { at } => at,
            Look::High { .. } => now,
        };
        // The core's clock is never set back here.
        self.prepared.trace(time(at), (ms(at), ms(at)), &mut open);
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
        if self.fence.is_none() {
            self.drained = core.highest().is_none();
        }
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

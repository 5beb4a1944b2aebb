//! Reads one quantum at the source, and sends its blocks to the lanes.

use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use jiff::Timestamp;
use source::{End, ErrorKind};
use tokio::time::Instant;

use super::source_state::KnownSource;
use super::{MAX_FENCE_AGE, NextStep, Publisher, age};
use crate::group::Group;
use crate::lane::{LaneMessage, QueuedBatch};
use crate::quantum::QuantumStats;
use crate::row_batch::RowBatch;

impl Publisher {
    pub(super) async fn run_quantum(&mut self, index: usize, permit: &Permit) -> NextStep {
        let is_old = |(_, taken): &(_, Instant)| taken.elapsed() > MAX_FENCE_AGE;
        if self.fence.as_ref().is_none_or(is_old) || self.groups.iter().any(Group::awaits_fence) {
            let lane_positions = self.lane_positions();
            let Some(reader) = self.reader.as_mut() else {
                return NextStep::Continue;
            };
            reader.set_lane_positions(lane_positions);
            let reading = match reader.fence(permit).await {
                Ok(reading) => reading,
                Err(_) if permit.is_revoked() => return NextStep::Continue,
                Err(error) => return self.source_failed(&error),
            };
            self.has_new_rows |= reading.has_new_rows;
            let is_same = self.check_source(&reading).await;
            self.is_empty = reading.is_empty;
            if !is_same {
                // The feed is opened again: its checks were made at another source.
                (self.reader, self.fence) = (None, None);
                return NextStep::Continue;
            }
            self.fence = reading.fence.map(|fence| (fence, Instant::now()));
            if (self.fence.is_some() || self.is_empty)
                && let Err(error) = self.begin_at_fence(&reading.above)
            {
                return self.stop_feed(&error);
            }
            if self.fence.is_none() {
                for group in &mut self.groups {
                    if let Err(error) = group.await_fence(reading.is_empty) {
                        return self.stop_feed(&error);
                    }
                }
            }
        }
        let (Some(reader), Some(group)) = (self.reader.as_mut(), self.groups.get_mut(index)) else {
            return NextStep::Continue;
        };
        let name = &self.parts.definition.name;
        let fence = self.fence.as_ref().map(|(fence, _)| fence);
        let Some(bound) = group.bound(fence) else {
            return NextStep::Continue;
        };
        let after = match group.position() {
            Ok(after) => after,
            Err(error) => return self.stop_feed(&error),
        };
        group.begin_quantum(Timestamp::now());
        let asked = self.parts.options.sizing.within(group.limit, permit.quantum());
        let read = reader.read(after.as_ref(), bound, asked, permit, group).await;
        group.merge(&permit.load_evidence());
        if group.position().ok().flatten() != after {
            // Recorded from the first row on: the open block may be sent after a check of another source.
            let named = KnownSource::Named(self.source.clone());
            for member in group.batches.iter().flat_map(|batch| &batch.members) {
                self.known.insert(member.lane, (member.generation, named.clone()));
            }
        }
        let sizing = &self.parts.options.sizing;
        match read {
            Ok(quantum) => {
                let took = QuantumStats {
                    limit: group.limit,
                    requested: asked,
                    rows: quantum.rows,
                    bytes: group.packed(),
                    time: quantum.took,
                };
                if quantum.end != End::Revoked {
                    group.limit = sizing.next(took);
                }
                let advanced = group.end_quantum(quantum.end);
                self.limit = group.limit;
                let next = group.limit;
                self.has_new_rows |= quantum.rows > 0;
                self.failures = 0;
                if let Some(occurrences) = self.log_dedup.recovered() {
                    tracing::info!(feed = %name, occurrences, "source reads succeed again");
                }
                self.parts.registry.feed(name, |feed| {
                    feed.quanta += 1;
                    feed.rows_read += quantum.rows;
                    feed.quantum_rows = next;
                    feed.last_error = None;
                });
                self.show_evidence();
                let Some(group) = self.groups.get_mut(index) else {
                    return NextStep::Continue;
                };
                if let Some(error) = group.take_fault().or(advanced.err()) {
                    group.close();
                    return self.stop_feed(&error);
                }
                let is_open = group.open_since();
                let open_for = is_open.map_or(Duration::ZERO, age);
                let old = is_open.is_some() && open_for >= self.parts.options.close_after;
                let now = Instant::now();
                let collect = self.parts.options.collect;
                let collects = !self.collector.wait(collect, open_for, now).is_zero();
                match quantum.end {
                    _ if permit.is_revoked() => group.close(),
                    End::Drained if collects => {}
                    End::Drained => {
                        if is_open.is_some() {
                            self.collector.closed(now);
                        }
                        group.close();
                    }
                    End::Limit if old && !collects => group.close(),
                    End::Limit => {}
                    End::Revoked => group.close(),
                }
                self.set_state("reading");
                NextStep::Continue
            }
            Err(_) if permit.is_revoked() => {
                group.interrupt_resync();
                group.close();
                NextStep::Continue
            }
            Err(error) => {
                group.interrupt_resync();
                if error.kind == ErrorKind::TimedOut {
                    group.limit = sizing.after_timeout(asked);
                    self.limit = group.limit;
                }
                group.close();
                self.source_failed(&error)
            }
        }
    }

    pub(super) async fn flush(&mut self, index: usize) {
        if let Some(group) = self.groups.get_mut(index) {
            group.close();
            self.send_blocks(index).await;
        }
    }

    /// Sends closed blocks to the group's lanes; waits for lanes that are not ready.
    pub(super) async fn send_blocks(&mut self, index: usize) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let now = Timestamp::now();
        for batch in &mut group.batches {
            let blocks = batch.chunker.rows.take_closed();
            if blocks.is_empty() {
                continue;
            }
            for block in blocks {
                let rows = Arc::new(
                    RowBatch::new(
                        block,
                        Arc::clone(batch.chunker.schema()),
                        batch.definition,
                        batch.load.clone(),
                        now,
                    )
                    .read_from_source(self.source.clone()),
                );
                for member in &batch.members {
                    let Some(lane) = self.parts.lanes.get_mut(member.lane) else {
                        continue;
                    };
                    let message = LaneMessage::Block(QueuedBatch {
                        generation: member.generation,
                        rows: Arc::clone(&rows),
                    });
                    let mut position = lane.position.clone();
                    tokio::select! {
                        // If the lane has ended or dropped its rows, nothing is lost: it publishes where to continue.
                        _ = lane.outbox.send(message) => {}
                        _ = position.wait_for(|position| position.generation != member.generation) => {}
                    }
                }
            }
            if batch.chunker.rows.open_since().is_none() {
                batch.load = schemas::load::Load::default();
            }
        }
    }
}

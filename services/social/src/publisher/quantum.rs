//! One quantum on the source, and its blocks on their way to the lanes.

use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use jiff::Timestamp;
use source::{End, ErrorKind};
use tokio::time::Instant;

use super::source_state::KnownSource;
use super::{FENCE_AGE, Publisher, Turn, age};
use crate::lane::{Handed, Parcel};
use crate::quantum::Took;
use crate::seal::Packed;

impl Publisher {
    pub(super) async fn quantum(&mut self, index: usize, permit: &Permit) -> Turn {
        if self
            .fence
            .as_ref()
            .is_none_or(|(_, taken)| taken.elapsed() > FENCE_AGE)
        {
            let standings = self.standings();
            let Some(reader) = self.reader.as_mut() else {
                return Turn::Go;
            };
            reader.stands_at(standings);
            let reading = match reader.fence(permit).await {
                Ok(reading) => reading,
                Err(_) if permit.is_revoked() => return Turn::Go,
                Err(error) => return self.failed(&error),
            };
            self.has_news |= reading.has_news;
            let is_same = self.judge_source(&reading).await;
            self.is_empty = reading.is_empty;
            if !is_same {
                // Opened anew: what was proven of the feed was proven of another source.
                (self.reader, self.fence) = (None, None);
                return Turn::Go;
            }
            self.fence = reading.fence.map(|fence| (fence, Instant::now()));
            if self.fence.is_none() {
                for group in &mut self.groups {
                    if let Err(error) = group.await_fence(reading.is_empty) {
                        return self.unusable(&error);
                    }
                }
            }
        }
        let (Some(reader), Some(group)) = (self.reader.as_mut(), self.groups.get_mut(index)) else {
            return Turn::Go;
        };
        let name = &self.parts.definition.name;
        let fence = self.fence.as_ref().map(|(fence, _)| fence);
        let Some(bound) = group.bound(fence) else {
            return Turn::Go;
        };
        let after = match group.position() {
            Ok(after) => after,
            Err(error) => return self.unusable(&error),
        };
        group.begin_quantum(Timestamp::now());
        let asked = self.parts.options.sizing.within(group.limit, permit.quantum());
        let read = reader.read(after.as_ref(), bound, asked, permit, group).await;
        group.merge(&permit.load_evidence());
        if group.position().ok().flatten() != after {
            // Named from the first row on: what is open now may be handed over behind a look at another source.
            let named = KnownSource::Named(self.source.clone());
            for member in group.packs.iter().flat_map(|pack| &pack.members) {
                self.known.insert(member.lane, (member.generation, named.clone()));
            }
        }
        let sizing = &self.parts.options.sizing;
        match read {
            Ok(quantum) => {
                let took = Took {
                    limit: group.limit,
                    asked,
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
                self.has_news |= quantum.rows > 0;
                self.failures = 0;
                if let Some(met) = self.said.over() {
                    tracing::info!(feed = %name, met, "the source's trouble is over");
                }
                self.parts.board.feed(name, |feed| {
                    feed.quanta += 1;
                    feed.rows_read += quantum.rows;
                    feed.quantum_rows = next;
                    feed.last_error = None;
                });
                self.show_evidence();
                let Some(group) = self.groups.get_mut(index) else {
                    return Turn::Go;
                };
                if let Some(error) = group.take_fault().or(advanced.err()) {
                    group.close();
                    return self.unusable(&error);
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
                self.state("reading");
                Turn::Go
            }
            Err(_) if permit.is_revoked() => {
                group.interrupt_resync();
                group.close();
                Turn::Go
            }
            Err(error) => {
                group.interrupt_resync();
                if error.kind == ErrorKind::TimedOut {
                    group.limit = sizing.after_timeout(asked);
                    self.limit = group.limit;
                }
                group.close();
                self.failed(&error)
            }
        }
    }

    pub(super) async fn flush(&mut self, index: usize) {
        if let Some(group) = self.groups.get_mut(index) {
            group.close();
            self.hand_over(index).await;
        }
    }

    /// Gives closed blocks to the group's lanes; waits where a lane is not ready for more.
    pub(super) async fn hand_over(&mut self, index: usize) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let now = Timestamp::now();
        for pack in &mut group.packs {
            let blocks = pack.chunker.take_closed();
            if blocks.is_empty() {
                continue;
            }
            for block in blocks {
                let packed = Arc::new(
                    Packed::new(
                        block,
                        Arc::clone(pack.chunker.schema()),
                        pack.definition,
                        pack.load.clone(),
                        now,
                    )
                    .read_from_source(self.source.clone()),
                );
                for member in &pack.members {
                    let Some(lane) = self.parts.lanes.get_mut(member.lane) else {
                        continue;
                    };
                    let parcel = Handed::Block(Parcel {
                        generation: member.generation,
                        packed: Arc::clone(&packed),
                    });
                    let mut position = lane.position.clone();
                    tokio::select! {
                        // The lane has ended, or what was read for it is void: nothing is lost,
                        // for it says itself where to read on.
                        _ = lane.outbox.send(parcel) => {}
                        _ = position.wait_for(|position| position.generation != member.generation) => {}
                    }
                }
            }
            if pack.chunker.open_since().is_none() {
                pack.load = schemas::load::Load::default();
            }
        }
    }
}

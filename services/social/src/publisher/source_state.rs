//! Checks whether the source is the one that the lanes were read from, and whether it can prove completeness.

use std::time::Duration;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::source::SourceIdentity;
use source::fence::ClockProblem;
use source::{FenceHolder, FenceReading, LanePosition};

use super::Publisher;
use crate::conditions::set_code;
use crate::lane::LaneMessage;
use crate::row_batcher::BatchError;
use crate::source_verdict::evaluate;

/// How long a fence may stall before "caught up" is no longer claimed, unless the feed's margin is longer. A transaction of
/// normal operation may take some seconds: its holder is shown, and no action is needed.
const STALL_UNVERIFIED_AFTER: Duration = Duration::from_secs(30);

/// The known source of one generation of a lane.
#[derive(Debug, Clone)]
pub(super) enum KnownSource {
    /// Rows were read from this source.
    Named(Option<SourceIdentity>),
    /// The source is another one: nothing is read for the lane.
    Replaced,
}

impl Publisher {
    /// Returns the positions of the lanes that are read for.
    pub(super) fn lane_positions(&self) -> Vec<LanePosition> {
        let read_at = |lane: usize| self.parts.lanes.get(lane)?.position.borrow().read_at;
        let mut lane_positions: Vec<LanePosition> = Vec::new();
        for group in &self.groups {
            let Some(position) = group.source_position() else {
                continue;
            };
            let members = group.batches.iter().flat_map(|batch| &batch.members);
            lane_positions.push(LanePosition {
                position,
                read_at: members.filter_map(|member| read_at(member.lane)).min(),
            });
        }
        lane_positions
    }

    /// Shows the fence, moves positions back after a clock step, and stops the lanes for which the source is another one. Returns
    /// whether it is the same for all.
    pub(super) async fn check_source(&mut self, reading: &FenceReading) -> bool {
        self.show_fence(reading);
        let now = Timestamp::now();
        for group in &mut self.groups {
            let at = group.source_position();
            let back = reading
                .reread_from
                .iter()
                .find(|(from, _)| Some(from) == at.as_ref());
            if let Some((_, to)) = back {
                tracing::warn!(feed = %self.parts.definition.name, "source clock went back, reading the rows since then again");
                group.go_back(to, now);
            }
        }
        let mut others: Vec<(usize, u64, String)> = Vec::new();
        for group in &self.groups {
            let at = group.source_position();
            let is_beyond = at.as_ref().is_some_and(|at| reading.beyond.contains(at));
            for member in group.batches.iter().flat_map(|batch| &batch.members) {
                let before = self.source_of(member.lane, member.generation);
                let is_accepted = self.is_accepted(member.lane, at.as_ref());
                let verdict = evaluate(before.as_ref(), &reading.source, is_beyond, is_accepted);
                self.show_beyond(member.lane, verdict.shows_beyond && !group.awaits_fence());
                if let Some(what) = verdict.stop_reason {
                    others.push((member.lane, member.generation, what));
                }
            }
        }
        let is_same = others.is_empty();
        for (lane, generation, what) in others {
            self.stop_lane(lane, generation, what).await;
        }
        self.source = (!reading.source.is_empty()).then(|| reading.source.clone());
        is_same
    }

    /// Continues within the fence for the lanes that begin there; `above` are the positions above it.
    ///
    /// # Errors
    /// [`BatchError`] should a position not be known.
    pub(super) fn begin_at_fence(&mut self, above: &[(Cursor, Cursor)]) -> Result<(), BatchError> {
        let awaiting = self.groups.iter_mut().filter(|group| group.awaits_fence());
        for group in awaiting {
            group.begin_at_fence(above, Timestamp::now())?;
            for member in group.batches.iter().flat_map(|batch| &batch.members) {
                let named = KnownSource::Named(self.source.clone());
                self.known.insert(member.lane, (member.generation, named));
            }
        }
        Ok(())
    }

    /// Returns the source that a lane was last read from.
    fn source_of(&self, lane: usize, generation: u64) -> Option<SourceIdentity> {
        match self.known.get(&lane) {
            Some((of, KnownSource::Named(mark))) if *of == generation => mark.clone(),
            _ => self.parts.lanes.get(lane)?.position.borrow().source.clone(),
        }
    }

    /// Returns whether an operator accepted that the source holds nothing at a lane's position.
    fn is_accepted(&self, lane: usize, at: Option<&Cursor>) -> bool {
        self.parts.lanes.get(lane).is_some_and(|lane| {
            let position = lane.position.borrow();
            position.is_source_accepted && position.from.as_ref().is_some_and(|from| from.as_ref() == at)
        })
    }

    fn show_beyond(&self, lane: usize, is_beyond: bool) {
        let Some(lane) = self.parts.lanes.get(lane) else {
            return;
        };
        let (feed, recipient) = (&lane.lane.feed, &lane.lane.recipient);
        self.parts.conditions.lane(&lane.lane, |lane| {
            set_code(&mut lane.unverified, "position_beyond", is_beyond);
        });
        self.parts.registry.lane(&lane.lane, |lane| {
            if is_beyond {
                lane.unverified.set(
                    "position_beyond",
                    "an operator accepted the source although its greatest position is below the lane's: new rows up to the \
                     lane's position are not read",
                    format!("send everything again: slacktide feed resync {feed} --recipient {recipient}"),
                );
            } else {
                lane.unverified.clear("position_beyond");
            }
        });
    }

    /// Returns whether the source is another one for this generation of a lane.
    pub(super) fn is_source_replaced(&self, lane: usize, generation: u64) -> bool {
        matches!(self.known.get(&lane), Some((of, KnownSource::Replaced)) if *of == generation)
    }

    /// Stops a lane; rows that were read for it and not sent are dropped.
    async fn stop_lane(&mut self, index: usize, generation: u64, what: String) {
        self.known.insert(index, (generation, KnownSource::Replaced));
        for group in &mut self.groups {
            for batch in &mut group.batches {
                batch.members.retain(|member| member.lane != index);
            }
            group.batches.retain(|batch| !batch.members.is_empty());
        }
        self.groups.retain(|group| !group.batches.is_empty());
        let Some(lane) = self.parts.lanes.get(index) else {
            return;
        };
        let mut position = lane.position.clone();
        tokio::select! {
            _ = lane.outbox.send(LaneMessage::SourceChanged { generation, what }) => {}
            _ = position.wait_for(|position| position.generation != generation) => {}
        }
    }

    fn show_fence(&self, reading: &FenceReading) {
        let name = &self.parts.definition.name;
        let is_stalled = reading.stalled_for > stall_unverified_after(self.parts.definition.lag);
        let is_ahead = matches!(reading.clock, Some(ClockProblem::Ahead { .. }));
        let is_behind = matches!(reading.clock, Some(ClockProblem::Behind { .. }));
        self.parts.conditions.feed(name, |feed| {
            let is_held = reading.holder.is_some() && is_stalled;
            set_code(&mut feed.unverified, "fence_stalled", is_held);
            set_code(&mut feed.unverified, "source_clock_ahead", is_ahead);
            set_code(&mut feed.unverified, "source_clock_behind", is_behind);
        });
        self.parts.registry.feed(name, |feed| {
            feed.fence_stalled_by.clone_from(&reading.holder);
            match &reading.holder {
                Some(holder) if is_stalled => {
                    feed.unverified.set(
                        "fence_stalled",
                        describe_stall(holder),
                        "end the transaction at the source; rows that are committed since it began wait for it",
                    );
                }
                _ => {
                    feed.unverified.clear("fence_stalled");
                }
            }
            match reading.clock {
                Some(ClockProblem::Behind { by }) => {
                    feed.unverified.set(
                        "source_clock_behind",
                        format!(
                            "the source's clock is {} behind earlier readings, so nothing is read until it has caught up",
                            seconds(by)
                        ),
                        "check the time service of the source's host; the rows since then are read again automatically",
                    );
                }
                Some(ClockProblem::Ahead { by }) => {
                    feed.unverified.set(
                        "source_clock_ahead",
                        format!(
                            "the source's clock is {} ahead of the agent's, which bounds what is read",
                            seconds(by)
                        ),
                        "check the time service of both hosts; rows are read when the agent's clock has reached their times",
                    );
                }
                None => {}
            }
            if !is_behind {
                feed.unverified.clear("source_clock_behind");
            }
            if !is_ahead {
                feed.unverified.clear("source_clock_ahead");
            }
        });
    }
}

/// PURE: returns after how long a stalled fence makes the lanes of a feed with this margin unverified.
fn stall_unverified_after(margin: Duration) -> Duration {
    STALL_UNVERIFIED_AFTER.max(margin)
}

fn describe_stall(holder: &FenceHolder) -> String {
    format!(
        "a {} of role {} (application {:?}, since {}) is open, and rows committed since it began cannot be read",
        holder.what, holder.role, holder.application, holder.since
    )
}

fn seconds(span: Duration) -> String {
    format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100)
}

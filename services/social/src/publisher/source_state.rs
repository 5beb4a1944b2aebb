//! Whether the source is the one that the lanes were read from, and whether it tells everything.

use std::time::Duration;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::source::SourceMark;
use source::fence::ClockTrouble;
use source::{FenceReading, Holder, Standing};

use super::Publisher;
use crate::group::Group;
use crate::lane::Handed;
use crate::source_verdict::judge;

/// How long a fence may be held before "caught up" is not claimed any more, where the feed's margin is not longer. A transaction of
/// a business may take some seconds: its holder is shown, and an operator has nothing to do.
const HELD_UNVERIFIED_AFTER: Duration = Duration::from_secs(30);

/// What is known of the source of a lane, for one generation of it.
#[derive(Debug, Clone)]
pub(super) enum KnownSource {
    /// Rows were read from it.
    Named(Option<SourceMark>),
    /// It is another one: nothing is read for the lane.
    Other,
}

impl Publisher {
    /// Where the lanes stand that are read for.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let read_at = |lane: usize| self.parts.lanes.get(lane)?.position.borrow().read_at;
        let mut standings: Vec<Standing> = Vec::new();
        for group in &self.groups {
            let Some(position) = group.standing() else {
                continue;
            };
            let members = group.packs.iter().flat_map(|pack| &pack.members);
            standings.push(Standing {
                position,
                read_at: members.filter_map(|member| read_at(member.lane)).min(),
            });
        }
        standings
    }

    /// Shows what a look told of the source, takes positions back, and stops the lanes for which it is another one.
    /// Returns whether it is the same for all.
    pub(super) async fn judge_source(&mut self, reading: &FenceReading) -> bool {
        self.show_fence(reading);
        let now = Timestamp::now();
        for group in &mut self.groups {
            let at = group.standing();
            let back = reading.again.iter().find(|(from, _)| Some(from) == at.as_ref());
            if let Some((_, to)) = back {
                tracing::warn!(feed = %self.parts.definition.name, "the source's clock went back: rows since then are read again");
                group.go_back(to, now);
            }
        }
        let mut others: Vec<(usize, u64, String)> = Vec::new();
        for group in &self.groups {
            let at = group.standing();
            let is_beyond = at.as_ref().is_some_and(|at| reading.beyond.contains(at));
            for member in group.packs.iter().flat_map(|pack| &pack.members) {
                let before = self.source_of(member.lane, member.generation);
                let is_accepted = self.is_accepted(member.lane, at.as_ref());
                let verdict = judge(before.as_ref(), &reading.source, is_beyond, is_accepted);
                self.show_beyond(member.lane, verdict.shows_beyond);
                if let Some(what) = verdict.stops {
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

    /// The source that a lane was read from last.
    fn source_of(&self, lane: usize, generation: u64) -> Option<SourceMark> {
        match self.known.get(&lane) {
            Some((of, KnownSource::Named(mark))) if *of == generation => mark.clone(),
            _ => self.parts.lanes.get(lane)?.position.borrow().source.clone(),
        }
    }

    /// Whether an operator accepted that the source holds nothing at a lane's place.
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
        self.parts.board.lane(&lane.lane, |lane| {
            if is_beyond {
                lane.unverified.set(
                    "position_beyond",
                    "an operator accepted the source although its greatest position is below the lane's: rows that take \
                     positions up to that are not read",
                    format!("send everything again: slacktide feed resync {feed} --recipient {recipient}"),
                );
            } else {
                lane.unverified.clear("position_beyond");
            }
        });
    }

    /// Whether nothing may be read for this generation of a lane.
    pub(super) fn is_other_source(&self, lane: usize, generation: u64) -> bool {
        matches!(self.known.get(&lane), Some((of, KnownSource::Other)) if *of == generation)
    }

    /// What was read for it and not handed over is dropped.
    async fn stop_lane(&mut self, index: usize, generation: u64, what: String) {
        self.known.insert(index, (generation, KnownSource::Other));
        for group in &mut self.groups {
            for pack in &mut group.packs {
                pack.members.retain(|member| member.lane != index);
            }
            group.packs.retain(|pack| !pack.members.is_empty());
        }
        self.groups.retain(|group| !group.packs.is_empty());
        let Some(lane) = self.parts.lanes.get(index) else {
            return;
        };
        let mut position = lane.position.clone();
        tokio::select! {
            _ = lane.outbox.send(Handed::SourceChanged { generation, what }) => {}
            _ = position.wait_for(|position| position.generation != generation) => {}
        }
    }

    fn show_fence(&self, reading: &FenceReading) {
        let name = &self.parts.definition.name;
        self.parts.board.feed(name, |feed| {
            feed.fence_held_by.clone_from(&reading.held);
            match &reading.held {
                Some(holder) if reading.held_for > held_unverified_after(self.parts.definition.lag) => {
                    feed.unverified.set(
                        "fence_held",
                        held(holder),
                        "end the transaction at the source; rows that are committed since it began wait for it",
                    );
                }
                _ => {
                    feed.unverified.clear("fence_held");
                }
            }
            let (mut is_behind, mut is_ahead) = (false, false);
            match reading.clock {
                Some(ClockTrouble::Behind { by }) => {
                    is_behind = true;
                    feed.unverified.set(
                        "source_clock_behind",
                        format!(
                            "the source's clock is {} below what was read before, so nothing is read until it has passed that",
                            seconds(by)
                        ),
                        "check the time service of the source's host; the rows since then are read again by themselves",
                    );
                }
                Some(ClockTrouble::Ahead { by }) => {
                    is_ahead = true;
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

/// PURE: from when on a held fence makes the lanes of a feed with this margin unverified.
fn held_unverified_after(margin: Duration) -> Duration {
    HELD_UNVERIFIED_AFTER.max(margin)
}

fn held(holder: &Holder) -> String {
    format!(
        "a {} of role {} (application {:?}, since {}) is open, and rows committed since it began cannot be read",
        holder.what, holder.role, holder.application, holder.since
    )
}

fn seconds(span: Duration) -> String {
    format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100)
}

/// A group that goes on from a position before the one that it reached.
impl Group {
    fn go_back(&mut self, to: &Cursor, now: Timestamp) {
        self.begin_quantum(now);
        let packs = self.packs.iter_mut();
        packs.for_each(|pack| pack.chunker.go_back(to.clone()));
    }
}

//! Rebuild: stores the chunks of a stream into another store, as the agent stored them, up to a point.
//!
//! The caller reads the stream and passes its messages in their order. Chunks are opened and stored by the operations that
//! the agent uses, so the ledger, the merge rule, tombstones and the quarantine decide as they did there. A change of
//! columns that an operator approved at the live store is approved again only if that approval is recorded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::str::FromStr;

use exchange::Stored;
use jiff::Timestamp;
use schemas::name::Lane;
use store::merge::ChunkNumber;
use store::table::schema_change::SchemaChange;
use store::{Approval, Arrival, Outcome, PendingChanges};

use crate::direct::{ChunkTrust, OpeningEnded, open_all, store_all};
use crate::open::Opened;
use crate::step::batches;

/// The maximum packed bytes of one transaction, as the poller's.
const MAX_BYTES: usize = 4_000_000;

/// How many changes of columns one transaction may need to have approved.
const MAX_CHANGES: usize = 16;

/// The last message that is stored. The first message beyond it ends the rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildEnd {
    /// The last one of the stream.
    Last,
    /// This sequence of the stream.
    Sequence(u64),
    /// The last one that the exchange stored at or before this time.
    Time(Timestamp),
    /// This chunk of the lane.
    Chunk(ChunkNumber),
}

/// The text names no place where a rebuild can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a sequence (4711), a chunk (EPOCH.NUMBER), or a time (2026-01-31T22:15:00Z)")]
pub struct InvalidEnd;

impl FromStr for RebuildEnd {
    type Err = InvalidEnd;

    fn from_str(text: &str) -> Result<Self, InvalidEnd> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        let chunk = text.split_once('.').and_then(|(epoch, number)| {
            Some(ChunkNumber {
                epoch: epoch.parse().ok().filter(|epoch| *epoch > 0)?,
                number: number.parse().ok()?,
            })
        });
        let end = chunk
            .map(Self::Chunk)
            .or_else(|| text.parse().ok().map(Self::Time));
        end.ok_or(InvalidEnd)
    }
}

impl RebuildEnd {
    /// PURE: returns whether a message is at or before the end.
    #[must_use]
    pub fn covers(self, message: &Stored) -> bool {
        match self {
            Self::Last => true,
            Self::Sequence(last) => message.sequence <= last,
            Self::Time(last) => message.stored_at <= last,
            Self::Chunk(last) => schemas::chunk::read_untrusted(&message.bytes)
                .is_none_or(|(manifest, _)| ChunkNumber::from_manifest(&manifest) <= last),
        }
    }
}

/// A change of columns that the insurer's operator approved, from the insurer's audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedChange {
    /// `RECIPIENT.FEED`.
    pub lane: String,
    /// The descriptions of the changes, joined with `; `.
    pub changes: String,
    /// Who approved it, and why.
    pub approval: Approval,
}

/// A lane of the rebuilt store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltLane {
    /// The lane.
    pub lane: Lane,
    /// Chunks that were read.
    pub chunks: u64,
    /// Of these, chunks that were stored by this run.
    pub stored: u64,
    /// Of these, chunks that belong to the lost end of an epoch.
    pub superseded: u64,
    /// Rows of the stored chunks.
    pub rows: u64,
    /// Of these, rows that constraints refused.
    pub quarantined: u64,
    /// Messages that could not be opened. They are in quarantine, as at the live store.
    pub unreadable: u64,
    /// Chunks that are encrypted to a key that is missing here.
    pub encrypted: u64,
    /// The first reason why chunks were not stored, with the sequence of the first one, and how many there are.
    pub left: Option<Left>,
    /// Approved changes of columns that were made.
    pub changes: Vec<String>,
    /// The first chunk that was read.
    pub first: Option<ChunkNumber>,
    /// The greatest number of a chunk that was read.
    pub last: Option<ChunkNumber>,
    /// The last chunk up to which everything is stored without a gap.
    pub frontier: Option<ChunkNumber>,
    /// Stored chunks above the frontier: an earlier one is missing.
    pub pending: u64,
}

/// Chunks that were not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The sequence of the first one.
    pub sequence: u64,
    /// Why.
    pub reason: String,
    /// How many.
    pub chunks: u64,
}

impl RebuiltLane {
    fn new(lane: &Lane) -> Self {
        Self {
            lane: lane.clone(),
            chunks: 0,
            stored: 0,
            superseded: 0,
            rows: 0,
            quarantined: 0,
            unreadable: 0,
            encrypted: 0,
            left: None,
            changes: Vec::new(),
            first: None,
            last: None,
            frontier: None,
            pending: 0,
        }
    }

    fn leave(&mut self, sequence: u64, reason: String) {
        let left = self.left.get_or_insert(Left {
            sequence,
            reason,
            chunks: 0,
        });
        left.chunks += 1;
    }

    /// Returns whether every chunk that was read is in the store.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left.is_none() && self.pending == 0
    }
}

/// Why a rebuild ended early. What was stored stays, and a repetition continues.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RebuildError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The process ends.
    #[error(transparent)]
    Opening(#[from] OpeningEnded),
}

/// A rebuild in progress.
pub struct Rebuild<'a> {
    store: &'a dyn PendingChanges,
    trust: ChunkTrust,
    approved: &'a [ApprovedChange],
    end: RebuildEnd,
    lanes: BTreeMap<Lane, RebuiltLane>,
}

impl<'a> Rebuild<'a> {
    /// Begins a rebuild into a prepared store.
    #[must_use]
    pub fn new(
        store: &'a dyn PendingChanges,
        trust: ChunkTrust,
        approved: &'a [ApprovedChange],
        end: RebuildEnd,
    ) -> Self {
        Self {
            store,
            trust,
            approved,
            end,
            lanes: BTreeMap::new(),
        }
    }

    /// Stores the next messages of the stream. Breaks at the first message beyond the end.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn push(&mut self, mut messages: Vec<Stored>) -> Result<ControlFlow<()>, RebuildError> {
        let covered = messages.iter().take_while(|message| self.end.covers(message));
        let covered = covered.count();
        let is_past_end = covered < messages.len();
        messages.truncate(covered);
        let mut chunks: Vec<(Lane, Arrival)> = Vec::new();
        let sequences: Vec<u64> = messages.iter().map(|message| message.sequence).collect();
        for (sequence, opened) in sequences.into_iter().zip(open_all(messages, &self.trust).await?) {
            self.take(sequence, opened, &mut chunks).await?;
        }
        let sizes: Vec<(Lane, usize)> = chunks
            .iter()
            .map(|(lane, arrival)| (lane.clone(), arrival.chunk.plain.len()))
            .collect();
        let mut slots: Vec<Option<Arrival>> = chunks.into_iter().map(|(_, arrival)| Some(arrival)).collect();
        for batch in batches(&sizes, MAX_BYTES) {
            let take = |at: usize| slots.get_mut(at).and_then(Option::take);
            let arrivals: Vec<Arrival> = batch.members.into_iter().filter_map(take).collect();
            self.store(&batch.lane, &arrivals).await?;
        }
        Ok(if is_past_end {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }

    async fn take(
        &mut self,
        sequence: u64,
        opened: Opened,
        chunks: &mut Vec<(Lane, Arrival)>,
    ) -> Result<(), RebuildError> {
        match opened {
            Opened::Chunk(lane, arrival) => {
                let entry = self.lane(&lane);
                entry.chunks += 1;
                entry.first.get_or_insert(ChunkNumber::of(&arrival));
                entry.last = entry.last.max(Some(ChunkNumber::of(&arrival)));
                chunks.push((lane, *arrival));
            }
            Opened::Unreadable(message) => {
                let entry = self.lane(&message.lane);
                entry.chunks += 1;
                entry.unreadable += 1;
                self.store.quarantine(&message).await?;
            }
            Opened::Closed(lane, why) => {
                let entry = self.lane(&lane);
                entry.chunks += 1;
                entry.encrypted += 1;
                entry.leave(sequence, why);
            }
            // The live store does not keep it either.
            Opened::Foreign(_) => {}
        }
        Ok(())
    }

    fn lane(&mut self, lane: &Lane) -> &mut RebuiltLane {
        self.lanes
            .entry(lane.clone())
            .or_insert_with(|| RebuiltLane::new(lane))
    }

    async fn store(&mut self, lane: &Lane, arrivals: &[Arrival]) -> Result<(), RebuildError> {
        let mut outcomes = store_all(self.store, lane, arrivals).await?;
        let is_stopped = |outcome: &Outcome| matches!(outcome, Outcome::Stopped { .. });
        let mut changes = 0;
        while outcomes.iter().any(is_stopped) && changes < MAX_CHANGES && self.approve(lane).await? {
            changes += 1;
            for (outcome, again) in outcomes
                .iter_mut()
                .zip(store_all(self.store, lane, arrivals).await?)
            {
                if is_stopped(outcome) {
                    *outcome = again;
                }
            }
        }
        let entry = self.lane(lane);
        for (arrival, outcome) in arrivals.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { rows, quarantined } => {
                    entry.stored += 1;
                    entry.rows += rows;
                    entry.quarantined += quarantined;
                }
                Outcome::AlreadyStored => {}
                Outcome::Superseded => entry.superseded += 1,
                Outcome::Stopped { reason } | Outcome::Deferred { reason } => {
                    entry.leave(arrival.sequence, reason);
                }
            }
        }
        Ok(())
    }

    /// Approves the lane's pending change if its approval is recorded.
    async fn approve(&mut self, lane: &Lane) -> Result<bool, RebuildError> {
        let pending = self.store.pending_changes().await?;
        let Some((_, pending)) = pending.into_iter().find(|(waiting, _)| waiting == lane) else {
            return Ok(false);
        };
        let changes: Vec<String> = pending.changes.iter().map(SchemaChange::describe).collect();
        let (name, changes) = (lane.to_string(), changes.join("; "));
        let mut approved = self.approved.iter();
        let Some(recorded) = approved.find(|change| change.lane == name && change.changes == changes) else {
            return Ok(false);
        };
        self.store.accept(lane, &recorded.approval).await?;
        self.lane(lane).changes.push(changes);
        Ok(true)
    }

    /// Advances the frontiers and returns the lanes of the store, also those of which nothing was read.
    ///
    /// # Errors
    /// [`RebuildError::Store`].
    pub async fn finish(mut self) -> Result<Vec<RebuiltLane>, RebuildError> {
        for report in self.store.reports().await? {
            let entry = self.lane(&report.lane);
            entry.frontier = Some(report.chunk_number());
            entry.pending = report.pending;
        }
        Ok(self.lanes.into_values().collect())
    }
}

#[cfg(test)]
mod tests;

//! PURE: decides which lanes of a feed share a read, and which of them share packed rows.
//!
//! Recipients at equal cursors share one read of the core. A lagging recipient is read for separately until it has caught up:
//! all groups of a round read within the same fence, so its last round ends where the others are, and they join. The order of
//! cursors is the database's, so cursors are only compared for equality. Lanes that withhold different rows never share. Lanes
//! that see different bytes of the same rows share the read, each with its own batch.

use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::Reject;
use schemas::value::Value;
use source::fence::Fence;
use source::{End, RowSink};

use crate::chunker::Chunker;
use crate::row_batcher::BatchError;

/// A lane in a group: its index in the feed, and the generation that is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index of the lane.
    pub lane: usize,
    /// Its generation when it joined.
    pub generation: u64,
}

/// Lanes that see the same bytes, and the block that is being filled for them.
#[derive(Debug)]
pub struct Batch {
    /// The lanes.
    pub members: Vec<Member>,
    /// Takes their rows.
    pub chunker: Chunker,
    /// The digest of the feed's definition, as it is for them.
    pub definition: Digest,
    /// The load that the open block's rows were read under.
    pub load: Load,
}

/// Lanes at equal cursors, which share a read.
#[derive(Debug)]
pub struct Group {
    /// At least one batch; all are at the same position.
    pub batches: Vec<Batch>,
    /// The row limit of the next quantum.
    pub limit: usize,
    /// Whether everything within the round's fence was read.
    pub drained: bool,
    /// The rejects of rows without a position in the order that were sent to its lanes.
    pub unordered: Vec<Reject>,
    /// The phase of a resynchronisation, if one is under way.
    pub resync: Option<ResyncPhase>,
}

/// The phase of a resynchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResyncPhase {
    /// The lane continues at the next fence: the receiver compares the rows before it.
    ToFence,
    /// The feed is read again from its start, within the fence.
    WithinFence,
    /// Everything within the fence was read, and rows beyond it follow, so that every row of the feed is sent.
    BeyondFence,
}

impl ResyncPhase {
    /// Returns the first phase of a lane.
    #[must_use]
    pub fn first(is_resync: bool, begins_at_fence: bool) -> Option<Self> {
        match (is_resync, begins_at_fence) {
            (true, _) => Some(Self::WithinFence),
            (false, true) => Some(Self::ToFence),
            (false, false) => None,
        }
    }
}

impl Group {
    /// Returns whether a lane is in the group.
    #[must_use]
    pub fn has(&self, lane: usize) -> bool {
        let mut members = self.batches.iter().flat_map(|batch| &batch.members);
        members.any(|member| member.lane == lane)
    }

    /// Returns where the next quantum continues.
    ///
    /// # Errors
    /// [`BatchError`] if the position is not known.
    pub fn position(&self) -> Result<Option<Cursor>, BatchError> {
        match self.batches.first() {
            Some(batch) => batch.chunker.rows.position(),
            None => Ok(None),
        }
    }

    /// Returns the lanes' position that the source may check. `None` beyond the fence, where every position may be ahead of the
    /// source's clock or sequence.
    #[must_use]
    pub fn source_position(&self) -> Option<Cursor> {
        if self.resync == Some(ResyncPhase::BeyondFence) {
            return None;
        }
        self.position().ok().flatten()
    }

    /// Returns how far the next quantum may read: within the fence, or to the end in the phase beyond it. `None` while there is no
    /// fence.
    #[must_use]
    pub fn bound<'a>(&self, fence: Option<&'a Fence>) -> Option<&'a Fence> {
        match self.resync {
            Some(ResyncPhase::BeyondFence) => Some(&Fence::Open),
            _ => fence,
        }
    }

    /// Handles a missing fence. If the source is empty, everything was read.
    ///
    /// # Errors
    /// [`BatchError`] should a position not be known.
    pub fn await_fence(&mut self, is_empty: bool) -> Result<(), BatchError> {
        match self.resync {
            Some(ResyncPhase::BeyondFence) => Ok(()),
            Some(ResyncPhase::WithinFence) if is_empty => self.advance_resync(),
            Some(ResyncPhase::WithinFence | ResyncPhase::ToFence) | None => {
                self.drained = true;
                Ok(())
            }
        }
    }

    /// Returns when the first row of the oldest open block was read.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.batches
            .iter()
            .filter_map(|batch| batch.chunker.rows.open_since())
            .min()
    }

    /// Begins a quantum.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        self.batches
            .iter_mut()
            .for_each(|batch| batch.chunker.rows.begin_quantum(at));
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.batches
            .iter()
            .map(|batch| batch.chunker.rows.packed_bytes())
            .sum()
    }

    /// Merges the load of a quantum.
    pub fn merge(&mut self, load: &Load) {
        let batches = self.batches.iter_mut();
        batches.for_each(|batch| gate::journal::merge(&mut batch.load, load.clone()));
    }

    /// Sends the rejects of rows without a position in the order, each once while it persists. The cursor does not move. Lanes
    /// that continue after a restart receive them again.
    pub fn reject_unordered(&mut self, unordered: &[Reject]) {
        if self.unordered == unordered {
            return;
        }
        for reject in unordered.iter().filter(|reject| !self.unordered.contains(reject)) {
            let batches = self.batches.iter_mut();
            batches.for_each(|batch| batch.chunker.reject_unordered(reject.clone()));
        }
        self.unordered = unordered.to_vec();
    }

    /// Closes the open blocks.
    pub fn close(&mut self) {
        self.batches
            .iter_mut()
            .for_each(|batch| batch.chunker.rows.close());
    }

    /// Handles the end of a quantum.
    ///
    /// # Errors
    /// [`BatchError`] should a position not be known.
    pub fn end_quantum(&mut self, end: End) -> Result<(), BatchError> {
        self.drained = end == End::Drained;
        match end {
            End::Drained => self.advance_resync(),
            End::Revoked => {
                self.interrupt_resync();
                Ok(())
            }
            End::Limit => Ok(()),
        }
    }

    /// Handles a drained quantum: the rows beyond the fence are next, or the resynchronisation is complete.
    ///
    /// # Errors
    /// [`BatchError`] should a position not be known.
    pub fn advance_resync(&mut self) -> Result<(), BatchError> {
        match self.resync {
            Some(ResyncPhase::WithinFence) => {
                for batch in &mut self.batches {
                    batch.chunker.rows.pin()?;
                }
                (self.resync, self.drained) = (Some(ResyncPhase::BeyondFence), false);
            }
            Some(ResyncPhase::BeyondFence) => {
                self.batches
                    .iter_mut()
                    .for_each(|batch| batch.chunker.rows.complete_resync());
                self.resync = None;
            }
            Some(ResyncPhase::ToFence) | None => {}
        }
        Ok(())
    }

    /// Returns whether the lane begins at a fence that is not known yet.
    #[must_use]
    pub fn awaits_fence(&self) -> bool {
        self.resync == Some(ResyncPhase::ToFence)
    }

    /// Continues within a fence, if the lane begins there. `above` are the positions above it, each with one within it. A block
    /// without rows states the position, also an unchanged one: what the receiver compares after that block includes every row
    /// before the position.
    ///
    /// # Errors
    /// [`BatchError`] should a position not be known.
    pub fn begin_at_fence(&mut self, above: &[(Cursor, Cursor)], now: Timestamp) -> Result<(), BatchError> {
        if let Some(position) = self.position()? {
            let lower = above.iter().find(|(from, _)| *from == position);
            let to = lower.map_or(&position, |(_, to)| to).clone();
            self.go_back(&to, now);
        }
        self.resync = None;
        Ok(())
    }

    /// Continues from an earlier position.
    pub fn go_back(&mut self, to: &Cursor, now: Timestamp) {
        self.begin_quantum(now);
        let batches = self.batches.iter_mut();
        batches.for_each(|batch| batch.chunker.rows.go_back(to.clone()));
    }

    /// Returns to the phase within the fence, because reading beyond it was interrupted.
    pub fn interrupt_resync(&mut self) {
        if self.resync == Some(ResyncPhase::BeyondFence) {
            self.batches
                .iter_mut()
                .for_each(|batch| batch.chunker.rows.unpin());
            self.resync = Some(ResyncPhase::WithinFence);
        }
    }

    /// Continues with other columns from the current position. Removes batches that do not match them, and returns the errors.
    /// Close open blocks first: they keep the old columns. Rows beyond the fence are read again, after those within it.
    pub fn reshape(&mut self, schema: &RowSchema, cursor: &[String], money: &[String]) -> Vec<BatchError> {
        self.interrupt_resync();
        let mut errors = Vec::new();
        for mut batch in std::mem::take(&mut self.batches) {
            match batch.chunker.with_schema(schema, cursor, money) {
                Ok(chunker) => {
                    batch.chunker = chunker;
                    self.batches.push(batch);
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Returns the error of a row that reading cannot pass, if there was one.
    pub fn take_fault(&mut self) -> Option<BatchError> {
        let faults: Vec<_> = self
            .batches
            .iter_mut()
            .filter_map(|batch| batch.chunker.rows.take_fault())
            .collect();
        faults.into_iter().next()
    }

    /// Splits the group by batch if positions differ, because one batch failed at a row that another passed.
    fn split_apart(self) -> Result<Vec<Self>, BatchError> {
        let position = self.position()?;
        for batch in &self.batches {
            if batch.chunker.rows.position()? != position {
                let (limit, drained, resync) = (self.limit, self.drained, self.resync);
                let unordered = self.unordered;
                let alone = |batch| Self {
                    batches: vec![batch],
                    limit,
                    drained,
                    resync,
                    unordered: unordered.clone(),
                };
                return Ok(self.batches.into_iter().map(alone).collect());
            }
        }
        Ok(vec![self])
    }

    fn withholds_same_rows(&self, other: &Self) -> bool {
        let withhold = |group: &Self| {
            group
                .batches
                .first()
                .map(|batch| batch.chunker.withhold().cloned())
        };
        withhold(self) == withhold(other)
    }

    fn absorb(&mut self, other: Self) {
        for batch in other.batches {
            let same = |own: &&mut Batch| {
                own.definition == batch.definition && own.chunker.masks() == batch.chunker.masks()
            };
            match self.batches.iter_mut().find(same) {
                Some(own) => own.members.extend(batch.members),
                None => self.batches.push(batch),
            }
        }
        self.drained &= other.drained;
        // A reject that one of them was not sent is sent to both: a duplicate is harmless.
        self.unordered.retain(|reject| other.unordered.contains(reject));
    }
}

/// Each row goes to every batch or to none.
impl RowSink for Group {
    fn row(&mut self, row: &[Value<'_>]) {
        if !self.batches.iter().any(|batch| batch.chunker.rows.has_fault()) {
            self.batches.iter_mut().for_each(|batch| batch.chunker.row(row));
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        if !self.batches.iter().any(|batch| batch.chunker.rows.has_fault()) {
            let batches = self.batches.iter_mut();
            batches.for_each(|batch| batch.chunker.reject(cursor.clone(), reject.clone()));
        }
    }
}

/// Removes members of outdated generations, and groups without members.
pub fn prune(groups: &mut Vec<Group>, current: impl Fn(usize) -> Option<u64>) {
    for group in groups.iter_mut() {
        for batch in &mut group.batches {
            let members = &mut batch.members;
            members.retain(|member| current(member.lane) == Some(member.generation));
        }
        group.batches.retain(|batch| !batch.members.is_empty());
    }
    groups.retain(|group| !group.batches.is_empty());
}

/// Joins groups at the same position that have no open block.
///
/// # Errors
/// [`BatchError`] if a group's position is not known.
pub fn join(groups: Vec<Group>) -> Result<Vec<Group>, BatchError> {
    let mut joined: Vec<(Option<Option<Cursor>>, Group)> = Vec::with_capacity(groups.len());
    for group in groups {
        for group in group.split_apart()? {
            let position = match group.open_since() {
                // A lane in a resynchronisation is read for separately.
                None if group.resync.is_none() => Some(group.position()?),
                _ => None,
            };
            let can_join = |(other, there): &&mut (Option<Option<Cursor>>, Group)| {
                position.is_some() && *other == position && there.withholds_same_rows(&group)
            };
            match joined.iter_mut().find(can_join) {
                Some((_, other)) => other.absorb(group),
                None => joined.push((position, group)),
            }
        }
    }
    Ok(joined.into_iter().map(|(_, group)| group).collect())
}

#[cfg(test)]
mod tests;

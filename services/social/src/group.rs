//! PURE: which lanes of a feed share a read, and which of them share what is packed.
//!
//! Recipients at equal cursors share one read of the core. One that lags is read for alone
//! until it has caught up; as all groups read within the same fence in a round, the last round
//! of the one that lagged ends where the others stand, and they go on together. The order of
//! cursors is the database's, so only equality is ever asked. Lanes for which other rows are kept
//! back never share. Those that see other bytes of the same rows share the read, and each has a pack of its own.

use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::Reject;
use schemas::value::Value;
use source::fence::Fence;
use source::{End, RowSink};

use crate::chunker::{Chunker, ChunkerError};

/// A lane's part in a group: its index in the feed, and the generation it was read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index of the lane.
    pub lane: usize,
    /// Its generation when it joined.
    pub generation: u64,
}

/// Lanes that see the same bytes, and the block that is being filled for them.
#[derive(Debug)]
pub struct Pack {
    /// The lanes.
    pub members: Vec<Member>,
    /// Takes their rows.
    pub chunker: Chunker,
    /// The digest of the feed's definition, as it is for them.
    pub definition: Digest,
    /// The load that the open block's rows were read under.
    pub load: Load,
}

/// Lanes at equal cursors, which are read for together.
#[derive(Debug)]
pub struct Group {
    /// At least one; all of them stand at the same place.
    pub packs: Vec<Pack>,
    /// Rows of the next quantum at most.
    pub limit: usize,
    /// Nothing more within the round's fence.
    pub drained: bool,
    /// Notes of rows without a place in the order that its lanes were sent.
    pub unplaced: Vec<Reject>,
    /// How far a resynchronisation has come; `None` while there is none.
    pub resync: Option<Phase>,
}

/// How far a resynchronisation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The feed is read again from its start, within the fence.
    Within,
    /// Everything within the fence was read. What lies beyond it follows, so that every row of the feed has come.
    Beyond,
}

impl Group {
    /// Whether a lane is in it.
    #[must_use]
    pub fn has(&self, lane: usize) -> bool {
        let mut members = self.packs.iter().flat_map(|pack| &pack.members);
        members.any(|member| member.lane == lane)
    }

    /// Where the next quantum goes on.
    ///
    /// # Errors
    /// [`ChunkerError`] when it cannot be told.
    pub fn position(&self) -> Result<Option<Cursor>, ChunkerError> {
        match self.packs.first() {
            Some(pack) => pack.chunker.position(),
            None => Ok(None),
        }
    }

    /// Where its lanes stand, as far as the source can be asked about it: beyond the fence every position may be ahead of the
    /// source's clock or sequence, and the lanes do not stand there.
    #[must_use]
    pub fn standing(&self) -> Option<Cursor> {
        if self.resync == Some(Phase::Beyond) {
            return None;
        }
        self.position().ok().flatten()
    }

    /// How far the next quantum may read: within the fence, or to the end while rows beyond it are brought. `None` while there
    /// is no fence to read within.
    #[must_use]
    pub fn bound<'a>(&self, fence: Option<&'a Fence>) -> Option<&'a Fence> {
        match self.resync {
            Some(Phase::Beyond) => Some(&Fence::Open),
            _ => fence,
        }
    }

    /// Takes note that there is no fence to read within. Where that is because the source is empty, everything within it was
    /// read.
    ///
    /// # Errors
    /// [`ChunkerError`] should a position not be known.
    pub fn await_fence(&mut self, is_empty: bool) -> Result<(), ChunkerError> {
        match self.resync {
            Some(Phase::Beyond) => Ok(()),
            Some(Phase::Within) if is_empty => self.advance_resync(),
            Some(Phase::Within) | None => {
                self.drained = true;
                Ok(())
            }
        }
    }

    /// When the oldest open block's first row was read; none while none is open.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.packs
            .iter()
            .filter_map(|pack| pack.chunker.open_since())
            .min()
    }

    /// A quantum begins.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        self.packs
            .iter_mut()
            .for_each(|pack| pack.chunker.begin_quantum(at));
    }

    /// Packed bytes since the quantum began.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.packs.iter().map(|pack| pack.chunker.packed()).sum()
    }

    /// Notes the load that a quantum was read under.
    pub fn merge(&mut self, load: &Load) {
        let packs = self.packs.iter_mut();
        packs.for_each(|pack| gate::journal::merge(&mut pack.load, load.clone()));
    }

    /// Sends the notes of rows without a place in the order, each once for as long as the row stands so. The position stays
    /// where it is. Lanes that read on after a restart are sent them again.
    pub fn reject_unplaced(&mut self, unplaced: &[Reject]) {
        if self.unplaced == unplaced {
            return;
        }
        for reject in unplaced.iter().filter(|reject| !self.unplaced.contains(reject)) {
            let packs = self.packs.iter_mut();
            packs.for_each(|pack| pack.chunker.reject_unplaced(reject.clone()));
        }
        self.unplaced = unplaced.to_vec();
    }

    /// Closes the open blocks.
    pub fn close(&mut self) {
        self.packs.iter_mut().for_each(|pack| pack.chunker.close());
    }

    /// Takes note of how a quantum ended.
    ///
    /// # Errors
    /// [`ChunkerError`] should a position not be known.
    pub fn end_quantum(&mut self, end: End) -> Result<(), ChunkerError> {
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

    /// Takes note of a quantum that ended where nothing more is: either the rows beyond the fence are next, or the
    /// resynchronisation is complete.
    ///
    /// # Errors
    /// [`ChunkerError`] should a position not be known.
    pub fn advance_resync(&mut self) -> Result<(), ChunkerError> {
        match self.resync {
            Some(Phase::Within) => {
                for pack in &mut self.packs {
                    pack.chunker.pin()?;
                }
                (self.resync, self.drained) = (Some(Phase::Beyond), false);
            }
            Some(Phase::Beyond) => {
                self.packs
                    .iter_mut()
                    .for_each(|pack| pack.chunker.complete_resync());
                self.resync = None;
            }
            None => {}
        }
        Ok(())
    }

    /// Reading beyond the fence was interrupted: it begins again within the fence.
    pub fn interrupt_resync(&mut self) {
        if self.resync == Some(Phase::Beyond) {
            self.packs.iter_mut().for_each(|pack| pack.chunker.unpin());
            self.resync = Some(Phase::Within);
        }
    }

    /// Goes on under other columns from where it stands, and leaves out packs that do not go with them: why, for each. What
    /// is open stays with the old columns, so close it before. Rows beyond the fence are read again, within the fence first.
    pub fn reshape(&mut self, schema: &RowSchema, cursor: &[String], money: &[String]) -> Vec<ChunkerError> {
        self.interrupt_resync();
        let mut errors = Vec::new();
        for mut pack in std::mem::take(&mut self.packs) {
            match pack.chunker.reshaped(schema, cursor, money) {
                Ok(chunker) => {
                    pack.chunker = chunker;
                    self.packs.push(pack);
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// The row that nothing can be read behind, if one came.
    pub fn take_fault(&mut self) -> Option<ChunkerError> {
        let faults: Vec<_> = self
            .packs
            .iter_mut()
            .filter_map(|pack| pack.chunker.take_fault())
            .collect();
        faults.into_iter().next()
    }

    /// By pack, where they do not stand at one place any more: one met a row that another could pass.
    fn parted(self) -> Result<Vec<Self>, ChunkerError> {
        let at = self.position()?;
        for pack in &self.packs {
            if pack.chunker.position()? != at {
                let (limit, drained, resync) = (self.limit, self.drained, self.resync);
                let unplaced = self.unplaced;
                let alone = |pack| Self {
                    packs: vec![pack],
                    limit,
                    drained,
                    resync,
                    unplaced: unplaced.clone(),
                };
                return Ok(self.packs.into_iter().map(alone).collect());
            }
        }
        Ok(vec![self])
    }

    fn keeps_back_as(&self, other: &Self) -> bool {
        let of = |group: &Self| group.packs.first().map(|pack| pack.chunker.withhold().cloned());
        of(self) == of(other)
    }

    fn take_in(&mut self, other: Self) {
        for pack in other.packs {
            let same = |own: &&mut Pack| {
                own.definition == pack.definition && own.chunker.masks() == pack.chunker.masks()
            };
            match self.packs.iter_mut().find(same) {
                Some(own) => own.members.extend(pack.members),
                None => self.packs.push(pack),
            }
        }
        self.drained &= other.drained;
        // What one of them was not sent is sent to both: a note that comes twice harms nobody.
        self.unplaced.retain(|reject| other.unplaced.contains(reject));
    }
}

/// Each row goes to every pack, or to none.
impl RowSink for Group {
    fn row(&mut self, row: &[Value<'_>]) {
        if !self.packs.iter().any(|pack| pack.chunker.has_fault()) {
            self.packs.iter_mut().for_each(|pack| pack.chunker.row(row));
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        if !self.packs.iter().any(|pack| pack.chunker.has_fault()) {
            let packs = self.packs.iter_mut();
            packs.for_each(|pack| pack.chunker.reject(cursor.clone(), reject.clone()));
        }
    }
}

/// Drops members whose generation is over, and groups without members.
pub fn prune(groups: &mut Vec<Group>, current: impl Fn(usize) -> Option<u64>) {
    for group in groups.iter_mut() {
        for pack in &mut group.packs {
            let members = &mut pack.members;
            members.retain(|member| current(member.lane) == Some(member.generation));
        }
        group.packs.retain(|pack| !pack.members.is_empty());
    }
    groups.retain(|group| !group.packs.is_empty());
}

/// Joins groups that stand at the same place with nothing open.
///
/// # Errors
/// [`ChunkerError`] when a group's position cannot be told.
pub fn join(groups: Vec<Group>) -> Result<Vec<Group>, ChunkerError> {
    let mut joined: Vec<(Option<Option<Cursor>>, Group)> = Vec::with_capacity(groups.len());
    for group in groups {
        for group in group.parted()? {
            let at = match group.open_since() {
                // Whoever is sent everything again is read for alone until then.
                None if group.resync.is_none() => Some(group.position()?),
                _ => None,
            };
            let fits = |(other, there): &&mut (Option<Option<Cursor>>, Group)| {
                at.is_some() && *other == at && there.keeps_back_as(&group)
            };
            match joined.iter_mut().find(fits) {
                Some((_, other)) => other.take_in(group),
                None => joined.push((at, group)),
            }
        }
    }
    Ok(joined.into_iter().map(|(_, group)| group).collect())
}

#[cfg(test)]
mod tests;

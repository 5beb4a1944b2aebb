//! The receiver after a loss: chunks that are stored again, the row count, the end of a resynchronisation.

use store::frontier::FrontierEntry;
use store::ledger::{EntryState, SupersededRange};
use store::merge::ChunkNumber;
use store::quarantine::decide::counts;
use store::refill::{Difference, RowCount, Rows};
use store::resync::{Removal, removal, removal_again};

use super::super::exchange::{Chunk, Evidence};
use super::super::poller::lane;
use super::{Store, chunk_number};
use harness::rng::Rng;

impl Store {
    /// Restores a backup. What the oracle recorded stays.
    pub(in super::super) fn restore(&mut self, copy: &Self) {
        let (violation, faults_ended) = (self.violation.take(), self.faults_ended);
        *self = copy.clone();
        self.violation = violation.or(self.violation.take());
        self.faults_ended |= faults_ended;
    }

    /// Deletes rows of the table, as others do.
    pub(in super::super) fn truncate(&mut self, rng: &mut Rng) {
        self.rows.retain(|_, _| rng.percent(40));
    }

    /// Restores only the table from a copy, as others do.
    pub(in super::super) fn restore_table(&mut self, copy: &Self) {
        self.rows.clone_from(&copy.rows);
    }

    /// Marks stored chunks as awaited; the frontier moves back to before the first of them.
    pub(in super::super) fn mark_awaited(&mut self, from: ChunkNumber, to: ChunkNumber) {
        if !self.env.awaits_refill || from > to {
            return;
        }
        let mut awaited = 0;
        for (_, noted) in self.ledger.range_mut(from..=to) {
            if noted.state == EntryState::Stored {
                noted.state = EntryState::Awaited;
                awaited += 1;
            }
        }
        if awaited > 0 {
            self.frontier = self.frontier.restart(&self.state);
            self.advance();
            self.recount();
        }
    }

    /// Demotes superseded rows and awaits the chunks that were republished below them.
    pub(super) fn await_republished(&mut self, superseded: &[SupersededRange]) {
        let is_superseded =
            |chunk_number: ChunkNumber| superseded.iter().any(|range| range.contains(chunk_number));
        let has_rows = |noted: &&FrontierEntry| noted.rows > 0 && noted.state != EntryState::Superseded;
        let at = |chunk_number: ChunkNumber| self.exchanged.get(&chunk_number).copied();
        let stored = |noted: &&FrontierEntry| has_rows(noted) && noted.state != EntryState::Quarantined;
        let lost = self
            .ledger
            .values()
            .filter(stored)
            .filter(|noted| is_superseded(noted.chunk_number));
        let Some(since) = lost.filter_map(|noted| at(noted.chunk_number)).min() else {
            return;
        };
        let epoch = self.state.epoch;
        let counts =
            |chunk_number: ChunkNumber| chunk_number.epoch < epoch && counts(&self.state, chunk_number);
        let is_republished = |noted: &&FrontierEntry| {
            (has_rows(noted) || noted.state == EntryState::Quarantined)
                && counts(noted.chunk_number)
                && at(noted.chunk_number).is_some_and(|at| at > since)
        };
        let republished = self.ledger.values().filter(is_republished);
        let republished: Vec<ChunkNumber> = republished.map(|noted| noted.chunk_number).collect();
        if republished.is_empty() {
            return;
        }
        for (chunk_number, ..) in self
            .rows
            .values_mut()
            .filter(|(chunk_number, ..)| is_superseded(*chunk_number))
        {
            *chunk_number = ChunkNumber { epoch: 0, number: 0 };
        }
        self.tombstones
            .retain(|_, chunk_number| !is_superseded(*chunk_number));
        let mut is_awaited = false;
        for chunk_number in republished {
            if let Some(noted) = self.ledger.get_mut(&chunk_number)
                && noted.state == EntryState::Stored
            {
                noted.state = EntryState::Awaited;
                is_awaited = true;
            }
        }
        if is_awaited {
            self.restarts_counting = true;
            self.frontier = self.frontier.restart(&self.state);
            self.advance();
            self.recount();
        }
    }

    pub(in super::super) fn awaited(&self) -> Vec<ChunkNumber> {
        let noted = self
            .ledger
            .values()
            .filter(|noted| noted.state == EntryState::Awaited);
        let chunk_numbers = noted.map(|noted| noted.chunk_number);
        chunk_numbers.filter(|at| counts(&self.state, *at)).collect()
    }

    /// Marks an awaited chunk as stored: it cannot be stored again.
    pub(in super::super) fn mark_stored(&mut self, at: ChunkNumber) {
        if let Some(noted) = self.ledger.get_mut(&at)
            && noted.state == EntryState::Awaited
        {
            noted.state = EntryState::Stored;
        }
        self.begin_count();
    }

    /// Restarts the row count, if required and no chunk is awaited.
    pub(super) fn begin_count(&mut self) {
        if self.restarts_counting && self.awaited().is_empty() {
            self.restarts_counting = false;
            self.accept_row_count();
        }
    }

    /// Accepts the existing rows as the stored ones.
    pub(in super::super) fn accept_row_count(&mut self) {
        self.base = self.rows.len() as i64 - self.net_rows;
    }

    /// Returns how the table differs from what was stored.
    pub(in super::super) fn difference(&self) -> Option<Difference> {
        if self.restarts_counting {
            return None;
        }
        let counted = RowCount {
            lane: lane(),
            table: "f".to_owned(),
            is_shared: false,
            rows: Rows::Counted {
                stored: u64::try_from(self.base + self.net_rows).unwrap_or(0),
                found: self.rows.len() as u64,
            },
        };
        counted.difference().filter(|_| self.env.counts_rows)
    }

    /// Counts what a transaction added to the table.
    pub(super) fn count_since(&mut self, before: usize) {
        self.net_rows += self.rows.len() as i64 - before as i64;
    }

    /// Returns whether a chunk is stored again. Its rows in the history are removed first: they were altered or lost.
    pub(super) fn begin_restoring(&mut self, chunk: &Chunk) -> bool {
        let at = chunk_number(chunk);
        let is_again = self
            .ledger
            .get(&at)
            .is_some_and(|noted| noted.state == EntryState::Awaited);
        if is_again {
            self.history.retain(|(chunk_number, _), _| *chunk_number != at);
            self.end_rows(chunk);
        }
        is_again
    }

    /// Ends a resynchronisation, if the chunk is its last one.
    pub(super) fn end_resync(&mut self, chunk: &Chunk, is_again: bool, refused: u64) {
        let at = chunk_number(chunk);
        let removal = if is_again {
            removal_again(chunk.resync, &self.frontier)
        } else {
            removal(chunk.resync, at, &self.frontier)
        };
        match (
            removal.after_rows(refused),
            self.env.keeps_uncertain_rows,
            self.env.tail_waits,
        ) {
            (Removal::None | Removal::Repairs(_) | Removal::AwaitsComparison, ..) => {}
            (Removal::Removes, ..) | (Removal::Kept, false, _) | (Removal::Waits, _, false) => {
                let removed = self.remove_older(chunk);
                if !is_again {
                    self.base -= removed;
                }
                self.frontier.unfinished_removal = None;
            }
            (Removal::Begins, ..) => {
                self.accept_row_count();
                self.frontier.unfinished_removal = Some(at);
            }
            (Removal::Kept | Removal::Waits, ..) => self.frontier.unfinished_removal = Some(at),
        }
    }

    fn remove_older(&mut self, chunk: &Chunk) -> i64 {
        let epoch = chunk.link.epoch;
        let older = self.rows.extract_if(.., |_, (there, ..)| there.epoch < epoch);
        let keys: Vec<i64> = older.map(|(key, _)| key).collect();
        if let Some(evidence) = chunk.evidence {
            self.removed.extend(keys.iter().map(|key| (*key, evidence)));
        }
        keys.len() as i64
    }

    /// Returns what resynchronisations removed since the last call.
    pub(in super::super) fn take_removed(&mut self) -> Vec<(i64, Evidence)> {
        std::mem::take(&mut self.removed)
    }

    /// Returns the last chunk of a resynchronisation that could not remove unsent rows.
    pub(in super::super) fn unfinished_removal(&self) -> Option<ChunkNumber> {
        self.frontier.unfinished_removal
    }

    /// Returns whether a quarantine entry keeps rows that may be deleted.
    pub(in super::super) fn keeps_rows(&self) -> bool {
        self.frontier.lowest_quarantined.is_some()
    }

    /// Returns the rows from before a resynchronisation that removed none of them, because of the quarantine.
    pub(in super::super) fn possibly_deleted(&self) -> Vec<i64> {
        let Some(at) = self.frontier.unfinished_removal.filter(|_| self.keeps_rows()) else {
            return Vec::new();
        };
        let older = self.rows.iter().filter(|(_, (there, ..))| there.epoch < at.epoch);
        older.map(|(key, _)| *key).collect()
    }
}

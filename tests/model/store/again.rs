//! The receiver as one that lost something: what is stored again, the rows that are counted, the end of a resynchronisation.

use store::frontier::Noted;
use store::ledger::{EntryState, SupersededRange};
use store::merge::Place;
use store::quarantine::decide::counts;
use store::refill::{Difference, RowCount, Rows};
use store::resync::{Removal, removal, removal_again};

use super::super::exchange::{Chunk, Evidence};
use super::super::poller::lane;
use super::super::rng::Rng;
use super::{Store, place};

impl Store {
    /// A backup is put back. What the oracle saw stays.
    pub(in super::super) fn restore(&mut self, copy: &Self) {
        let (violation, calm) = (self.violation.take(), self.calm);
        *self = copy.clone();
        self.violation = violation.or(self.violation.take());
        self.calm |= calm;
    }

    /// Others delete rows of the table.
    pub(in super::super) fn truncate(&mut self, rng: &mut Rng) {
        self.rows.retain(|_, _| rng.percent(40));
    }

    /// Others put the table back from a copy, and nothing else.
    pub(in super::super) fn put_table_back(&mut self, copy: &Self) {
        self.rows.clone_from(&copy.rows);
    }

    /// Awaits stored chunks once more; the frontier goes back to before the first of them.
    pub(in super::super) fn await_again(&mut self, from: Place, to: Place) {
        if !self.env.awaits || from > to {
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
        let is_superseded = |place: Place| superseded.iter().any(|range| range.contains(place));
        let has_rows = |noted: &&Noted| noted.rows > 0 && noted.state != EntryState::Superseded;
        let at = |place: Place| self.exchanged.get(&place).copied();
        let stored = |noted: &&Noted| has_rows(noted) && noted.state != EntryState::Quarantined;
        let lost = self
            .ledger
            .values()
            .filter(stored)
            .filter(|noted| is_superseded(noted.place));
        let Some(since) = lost.filter_map(|noted| at(noted.place)).min() else {
            return;
        };
        let epoch = self.state.epoch;
        let counts = |place: Place| place.epoch < epoch && counts(&self.state, place);
        let is_republished = |noted: &&Noted| {
            (has_rows(noted) || noted.state == EntryState::Quarantined)
                && counts(noted.place)
                && at(noted.place).is_some_and(|at| at > since)
        };
        let republished = self.ledger.values().filter(is_republished);
        let republished: Vec<Place> = republished.map(|noted| noted.place).collect();
        if republished.is_empty() {
            return;
        }
        for (place, ..) in self.rows.values_mut().filter(|(place, ..)| is_superseded(*place)) {
            *place = Place { epoch: 0, number: 0 };
        }
        self.tombstones.retain(|_, place| !is_superseded(*place));
        let mut is_awaited = false;
        for place in republished {
            if let Some(noted) = self.ledger.get_mut(&place)
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

    pub(in super::super) fn awaited(&self) -> Vec<Place> {
        let noted = self
            .ledger
            .values()
            .filter(|noted| noted.state == EntryState::Awaited);
        let places = noted.map(|noted| noted.place);
        places.filter(|at| counts(&self.state, *at)).collect()
    }

    /// It cannot be stored again.
    pub(in super::super) fn as_before(&mut self, at: Place) {
        if let Some(noted) = self.ledger.get_mut(&at)
            && noted.state == EntryState::Awaited
        {
            noted.state = EntryState::Stored;
        }
        self.begin_count();
    }

    /// Restarts the row count, if it has to and no chunk is awaited.
    pub(super) fn begin_count(&mut self) {
        if self.restarts_counting && self.awaited().is_empty() {
            self.restarts_counting = false;
            self.trust_rows();
        }
    }

    /// Takes the rows that are there for those that were stored.
    pub(in super::super) fn trust_rows(&mut self) {
        self.base = self.rows.len() as i64 - self.net;
    }

    /// How the table differs from what was stored.
    pub(in super::super) fn difference(&self) -> Option<Difference> {
        if self.restarts_counting {
            return None;
        }
        let counted = RowCount {
            lane: lane(),
            table: "f".to_owned(),
            is_shared: false,
            rows: Rows::Counted {
                stored: u64::try_from(self.base + self.net).unwrap_or(0),
                found: self.rows.len() as u64,
            },
        };
        counted.difference().filter(|_| self.env.counts)
    }

    /// Counts what a transaction added to the table.
    pub(super) fn count_since(&mut self, before: usize) {
        self.net += self.rows.len() as i64 - before as i64;
    }

    /// Whether a chunk is stored again. What the history holds of it was altered or lost.
    pub(super) fn begin_again(&mut self, chunk: &Chunk) -> bool {
        let at = place(chunk);
        let is_again = self
            .ledger
            .get(&at)
            .is_some_and(|noted| noted.state == EntryState::Awaited);
        if is_again {
            self.history.retain(|(place, _), _| *place != at);
            self.end_rows(chunk);
        }
        is_again
    }

    /// Ends a resynchronisation, where the chunk does that.
    pub(super) fn end_resync(&mut self, chunk: &Chunk, is_again: bool, refused: u64) {
        let at = place(chunk);
        let removal = if is_again {
            removal_again(chunk.resync, &self.frontier)
        } else {
            removal(chunk.resync, at, &self.frontier)
        };
        match (removal.after_rows(refused), self.env.keeps, self.env.waits) {
            (Removal::None, ..) => {}
            (Removal::Removes, ..) | (Removal::Kept, false, _) | (Removal::Waits, _, false) => {
                let removed = self.remove_older(chunk);
                if !is_again {
                    self.base -= removed;
                }
                self.frontier.unremoved = None;
            }
            (Removal::Begins, ..) => {
                self.trust_rows();
                self.frontier.unremoved = Some(at);
            }
            (Removal::Kept | Removal::Waits, ..) => self.frontier.unremoved = Some(at),
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

    /// What ends of resynchronisations removed since this was asked last.
    pub(in super::super) fn take_removed(&mut self) -> Vec<(i64, Evidence)> {
        std::mem::take(&mut self.removed)
    }

    /// The end of a resynchronisation that could not remove what did not come again.
    pub(in super::super) fn unremoved(&self) -> Option<Place> {
        self.frontier.unremoved
    }

    /// Whether something in quarantine keeps rows that may be gone.
    pub(in super::super) fn keeps_rows(&self) -> bool {
        self.frontier.lowest_quarantined.is_some()
    }

    /// The rows that are there from before a resynchronisation that removed none of them, because something is in quarantine.
    pub(in super::super) fn doubtful(&self) -> Vec<i64> {
        let Some(at) = self.frontier.unremoved.filter(|_| self.keeps_rows()) else {
            return Vec::new();
        };
        let older = self.rows.iter().filter(|(_, (there, ..))| there.epoch < at.epoch);
        older.map(|(key, _)| *key).collect()
    }
}

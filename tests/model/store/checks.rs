//! Checks of the receiver's state.

use std::collections::{BTreeMap, BTreeSet};

use store::frontier::FrontierEntry;
use store::ledger::EntryState;
use store::quarantine::decide::recount;
use store::quarantine::{Ending, Kind};

use super::super::core::Row;
use super::Store;
use super::rows::is_always_refused;

impl Store {
    /// Checks that every value fits its column, and that the newest version of each key in the history, unless it is superseded or
    /// deletes, equals the core's.
    pub(in super::super) fn check(
        &self,
        core: &BTreeMap<i64, i64>,
        excused: &BTreeSet<i64>,
    ) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let mut newest: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for (key, version, deleted, behind) in self.history.values() {
            if !behind && !excused.contains(key) {
                newest.insert(*key, (!deleted).then_some(*version));
            }
        }
        let live_rows: BTreeMap<i64, i64> = newest
            .into_iter()
            .filter_map(|(key, version)| Some((key, version?)))
            .collect();
        if &live_rows != core {
            return Err(format!(
                "the history's newest are {live_rows:?}, the core's {core:?}"
            ));
        }
        self.ledger.values().try_for_each(|noted| self.count(noted))?;
        self.check_frontier()
    }

    /// Checks that every row of a stored chunk is in the history, in quarantine or discarded, and that the ledger has the counts.
    fn count(&self, noted: &FrontierEntry) -> Result<(), String> {
        if noted.state != EntryState::Stored {
            return Ok(());
        }
        let stored = self
            .history
            .keys()
            .filter(|(chunk_number, _)| *chunk_number == noted.chunk_number)
            .count() as u64;
        let quarantined = self
            .quarantined
            .iter()
            .filter(|((digest, _), entry)| {
                *digest == noted.digest.0 && entry.kind == Kind::Row && entry.ended != Some(Ending::Released)
            })
            .count() as u64;
        if stored + quarantined == noted.rows && quarantined == noted.rows_quarantined {
            return Ok(());
        }
        Err(format!(
            "counts differ at {:?}: {} rows, {stored} in the history, {quarantined} quarantined, the ledger has {}",
            noted.chunk_number, noted.rows, noted.rows_quarantined
        ))
    }

    /// Checks the totals of receipts by recomputing them.
    fn check_frontier(&self) -> Result<(), String> {
        if self.frontier.number == 0 {
            return Ok(());
        }
        let recounted = recount(&self.frontier, &self.state, &self.below());
        let totals = |frontier: &store::frontier::Frontier| {
            (frontier.rows, frontier.quarantined.clone(), frontier.head)
        };
        if totals(&recounted) == totals(&self.frontier) {
            return Ok(());
        }
        Err(format!(
            "counts differ at the frontier: {:?}, recounted {recounted:?}",
            self.frontier
        ))
    }

    /// Returns the keys whose last version is permanently in quarantine or discarded.
    pub(in super::super) fn excused<'a>(&self, latest: impl Iterator<Item = &'a Row>) -> BTreeSet<i64> {
        let mut quarantined = BTreeSet::new();
        for ((_, ordinal), entry) in &self.quarantined {
            let given_up = entry.ended == Some(Ending::Discarded);
            let rows = entry.chunk.rows.iter().enumerate();
            let of_it = rows.filter(|(at, _)| ordinal.is_none_or(|ordinal| ordinal == *at));
            quarantined.extend(
                of_it
                    .filter(|(_, row)| given_up || entry.ended.is_none() && is_always_refused(row))
                    .map(|(_, row)| row.version),
            );
        }
        for (_, version, _, behind) in self.history.values() {
            if !behind {
                quarantined.remove(version);
            }
        }
        latest
            .filter(|row| quarantined.contains(&row.version))
            .map(|row| row.key)
            .collect()
    }
}

//! Whether what stands in the receiver is right.

use std::collections::{BTreeMap, BTreeSet};

use store::frontier::Noted;
use store::ledger::EntryState;
use store::quarantine::decide::recount;
use store::quarantine::{Ending, Kind};

use super::super::core::Row;
use super::Store;
use super::rows::stubborn;

impl Store {
    /// Whatever stands here must be so: nothing that did not fit, and of each key the newest
    /// version of the history, unless it was left behind or deletes.
    pub(in super::super) fn judge(
        &self,
        core: &BTreeMap<i64, i64>,
        excused: &BTreeSet<i64>,
    ) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let mut newest: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for (key, version, gone, behind) in self.history.values() {
            if !behind && !excused.contains(key) {
                newest.insert(*key, (!gone).then_some(*version));
            }
        }
        let living: BTreeMap<i64, i64> = newest
            .into_iter()
            .filter_map(|(key, version)| Some((key, version?)))
            .collect();
        if &living != core {
            return Err(format!(
                "the history's newest are {living:?}, the core's {core:?}"
            ));
        }
        self.ledger.values().try_for_each(|noted| self.count(noted))?;
        self.judge_frontier()
    }

    /// Every row of a stored chunk is in the history or in quarantine, or was given up; and the
    /// ledger says how many.
    fn count(&self, noted: &Noted) -> Result<(), String> {
        if noted.state != EntryState::Stored {
            return Ok(());
        }
        let stored = self
            .history
            .keys()
            .filter(|(place, _)| *place == noted.place)
            .count() as u64;
        let aside = self
            .kept
            .iter()
            .filter(|((digest, _), kept)| {
                *digest == noted.digest.0 && kept.kind == Kind::Row && kept.ended != Some(Ending::Released)
            })
            .count() as u64;
        if stored + aside == noted.rows && aside == noted.rows_quarantined {
            return Ok(());
        }
        Err(format!(
            "counts differ at {:?}: {} rows, {stored} in the history, {aside} aside, the ledger says {}",
            noted.place, noted.rows, noted.rows_quarantined
        ))
    }

    /// What receipts are made of, counted anew.
    fn judge_frontier(&self) -> Result<(), String> {
        if self.frontier.number == 0 {
            return Ok(());
        }
        let anew = recount(&self.frontier, &self.state, &self.below());
        let told = |frontier: &store::frontier::Frontier| {
            (frontier.rows, frontier.quarantined.clone(), frontier.head)
        };
        if told(&anew) == told(&self.frontier) {
            return Ok(());
        }
        Err(format!(
            "counts differ at the frontier: {:?}, counted anew {anew:?}",
            self.frontier
        ))
    }

    /// The rows of which the last version is in quarantine for good or was given up.
    pub(in super::super) fn excused<'a>(&self, latest: impl Iterator<Item = &'a Row>) -> BTreeSet<i64> {
        let mut aside = BTreeSet::new();
        for ((_, ordinal), kept) in &self.kept {
            let given_up = kept.ended == Some(Ending::Discarded);
            let rows = kept.chunk.rows.iter().enumerate();
            let of_it = rows.filter(|(at, _)| ordinal.is_none_or(|ordinal| ordinal == *at));
            aside.extend(
                of_it
                    .filter(|(_, row)| given_up || kept.ended.is_none() && stubborn(row))
                    .map(|(_, row)| row.version),
            );
        }
        for (_, version, _, behind) in self.history.values() {
            if !behind {
                aside.remove(version);
            }
        }
        latest
            .filter(|row| aside.contains(&row.version))
            .map(|row| row.key)
            .collect()
    }
}

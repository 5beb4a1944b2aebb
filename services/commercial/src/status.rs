//! What the agent shows of itself. No row's value and no key stands here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use runtime::said::Said;
use runtime::unverified::Unverified;
use schemas::name::Lane;
use serde::Serialize;
use store::merge::Place;

use crate::requester::RequestsStatus;

/// The agent at a glance.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CommercialStatus {
    /// Who it receives for.
    pub recipient: String,
    /// What it does, in words.
    pub state: String,
    /// Whether the store has answered and has what it needs.
    pub is_prepared: bool,
    /// The identity of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// When the store was compared with its own receipts last.
    pub compared_at: Option<Timestamp>,
    /// Why nothing is fetched: the receipts are another store's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_store: Option<String>,
    /// Whether fetching waits for the comparison.
    #[serde(skip)]
    pub is_compared_first: bool,
    /// Ticks of the interval.
    pub ticks: u64,
    /// The last tick.
    pub ticked_at: Option<Timestamp>,
    /// When nothing was left to fetch last.
    pub drained_at: Option<Timestamp>,
    /// Messages fetched, redeliveries included.
    pub fetched: u64,
    /// Messages quarantined whole.
    pub quarantined: u64,
    /// What the store has in quarantine now, by lane and kind.
    pub held: BTreeMap<String, BTreeMap<&'static str, HeldStatus>>,
    /// By lane, `recipient.feed`.
    pub lanes: BTreeMap<String, LaneStatus>,
    /// What became of requests; none where this agent files none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsStatus>,
    /// The error that was no lane's, while it lasts.
    pub last_error: Option<String>,
    /// Why the last settlement failed; what it concerned is delivered again.
    pub unsettled: Option<String>,
}

/// One kind of one lane's quarantine, whoever put it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldStatus {
    /// How many.
    pub count: u64,
    /// Since when the oldest is there.
    pub oldest: Timestamp,
}

/// One lane.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneStatus {
    /// Chunks stored by this process.
    pub chunks: u64,
    /// Rows of them.
    pub rows: u64,
    /// Of these, rows that the store's constraints refused.
    pub rows_quarantined: u64,
    /// Chunks that were stored before.
    pub already: u64,
    /// Chunks of a lost end of an epoch.
    pub superseded: u64,
    /// When the last one was stored, by this process's clock.
    pub stored_at: Option<Timestamp>,
    /// The epoch of the frontier.
    pub epoch: u32,
    /// The frontier, as the ledger has it.
    pub frontier: u64,
    /// Chunks that wait for one before them.
    pub pending: u64,
    /// The chunk that they wait for. One that stays missing was dropped, or is withheld.
    pub missing: Option<Missing>,
    /// The frontier, as the last receipt says it.
    pub receipted: u64,
    /// Up to this chunk the ledger's entries are folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compacted: Option<Place>,
    /// Why the lane does not go on, where somebody has to act.
    pub stopped: Option<String>,
    /// The same where its columns changed and an operator here has to be asked.
    pub waits: Option<String>,
    /// The same where names, tables or rights here do not allow to store its chunks.
    pub refused: Option<String>,
    /// Chunks that are sealed to a key that is not here, and which; they wait at the exchange.
    pub waits_for_key: Option<String>,
    /// Why "caught up" cannot be claimed.
    #[serde(skip_serializing_if = "Unverified::is_empty")]
    pub unverified: Unverified,
    /// Transactions that failed in a row.
    pub failures: u32,
    /// The last error.
    pub last_error: Option<String>,
}

impl LaneStatus {
    /// Shows that rows may be at the store which are gone at the source; `None`: there are none.
    pub(crate) fn show_unremoved(&mut self, unremoved: Option<Place>) {
        let Some(Place { epoch, number }) = unremoved else {
            self.unverified.clear("resync_incomplete");
            return;
        };
        let detail = format!(
            "the store may hold rows that are gone at the source: the resynchronisation of chunk {epoch}.{number} is under way, \
             was interrupted, or could not remove them, because rows of it were rejected, held back or in quarantine, or \
             because its table did not let them go"
        );
        let remedy = "wait for its end; if it has ended, release holds and quarantine, see what triggers, policies and foreign keys of the \
                      table refuse, and have the bureau run `slacktide feed resync` \
                      again";
        self.unverified.set("resync_incomplete", detail, remedy);
    }
}

/// A chunk that did not come, though later ones did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Since when it is waited for, by this process's clock.
    pub since: Timestamp,
}

impl Missing {
    /// What is missing now, by a lane's frontier and the chunks beyond it; `before` is what was
    /// missing until now.
    #[must_use]
    pub fn of(epoch: u32, frontier: u64, pending: u64, before: Option<Self>, now: Timestamp) -> Option<Self> {
        let number = frontier + 1;
        let new = Self {
            epoch,
            number,
            since: now,
        };
        (pending > 0).then(|| {
            before
                .filter(|before| (before.epoch, before.number) == (epoch, number))
                .unwrap_or(new)
        })
    }
}

/// Where the poller writes what it is doing. Copies are the same board.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<CommercialStatus>>, Arc<Mutex<BTreeMap<String, Said>>>);

impl Board {
    /// Changes something.
    pub fn note(&self, change: impl FnOnce(&mut CommercialStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes a lane's entry.
    pub fn lane(&self, lane: &Lane, change: impl FnOnce(&mut LaneStatus)) {
        self.note(|status| change(status.lanes.entry(lane.to_string()).or_default()));
    }

    /// Changes what is told of requests.
    pub fn requests(&self, change: impl FnOnce(&mut RequestsStatus)) {
        self.note(|status| change(status.requests.get_or_insert_default()));
    }

    /// Notes a fault of something that has no place of its own to remember it; whether it is news for the log.
    pub fn is_news(&self, of: &str, what: &str) -> bool {
        let mut said = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        said.entry(of.to_owned()).or_default().is_news(what)
    }

    /// That is well again: how often its faults were met, where that is worth a line.
    pub fn over(&self, of: &str) -> Option<u32> {
        let mut said = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        said.get_mut(of).and_then(Said::over)
    }

    /// Whether anything may be fetched: the store is the one that the receipts were signed for.
    #[must_use]
    pub fn may_fetch(&self) -> bool {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = status.is_compared_first && status.compared_at.is_none();
        !is_due && status.other_store.is_none()
    }

    /// The agent at a glance.
    #[must_use]
    pub fn status(&self) -> CommercialStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_missing_since_the_first_look_that_missed_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = Missing::of(1, 4, 2, None, at(10)).unwrap();
        assert_eq!((first.number, first.since), (5, at(10)));
        let later = Missing::of(1, 4, 9, Some(first), at(99)).unwrap();
        assert_eq!(later, first);
        let another = Missing::of(1, 7, 9, Some(first), at(99)).unwrap();
        assert_eq!((another.number, another.since), (8, at(99)));
        assert_eq!(Missing::of(1, 7, 0, Some(first), at(99)), None);
    }
}

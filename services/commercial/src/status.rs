//! The agent's status. It contains no value of a row and no key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use runtime::unverified::Unverified;
use schemas::name::Lane;
use serde::Serialize;
use store::merge::ChunkNumber;

use crate::requester::RequestsStatus;

/// The status of the agent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CommercialStatus {
    /// The recipient.
    pub recipient: String,
    /// The current activity.
    pub state: String,
    /// Whether the store was reached and prepared.
    pub is_prepared: bool,
    /// The identity of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// When the store was last compared with its own receipts.
    pub compared_at: Option<Timestamp>,
    /// Why nothing is fetched: the receipts belong to another store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_store: Option<String>,
    /// The number of ticks.
    pub ticks: u64,
    /// The last tick.
    pub ticked_at: Option<Timestamp>,
    /// When nothing was left to fetch.
    pub drained_at: Option<Timestamp>,
    /// Messages fetched, redeliveries included.
    pub fetched: u64,
    /// Messages quarantined as a whole.
    pub quarantined: u64,
    /// The entries in quarantine by lane and kind.
    pub quarantine: BTreeMap<String, BTreeMap<&'static str, QuarantineStatus>>,
    /// By lane, `recipient.feed`.
    pub lanes: BTreeMap<String, LaneStatus>,
    /// The requester's status; `None` if this agent files no requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsStatus>,
    /// The current error, if it is not of one lane.
    pub last_error: Option<String>,
    /// Why the last settlement failed. Its deliveries are redelivered.
    pub unsettled: Option<String>,
}

/// The quarantine of one kind of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineStatus {
    /// The number of entries.
    pub count: u64,
    /// When the oldest entry was quarantined.
    pub oldest: Timestamp,
}

/// The status of one lane.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneStatus {
    /// Chunks stored by this process.
    pub chunks: u64,
    /// Rows of the stored chunks.
    pub rows: u64,
    /// Of these, rows that the store's constraints refused.
    pub rows_quarantined: u64,
    /// Chunks that were stored before.
    pub already: u64,
    /// Chunks that a later epoch superseded.
    pub superseded: u64,
    /// When the last chunk was stored, by this process's clock.
    pub stored_at: Option<Timestamp>,
    /// The epoch of the frontier.
    pub epoch: u32,
    /// The frontier of the ledger.
    pub frontier: u64,
    /// Chunks that wait for an earlier one.
    pub pending: u64,
    /// The chunk that they wait for. If it stays missing, it was dropped or is withheld.
    pub missing: Option<Missing>,
    /// The frontier of the last receipt.
    pub receipted: u64,
    /// Up to this chunk the ledger's entries are folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compacted: Option<ChunkNumber>,
    /// Why the lane is blocked until an operator acts.
    pub stopped: Option<String>,
    /// Set if changed columns wait for an operator's approval.
    pub pending_change: Option<String>,
    /// Set if names, tables or privileges at this site do not allow storing the chunks.
    pub refused: Option<String>,
    /// Set if chunks are encrypted to a key that is missing here, and names it; they wait at the exchange.
    pub missing_key: Option<String>,
    /// Why the lane cannot be reported as caught up.
    #[serde(skip_serializing_if = "Unverified::is_empty")]
    pub unverified: Unverified,
    /// Consecutive failed transactions.
    pub failures: u32,
    /// The last error.
    pub last_error: Option<String>,
}

impl LaneStatus {
    /// Shows or clears that the store may hold rows that are gone at the source.
    pub(crate) fn show_unfinished_removal(&mut self, unfinished_removal: Option<ChunkNumber>) {
        let Some(ChunkNumber { epoch, number }) = unfinished_removal else {
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

    /// Shows or clears that the rows must be compared with the source's.
    pub(crate) fn show_uncompared(&mut self, lane: &Lane, uncompared: Option<ChunkNumber>) {
        let Some(ChunkNumber { epoch, .. }) = uncompared else {
            self.unverified.clear("uncompared");
            return;
        };
        let feed = &lane.feed;
        let detail = format!(
            "the bureau continues from its source as it is now, in epoch {epoch}: rows that differ are not known yet"
        );
        let remedy = format!(
            "wait: the agent compares and has the rows repaired; if it cannot, `slacktide reconcile repair {feed}` shows why, and \
             `slacktide feed resync {feed}` of the bureau sends every row again"
        );
        self.unverified.set("uncompared", detail, remedy);
    }
}

/// A missing chunk, though later ones arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Since when it is missing, by this process's clock.
    pub since: Timestamp,
}

impl Missing {
    /// Returns the missing chunk after a lane's frontier, if later chunks are pending. `before` is the chunk that was
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

/// The shared status of the agent. Clones refer to the same status.
#[derive(Debug, Clone, Default)]
pub struct StatusRegistry(
    Arc<Mutex<CommercialStatus>>,
    Arc<Mutex<BTreeMap<String, LogDedup>>>,
);

impl StatusRegistry {
    /// Changes the status.
    pub fn note(&self, change: impl FnOnce(&mut CommercialStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes a lane's status.
    pub fn lane(&self, lane: &Lane, change: impl FnOnce(&mut LaneStatus)) {
        self.note(|status| change(status.lanes.entry(lane.to_string()).or_default()));
    }

    /// Changes the requester's status.
    pub fn requests(&self, change: impl FnOnce(&mut RequestsStatus)) {
        self.note(|status| change(status.requests.get_or_insert_default()));
    }

    /// Records an error under a name. Returns whether it is new for the log.
    pub fn is_news(&self, of: &str, what: &str) -> bool {
        let mut log = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        log.entry(of.to_owned()).or_default().is_new(what)
    }

    /// Clears the error of a name. Returns how often it occurred if that is worth a log line.
    pub fn over(&self, of: &str) -> Option<u32> {
        let mut log = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        log.get_mut(of).and_then(LogDedup::recovered)
    }

    /// Returns a copy of the status.
    #[must_use]
    pub fn status(&self) -> CommercialStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_missing_chunk_keeps_its_first_time() {
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

//! The requester's status. It contains no argument and no row.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// What this process did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestsStatus {
    /// Rows of the outbox that became requests.
    pub taken: u64,
    /// Invalid outbox rows; each row contains the reason.
    pub unfit: u64,
    /// Requests that the exchange has stored.
    pub filed: u64,
    /// Requests that the exchange refuses; the store contains the reasons.
    pub not_filed: u64,
    /// Replies stored.
    pub replies: u64,
    /// Rows of the stored replies.
    pub rows: u64,
    /// Of these, rows that the store's constraints refused.
    pub rows_quarantined: u64,
    /// Replies confirmed.
    pub confirmed: u64,
    /// Outcomes stored by this process, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests of the store that have no outcome yet.
    pub waiting: u64,
    /// Of these, requests not at the exchange yet.
    pub kept: u64,
    /// When the oldest of them was filed.
    pub oldest: Option<Timestamp>,
    /// Why a reply was deferred; it is redelivered.
    pub deferred: Option<String>,
    /// Deferred replies by subject.
    #[serde(skip)]
    deferred_by_subject: BTreeMap<String, String>,
    /// Requests whose replies wait for an operator, with cause and remedy.
    pub refused: BTreeMap<String, String>,
    /// Confirmed answers that the store lost.
    pub lost_answers: u64,
    /// The current error.
    pub last_error: Option<String>,
}

/// The maximum number of deferred replies that are remembered.
const MAX_DEFERRED: usize = 1_000;

impl RequestsStatus {
    /// Records that a reply is deferred.
    pub(super) fn defer(&mut self, subject: &str, why: &str) {
        if self.deferred_by_subject.len() < MAX_DEFERRED || self.deferred_by_subject.contains_key(subject) {
            self.deferred_by_subject
                .insert(subject.to_owned(), why.to_owned());
        }
        self.deferred = Some(why.to_owned());
    }

    /// Records that a reply is stored, and shows the next deferred one.
    pub(super) fn clear_deferred(&mut self, subject: &str) {
        self.deferred_by_subject.remove(subject);
        self.deferred = self.deferred_by_subject.values().next().cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requester_deferred_reply_is_shown_until_stored() {
        let mut status = RequestsStatus::default();
        status.defer("reply.a.1", "encrypted to an unknown key");
        status.defer("reply.a.2", "a part is not there");
        assert_eq!(status.deferred.as_deref(), Some("a part is not there"));
        status.clear_deferred("reply.a.2");
        assert_eq!(status.deferred.as_deref(), Some("encrypted to an unknown key"));
        status.clear_deferred("reply.a.3");
        assert!(status.deferred.is_some());
        status.clear_deferred("reply.a.1");
        assert_eq!(status.deferred, None);
    }
}

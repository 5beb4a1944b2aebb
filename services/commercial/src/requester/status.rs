//! What the requester shows of itself. No argument and no row stands here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// The requester at a glance: what this process did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestsStatus {
    /// Rows of the outbox that became requests.
    pub taken: u64,
    /// Rows of the outbox that make no valid request; their reasons stand beside them.
    pub unfit: u64,
    /// Requests that the exchange has stored.
    pub filed: u64,
    /// Requests that the exchange does not take; their reasons stand in the store.
    pub not_filed: u64,
    /// Replies stored.
    pub replies: u64,
    /// Rows of them.
    pub rows: u64,
    /// Rows of them that the store's constraints refused.
    pub rows_quarantined: u64,
    /// Replies confirmed.
    pub confirmed: u64,
    /// Outcomes stored by this process, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests of the store that have no outcome yet.
    pub waiting: u64,
    /// Of these, not at the exchange yet.
    pub kept: u64,
    /// When the oldest of them was filed.
    pub oldest: Option<Timestamp>,
    /// Why a reply that could not be stored was put off; it comes again.
    pub put_off: Option<String>,
    /// By subject: the replies that were put off.
    #[serde(skip)]
    put_off_by: BTreeMap<String, String>,
    /// Requests whose replies are not stored until somebody acts, with the reason and what to do.
    pub refused: BTreeMap<String, String>,
    /// Answers that were confirmed and are not stored: the store was restored from a backup, or replaced.
    pub lost_answers: u64,
    /// The error while it lasts.
    pub last_error: Option<String>,
}

/// Replies that are remembered as put off.
const MOST_PUT_OFF: usize = 1_000;

impl RequestsStatus {
    /// A reply is put off.
    pub(super) fn wait(&mut self, subject: &str, why: &str) {
        if self.put_off_by.len() < MOST_PUT_OFF || self.put_off_by.contains_key(subject) {
            self.put_off_by.insert(subject.to_owned(), why.to_owned());
        }
        self.put_off = Some(why.to_owned());
    }

    /// It is stored: shown is what waits still.
    pub(super) fn waits_no_more(&mut self, subject: &str) {
        self.put_off_by.remove(subject);
        self.put_off = self.put_off_by.values().next().cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_that_was_put_off_is_shown_until_it_is_stored() {
        let mut status = RequestsStatus::default();
        status.wait("reply.a.1", "sealed to an unknown key");
        status.wait("reply.a.2", "a part is not there");
        assert_eq!(status.put_off.as_deref(), Some("a part is not there"));
        status.waits_no_more("reply.a.2");
        assert_eq!(status.put_off.as_deref(), Some("sealed to an unknown key"));
        status.waits_no_more("reply.a.3");
        assert!(status.put_off.is_some());
        status.waits_no_more("reply.a.1");
        assert_eq!(status.put_off, None);
    }
}

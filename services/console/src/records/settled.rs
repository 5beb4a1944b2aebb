//! Requests that are answered and confirmed, so that a page does not read them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::name::{PartyName, RecipientName};
use schemas::request::RequestId;

use crate::request_messages::Messages;

/// More are forgotten and read again.
const MAX: usize = 4_000;

/// The party that read it, the recipient and the id.
type Key = (PartyName, RecipientName, RequestId);

/// The settled requests.
#[derive(Debug, Default)]
pub(crate) struct SettledRequests(Mutex<HashMap<Key, Arc<Messages>>>);

impl SettledRequests {
    /// Returns a request that the party read before.
    pub(crate) fn get(
        &self,
        party: &PartyName,
        recipient: &RecipientName,
        id: &RequestId,
    ) -> Option<Arc<Messages>> {
        let key = (party.clone(), recipient.clone(), id.clone());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned()
    }

    /// Keeps a request if it is settled.
    pub(crate) fn note(&self, party: &PartyName, messages: &Arc<Messages>) {
        if !messages.is_settled() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX {
            kept.clear();
        }
        let key = (party.clone(), messages.recipient.clone(), messages.id.clone());
        kept.insert(key, Arc::clone(messages));
    }
}

//! The queue of admitted requests, which selects the request of the next quantum.
//!
//! Requests are ordered by priority, then fairly between recipients, then by deadline. A turn is one quantum: a long answer takes
//! many, and urgent requests of other recipients run between them.
//!
//! - **Priority.** Urgent requests of any recipient run before normal ones, normal ones before bulk.
//! - **Fairness.** Among recipients with requests of that priority, the one with the least work is next. Work is the time for which
//!   the source was used. A recipient without requests gets no credit: when it returns it starts at the least work of those
//!   present.
//! - **Deadline.** Within a recipient the earliest deadline is first. A request without one has a default deadline of a week after
//!   it was stored, so that it moves up as it waits.
//! - **No starvation.** Every eighth turn ignores priority and deadline: it runs the oldest request of the recipient with the least
//!   work. So any number of urgent requests leaves an eighth to all others.
//!
//! The queue depends only on the order of insertions and charges, not on a clock: two responders with the same streams have the same
//! queue.

mod position;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemas::name::RecipientName;
use schemas::request::RequestId;

pub use position::QueuePosition;

use crate::kind::Priority;

/// One turn of this many ignores priority and deadline.
const FAIR_TURN_INTERVAL: u64 = 8;

/// The default deadline, after the request was stored.
const DEFAULT_DEADLINE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Identifies a request. Two recipients may have filed the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The recipient.
    pub recipient: RecipientName,
    /// The request's id.
    pub id: RequestId,
}

/// A request in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRequest {
    /// Its key.
    pub key: RequestKey,
    /// The priority of its kind.
    pub priority: Priority,
    /// Its deadline, if it has one.
    pub deadline: Option<Timestamp>,
    /// Its sequence in the stream. A lower one is older.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// How long its remaining answer is expected to use the source, in milliseconds.
    pub cost_ms: u64,
}

type Due = (Timestamp, u64, RequestId);

/// All admitted requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    entries: BTreeMap<RequestKey, QueuedRequest>,
    due: BTreeMap<Priority, BTreeMap<RecipientName, BTreeSet<Due>>>,
    oldest: BTreeMap<RecipientName, BTreeSet<(u64, RequestId)>>,
    /// The work for each recipient in milliseconds, including the start value of a returning recipient.
    worked: BTreeMap<RecipientName, u64>,
    turns: u64,
}

impl Queue {
    /// Inserts a request, or replaces it, for example with its remaining cost.
    pub fn insert(&mut self, entry: QueuedRequest) {
        self.remove(&entry.key);
        let recipient = entry.key.recipient.clone();
        if !self.oldest.contains_key(&recipient) {
            let least = self.oldest.keys().map(|present| self.work(present)).min();
            let own = self.worked.entry(recipient.clone()).or_default();
            *own = (*own).max(least.unwrap_or_default());
        }
        let lane = self.due.entry(entry.priority).or_default();
        lane.entry(recipient.clone()).or_default().insert(due(&entry));
        let oldest = self.oldest.entry(recipient).or_default();
        oldest.insert((entry.sequence, entry.key.id.clone()));
        self.entries.insert(entry.key.clone(), entry);
    }

    /// Removes a request that has its outcome or waits for something else. Returns `None` if it was not in the queue.
    pub fn remove(&mut self, key: &RequestKey) -> Option<QueuedRequest> {
        let entry = self.entries.remove(key)?;
        if let Some(lane) = self.due.get_mut(&entry.priority) {
            if let Some(own) = lane.get_mut(&key.recipient) {
                own.remove(&due(&entry));
            }
            lane.retain(|_, own| !own.is_empty());
        }
        self.due.retain(|_, lane| !lane.is_empty());
        if let Some(own) = self.oldest.get_mut(&key.recipient) {
            own.remove(&(entry.sequence, key.id.clone()));
        }
        self.oldest.retain(|_, own| !own.is_empty());
        Some(entry)
    }

    /// Returns the request of the next quantum, without a change of the queue.
    #[must_use]
    pub fn next(&self) -> Option<&QueuedRequest> {
        let (recipient, id) = if self.turns % FAIR_TURN_INTERVAL == FAIR_TURN_INTERVAL - 1 {
            let recipient = self.least(self.oldest.keys())?;
            let (_, id) = self.oldest.get(recipient)?.first()?;
            (recipient, id)
        } else {
            let (_, lane) = self.due.first_key_value()?;
            let recipient = self.least(lane.keys())?;
            let (_, _, id) = lane.get(recipient)?.first()?;
            (recipient, id)
        };
        self.entries.get(&RequestKey {
            recipient: recipient.clone(),
            id: id.clone(),
        })
    }

    /// Records a turn: how long the source was used for this recipient.
    pub fn charge(&mut self, recipient: &RecipientName, millis: u64) {
        let worked = self.worked.entry(recipient.clone()).or_default();
        // A turn costs at least 1 ms.
        *worked = worked.saturating_add(millis.max(1));
        self.turns = self.turns.wrapping_add(1);
    }

    /// Returns the number of requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns a request.
    #[must_use]
    pub fn get(&self, key: &RequestKey) -> Option<&QueuedRequest> {
        self.entries.get(key)
    }

    /// Iterates over all requests, by recipient and id.
    pub fn iter(&self) -> impl Iterator<Item = &QueuedRequest> {
        self.entries.values()
    }

    fn work(&self, recipient: &RecipientName) -> u64 {
        self.worked.get(recipient).copied().unwrap_or_default()
    }

    fn least<'a>(&self, recipients: impl Iterator<Item = &'a RecipientName>) -> Option<&'a RecipientName> {
        recipients.min_by_key(|recipient| (self.work(recipient), *recipient))
    }
}

fn due(entry: &QueuedRequest) -> Due {
    let default_deadline = || {
        entry
            .stored_at
            .saturating_add(DEFAULT_DEADLINE)
            .unwrap_or(Timestamp::MAX)
    };
    let at = entry.deadline.unwrap_or_else(default_deadline);
    (at, entry.sequence, entry.key.id.clone())
}

#[cfg(test)]
mod tests;

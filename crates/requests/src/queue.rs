//! The queue of admitted requests: which one the next quantum is read for.
//!
//! Requests are ordered by priority, then fairly between recipients, then by deadline. A turn is one quantum:
//! a long answer takes many, and between them an urgent request of somebody else goes first.
//!
//! - **Priority.** An urgent request goes before a normal one, a normal one before bulk, whosever they are.
//! - **Fairness.** Among recipients with requests of that priority, the one that was worked for least goes next.
//!   Work is measured in the time that the source was used. Who was away gets no credit for it: a newcomer
//!   begins where the least served of those present stands.
//! - **Deadline.** Within a recipient the earliest deadline goes first. One without a deadline counts as if it
//!   had one a week after it was stored, so that it moves up as it waits.
//! - **No starvation.** Every eighth turn ignores priority and deadline: it goes to the recipient that was worked
//!   for least, and to its oldest request. So urgent requests without end leave an eighth to all others.
//!
//! All of it follows from what was put in and charged, in that order, and from no clock: two responders with the
//! same streams have the same queue.

mod place;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemas::name::RecipientName;
use schemas::request::RequestId;

pub use place::Place;

use crate::kind::Priority;

/// One of this many turns goes to who waited.
const PATIENCE: u64 = 8;

/// The deadline of a request without one, after it was stored.
const UNHURRIED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Names a request: two recipients may have filed the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who asked.
    pub recipient: RecipientName,
    /// What it is called.
    pub id: RequestId,
}

/// A request in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub key: Key,
    /// Its kind's.
    pub priority: Priority,
    /// Its own; none: it has none.
    pub deadline: Option<Timestamp>,
    /// Its sequence in the stream: the lower one is older.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// How long the source will probably be used for what is left of it, in milliseconds.
    pub cost_ms: u64,
}

type Due = (Timestamp, u64, RequestId);

/// All admitted requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    entries: BTreeMap<Key, Entry>,
    due: BTreeMap<Priority, BTreeMap<RecipientName, BTreeSet<Due>>>,
    oldest: BTreeMap<RecipientName, BTreeSet<(u64, RequestId)>>,
    /// Work done for each recipient, in milliseconds, and where newcomers were lifted to.
    worked: BTreeMap<RecipientName, u64>,
    turns: u64,
}

impl Queue {
    /// Puts a request in; one that is there already is replaced, for example with what is left of its cost.
    pub fn put(&mut self, entry: Entry) {
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

    /// Takes a request out: it has its outcome, or waits for something else. None where it was not in.
    pub fn remove(&mut self, key: &Key) -> Option<Entry> {
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

    /// The request that the next quantum is for. Asking changes nothing.
    #[must_use]
    pub fn next(&self) -> Option<&Entry> {
        let (recipient, id) = if self.turns % PATIENCE == PATIENCE - 1 {
            let recipient = self.least(self.oldest.keys())?;
            let (_, id) = self.oldest.get(recipient)?.first()?;
            (recipient, id)
        } else {
            let (_, lane) = self.due.first_key_value()?;
            let recipient = self.least(lane.keys())?;
            let (_, _, id) = lane.get(recipient)?.first()?;
            (recipient, id)
        };
        self.entries.get(&Key {
            recipient: recipient.clone(),
            id: id.clone(),
        })
    }

    /// A turn was taken: the source was used for so many milliseconds for this recipient.
    pub fn charge(&mut self, recipient: &RecipientName, millis: u64) {
        let worked = self.worked.entry(recipient.clone()).or_default();
        // A turn that cost nothing measurable was one all the same.
        *worked = worked.saturating_add(millis.max(1));
        self.turns = self.turns.wrapping_add(1);
    }

    /// Requests in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A request in it.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All requests in it, by recipient and id.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    fn work(&self, recipient: &RecipientName) -> u64 {
        self.worked.get(recipient).copied().unwrap_or_default()
    }

    fn least<'a>(&self, recipients: impl Iterator<Item = &'a RecipientName>) -> Option<&'a RecipientName> {
        recipients.min_by_key(|recipient| (self.work(recipient), *recipient))
    }
}

fn due(entry: &Entry) -> Due {
    let unhurried = || {
        entry
            .stored_at
            .saturating_add(UNHURRIED)
            .unwrap_or(Timestamp::MAX)
    };
    let at = entry.deadline.unwrap_or_else(unhurried);
    (at, entry.sequence, entry.key.id.clone())
}

#[cfg(test)]
mod tests;

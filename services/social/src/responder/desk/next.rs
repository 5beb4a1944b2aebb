//! Which request the next quantum is for, and how many rows it may take.

use std::time::Duration;

use requests::admission::RowLimit;
use requests::kind::Kind;
use requests::queue::Key;
use requests::quota::{Place, Quota};
use tokio::time::Instant;

use super::super::answer::Answer;
use super::{Desk, MOST_POSTS};

/// How long a request waits for rows of its quota that other answers may leave.
const FOR_QUOTA: Duration = Duration::from_secs(1);

impl Desk {
    /// The request that the next quantum is for; none: nothing can be read now.
    pub(super) fn candidate(&mut self) -> Option<Key> {
        if !self.is_read || self.now().is_none() {
            return None;
        }
        if self.source_rests.is_some() {
            self.state("waiting for the source");
            return None;
        }
        if self.posts.len() >= MOST_POSTS {
            self.state("waiting for the exchange");
            return None;
        }
        while let Some(key) = self.queue.next().map(|entry| entry.key.clone()) {
            self.judge(&key);
            if self.queue.next().map(|entry| &entry.key) != Some(&key) {
                continue;
            }
            if !self.answers.contains_key(&key) && self.is_used_up(&key) {
                continue;
            }
            let state = if self.parts.gate.verdict().lets_work() {
                "answering"
            } else {
                "waiting for the gate"
            };
            self.state(state);
            return Some(key);
        }
        self.state("waiting for requests");
        None
    }

    /// Whether other answers have read all that is left of the recipient's rows a day; then it rests until they have
    /// their outcome.
    pub(super) fn is_used_up(&mut self, key: &Key) -> bool {
        let is_used_up = self.room(key) == Some(0);
        if is_used_up {
            self.rest(key, Instant::now() + FOR_QUOTA);
        }
        is_used_up
    }

    /// Rows that are left of the recipient's rows a day, those that answers in the making have read taken off; none:
    /// they are not limited.
    fn room(&self, key: &Key) -> Option<u64> {
        let most = self.parts.answering.quotas.get(&key.recipient)?.rows_a_day?;
        let quota = Quota {
            rows_a_day: Some(most),
            ..Quota::default()
        };
        let now = self.now()?;
        let place = Place {
            sequence: u64::MAX,
            stored_at: now,
        };
        let history = self.book.history(&key.recipient)?;
        let left = quota
            .judge(history, place, now)
            .ok()
            .flatten()
            .unwrap_or_default();
        let own = self
            .in_flight
            .iter()
            .filter(|(other, _)| other.recipient == key.recipient);
        Some(left.saturating_sub(own.map(|(_, rows)| *rows).sum()))
    }

    /// Rows in all, at most, and what says so.
    pub(super) fn most_rows(&self, answer: &Answer, kind: &Kind) -> (u64, RowLimit) {
        let most = kind.config().most_rows;
        let room = self
            .room(&answer.about.key)
            .map(|room| room.saturating_add(answer.rows()));
        match room.filter(|room| *room < most) {
            Some(room) => (room, RowLimit::Quota),
            None => (most, RowLimit::Kind),
        }
    }
}

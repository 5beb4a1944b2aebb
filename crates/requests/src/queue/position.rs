//! Positions in the queue: the order in which requests would be answered if no other request followed.

use super::{Queue, RequestKey};

/// The position of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition {
    /// The request.
    pub key: RequestKey,
    /// Its position. 1 is the next.
    pub place: u64,
    /// How long the source is used until it is answered, including those before it, in milliseconds.
    pub work_ms: u64,
}

impl Queue {
    /// Returns all requests, the next one first. This is an estimate: each request is taken as one turn of its whole cost, although a
    /// long one takes many turns with others between.
    #[must_use]
    pub fn positions(&self) -> Vec<QueuePosition> {
        let mut left = self.clone();
        let (mut positions, mut work_ms, mut place) = (Vec::with_capacity(self.len()), 0_u64, 0);
        while let Some(entry) = left.next() {
            let (key, cost) = (entry.key.clone(), entry.cost_ms.max(1));
            left.remove(&key);
            left.charge(&key.recipient, cost);
            work_ms = work_ms.saturating_add(cost);
            place += 1;
            positions.push(QueuePosition { key, place, work_ms });
        }
        positions
    }
}

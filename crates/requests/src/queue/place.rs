//! Places in the queue: the order in which requests would be through if nothing else came.

use super::{Key, Queue};

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub key: Key,
    /// 1 is the next.
    pub place: u64,
    /// How long the source is used until it is through, those before it included, in milliseconds.
    pub work_ms: u64,
}

impl Queue {
    /// All requests, the next first. A request is taken as one turn of its whole cost here, although a long one
    /// is read in many turns with others between: so it is an estimate, as the costs are.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut left = self.clone();
        let (mut places, mut work_ms, mut place) = (Vec::with_capacity(self.len()), 0_u64, 0);
        while let Some(entry) = left.next() {
            let (key, cost) = (entry.key.clone(), entry.cost_ms.max(1));
            left.remove(&key);
            left.charge(&key.recipient, cost);
            work_ms = work_ms.saturating_add(cost);
            place += 1;
            places.push(Place { key, place, work_ms });
        }
        places
    }
}

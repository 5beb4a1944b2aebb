//! PURE: rows that another row may make room for, and when they are tried again.
//!
//! A value that is unique at the receiver and moves from one row to another is, for a moment, in two rows: the receiver
//! sees the rows one by one, and the source changed them in one transaction. So a row that a unique or exclusion
//! constraint refused, or a foreign key that finds no row, is set aside as any refused row, and tried again without an
//! operator: right after its chunk, after the lane's next chunks, and then with back-off. The rule is that of every
//! retry: it is stored under its chunk's place, where nothing newer stands.
//!
//! Rows that hold each other's values (a swap, a ring) are stored together: their older versions give up what is
//! unique, in the same transaction, and then each is written. What is still refused then waits for another row, and is
//! left out; so is, in the next round, what waits for it.

use std::time::Duration;

use jiff::Timestamp;

use super::By;
use crate::merge::Place;
use crate::port::{Arrival, Outcome};

/// So often a row is tried after the next chunks of its lane, whatever the time.
pub const SOON: u32 = 8;

/// Rows that are tried in one transaction.
pub const MOST: u32 = 100;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

/// Since how many tries a row waits, and when it is tried next without a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How often it was tried again.
    pub tries: u32,
    /// When it is tried next.
    pub at: Timestamp,
}

/// When a row is tried again that was tried so often: twice as late each time, up to ten minutes.
#[must_use]
pub fn next_try(tries: u32, now: Timestamp) -> Timestamp {
    let delay = FIRST.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
    now.checked_add(delay.min(LONGEST)).unwrap_or(now)
}

/// What came of the rows of a lane that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// The chunks of the rows that were stored, once for each row.
    pub released: Vec<Place>,
    /// How many wait still.
    pub waiting: u64,
}

impl Retried {
    /// Takes rows that were stored after all out of the outcomes of their chunks.
    pub(crate) fn count_out(&self, arrivals: &[Arrival], outcomes: &mut [Outcome]) {
        for place in &self.released {
            let same = arrivals.iter().position(|arrival| Place::of(arrival) == *place);
            if let Some(Outcome::Stored { quarantined, .. }) = same.and_then(|at| outcomes.get_mut(at)) {
                *quarantined = quarantined.saturating_sub(1);
            }
        }
    }
}

/// Who ends an entry that nobody ordered to be tried.
#[must_use]
pub fn by_itself() -> By {
    By {
        actor: "slacktide".to_owned(),
        reason: "another row made room for it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_row_is_tried_later_each_time() {
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |tries| next_try(tries, now).as_second();
        assert_eq!(
            [0, 1, 2, 9, 10, 31, 32, 99].map(seconds),
            [1, 2, 4, 512, 600, 600, 600, 600]
        );
    }
}

//! PURE: rows that wait for another row, and when they are retried.
//!
//! A unique value that moves from one row to another exists in two rows for a moment: the source changed them in one
//! transaction, but the store receives them one by one. So a row that a unique or exclusion constraint refused, or a
//! foreign key without its target, is quarantined and retried without an operator: right after its chunk, after the
//! lane's next chunks, and then with back-off. As in every retry, it is stored under its chunk's number unless a
//! newer version is stored.
//!
//! Rows that hold each other's values (a swap, a ring) are stored together: in one transaction their older versions
//! free the unique values, then each row is written. Rows that are still refused wait for another row and are left
//! out; so are, in the next round, the rows that wait for them.

use std::time::Duration;

use jiff::Timestamp;

use super::Decision;
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::outcome::Outcome;

/// The number of retries after the next chunks of the lane, at any time.
pub const SOON: u32 = 8;

/// The number of rows retried in one transaction.
pub const MAX_ROWS_PER_TRY: u32 = 100;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

/// The state of a waiting row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The number of retries.
    pub tries: u32,
    /// When it is retried next without a chunk.
    pub at: Timestamp,
}

/// Returns when a row is retried next: the delay doubles each time, up to ten minutes.
#[must_use]
pub fn next_try(tries: u32, now: Timestamp) -> Timestamp {
    let delay = FIRST.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
    now.checked_add(delay.min(LONGEST)).unwrap_or(now)
}

/// The result of retrying a lane's waiting rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// The chunk number of each stored row.
    pub released: Vec<ChunkNumber>,
    /// The number of rows that still wait.
    pub waiting: u64,
}

impl Retried {
    /// Corrects the outcomes of chunks by the rows that were stored after all.
    pub(crate) fn count_out(&self, arrivals: &[Arrival], outcomes: &mut [Outcome]) {
        for chunk_number in &self.released {
            let same = arrivals
                .iter()
                .position(|arrival| ChunkNumber::of(arrival) == *chunk_number);
            if let Some(Outcome::Stored { quarantined, .. }) = same.and_then(|at| outcomes.get_mut(at)) {
                *quarantined = quarantined.saturating_sub(1);
            }
        }
    }
}

/// Returns the decision of an automatic retry.
#[must_use]
pub fn automatic_retry() -> Decision {
    Decision {
        actor: "slacktide".to_owned(),
        reason: "another row made room for it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_row_retry_delay_grows() {
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |tries| next_try(tries, now).as_second();
        assert_eq!(
            [0, 1, 2, 9, 10, 31, 32, 99].map(seconds),
            [1, 2, 4, 512, 600, 600, 600, 600]
        );
    }
}

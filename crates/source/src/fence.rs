//! PURE: the fence, the cursor value below which no row can still appear.
//!
//! A row becomes visible when its transaction commits, not at the time in its cursor. A reader that reads up to "now" skips rows
//! that commit late. Three rules bound what may be read:
//!
//! - [`TimeFence`] for a cursor that is a time of its transaction: strictly below the oldest start of an open transaction.
//! - [`HighWaterMark::by_transactions`] for a cursor that is a sequence number: an earlier maximum, once every transaction that
//!   was open then has ended.
//! - [`HighWaterMark::by_lag`] for a source that does not show its writers: the maximum of a declared lag ago.
//!
//! [`SourceClock`] bounds a time fence if the clock was set back or is ahead.
//!
//! All take their observations and the clock as arguments, so a simulation runs the same code.

mod clock;
mod high_water;
mod open;
mod prepared;
mod time;

pub use clock::{ClockProblem, ClockReading, ClockSample, SourceClock};
pub use high_water::HighWaterMark;
pub use open::{FenceHolder, OpenTransaction, PreparedOrigin, TransactionId};
pub use prepared::PreparedTransactions;
use schemas::cursor::Scalar;
pub use time::{TimeFence, TimeFenceReading, TransactionSnapshot};

/// Bounds the first cursor column. The database compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Rows strictly below, for times.
    Below(Scalar),
    /// Rows up to and including: a maximum below which every row is committed or rolled back.
    UpTo(Scalar),
    /// Every row. Only for a source that is known not to change.
    Open,
}

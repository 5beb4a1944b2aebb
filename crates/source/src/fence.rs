//! PURE: the fence, the cursor value below which no row can still appear.
//!
//! A row becomes visible when its transaction commits, not at the time in its cursor. Whoever
//! reads up to "now" skips what commits late. Three rules say how far may be read:
//!
//! - [`TimeFence`] the cursor is a time taken in the transaction: strictly below the oldest start
//!   of a transaction still open.
//! - [`HighWater::by_transactions`] the cursor is a sequence's number: a maximum noted earlier,
//!   once every transaction open at that moment has ended.
//! - [`HighWater::by_lag`] nobody knows who is still writing: a maximum noted a declared lag ago.
//!
//! [`SourceClock`] bounds a fence that is a time: a clock that went back, or that is ahead.
//!
//! All take what was seen and the clock as arguments, so a simulation can run the very same code.

mod clock;
mod high_water;
mod open;
mod prepared;
mod time;

pub use clock::{ClockLook, ClockReading, ClockTrouble, SourceClock};
pub use high_water::HighWater;
pub use open::{OpenTransaction, TransactionId};
pub use prepared::{PreparedOrigin, PreparedTransactions};
use schemas::cursor::Scalar;
pub use time::{TimeFence, TimeLook, TimeReading};

/// Bounds the first cursor column. The comparison is the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Rows strictly below: times.
    Below(Scalar),
    /// Rows up to and with it: a maximum that was noted when every row up to it was decided.
    UpTo(Scalar),
    /// Every row: only where the source is known to stand still.
    Open,
}

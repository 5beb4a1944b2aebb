//! The fence: the cursor value below which no row can still appear.

use schemas::cursor::Scalar;

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

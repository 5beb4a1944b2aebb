//! Numbers of statements outside of the bookkeeping.

/// Converts an unsigned number for SQLite.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! What a reader cannot prove of its feed, and rows that are not in the cursor's order.

use runtime::unverified::Unverified;
use schemas::manifest::Reject;

/// The cursor's format has not been checked over the whole table, or cannot be.
pub const CURSOR_UNPROVEN: &str = "cursor_unproven";
/// Rows have another cursor format than the feed.
pub const CURSOR_FORMATS: &str = "cursor_formats";
/// Rows are ahead of the source's clock or sequence.
pub const FUTURE_ROWS: &str = "future_rows";
/// The key is not proven unique.
pub const KEY_UNPROVEN: &str = "key_unproven";
/// The SQL or a view selects rows by the account that reads.
pub const ROWS_BY_ACCOUNT: &str = "rows_by_account";
/// The sequence that fills the cursor cannot be read.
pub const SEQUENCE_UNREADABLE: &str = "sequence_unreadable";

/// The codes that a reader sets and clears. Other codes of the feed belong to other components.
pub const CODES: [&str; 6] = [
    CURSOR_UNPROVEN,
    CURSOR_FORMATS,
    FUTURE_ROWS,
    KEY_UNPROVEN,
    ROWS_BY_ACCOUNT,
    SEQUENCE_UNREADABLE,
];

/// Rows that are listed at most. Further rows are only counted.
pub(crate) const MAX_UNORDERED_ROWS: usize = 500;

/// Reasons why not every row may have been read.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Reasons by the codes of [`CODES`].
    pub unverified: Unverified,
    /// Rows whose cursor has another format, as rejects for the recipients.
    pub format_mismatches: Vec<Reject>,
    /// Rows ahead of the clock, as rejects for the recipients if the feed sends them.
    pub future: Vec<Reject>,
}

impl Evidence {
    /// Iterates over all rows that are not in the cursor's order now.
    pub fn unordered_rows(&self) -> impl Iterator<Item = &Reject> {
        self.format_mismatches.iter().chain(&self.future)
    }

    /// Sets or clears a code.
    pub(crate) fn record(&mut self, code: &'static str, reason: Option<(String, String)>) {
        match reason {
            Some((detail, remedy)) => {
                self.unverified.set(code, detail, remedy);
            }
            None => {
                self.unverified.clear(code);
            }
        }
    }
}

/// Formats a count: `3 rows`, `1 row`, `500 rows or more`.
pub(crate) fn rows(count: usize, is_all: bool) -> String {
    match (count, is_all) {
        (1, true) => "1 row".to_owned(),
        (count, true) => format!("{count} rows"),
        (count, false) => format!("{count} rows or more"),
    }
}

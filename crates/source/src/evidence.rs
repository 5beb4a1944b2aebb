//! What a reader cannot prove of its feed, and rows that have no place in the order.

use runtime::unverified::Unverified;
use schemas::manifest::Reject;

/// The cursor's form was not checked over the whole table yet, or cannot be.
pub const CURSOR_UNPROVEN: &str = "cursor_unproven";
/// Rows hold another form in the cursor than the feed's.
pub const CURSOR_FORMS: &str = "cursor_forms";
/// Rows are ahead of the source's clock, or of its sequence.
pub const FUTURE_ROWS: &str = "future_rows";
/// The key was not proven to be unique.
pub const KEY_UNPROVEN: &str = "key_unproven";
/// The SQL or a view chooses rows by the account that reads.
pub const ROWS_BY_ACCOUNT: &str = "rows_by_account";
/// The sequence that fills the cursor cannot be read.
pub const SEQUENCE_UNREADABLE: &str = "sequence_unreadable";

/// The codes that a reader sets and clears; others of the feed are not its own.
pub const CODES: [&str; 6] = [
    CURSOR_UNPROVEN,
    CURSOR_FORMS,
    FUTURE_ROWS,
    KEY_UNPROVEN,
    ROWS_BY_ACCOUNT,
    SEQUENCE_UNREADABLE,
];

/// Rows of which notes are made at most; of more, the rest is counted.
pub(crate) const MOST_UNPLACED: usize = 500;

/// What a reader knows against the claim that everything was read.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Why "caught up" cannot be claimed, by the codes of [`CODES`].
    pub unverified: Unverified,
    /// Rows whose cursor has another form: notes for the recipients.
    pub misfits: Vec<Reject>,
    /// Rows ahead of the clock: notes for the recipients, where the feed sends them.
    pub future: Vec<Reject>,
}

impl Evidence {
    /// The notes of all rows that have no place in the order now.
    pub fn unplaced(&self) -> impl Iterator<Item = &Reject> {
        self.misfits.iter().chain(&self.future)
    }

    /// Sets or clears a code.
    pub(crate) fn note(&mut self, code: &'static str, reason: Option<(String, String)>) {
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

/// `3 rows`, `1 row`, `500 rows or more`.
pub(crate) fn rows(count: usize, is_all: bool) -> String {
    match (count, is_all) {
        (1, true) => "1 row".to_owned(),
        (count, true) => format!("{count} rows"),
        (count, false) => format!("{count} rows or more"),
    }
}

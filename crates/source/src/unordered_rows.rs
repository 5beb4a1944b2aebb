//! PURE: reports rows that are not in a feed's cursor order.

use schemas::manifest::Reject;

use crate::error::{Error, refused};
use crate::evidence::{CURSOR_FORMATS, Evidence, FUTURE_ROWS, MAX_UNORDERED_ROWS, rows};
use crate::feed::{FeedDefinition, FutureRows};

/// The reason of a row whose cursor has another format.
pub(crate) const MISMATCH_REASON: &str =
    "the cursor's value has another format than the feed's, so the row has no place in its order";

/// The reason of a row ahead of the clock.
pub(crate) const FUTURE_REASON: &str =
    "the cursor's value is ahead of the source's clock or sequence; the row follows when it is not";

/// Adds column and reason to a reject.
pub(crate) fn reject(feed: &FeedDefinition, mut note: Reject, reason: &str) -> Reject {
    note.column = feed.cursor.first().cloned();
    reason.clone_into(&mut note.reason);
    note
}

/// Reports rows ahead of the clock. `what` is what they are ahead of.
pub(crate) fn set_future_rows(
    evidence: &mut Evidence,
    feed: &FeedDefinition,
    mut found: Vec<Reject>,
    what: &str,
) {
    let is_all = found.len() <= MAX_UNORDERED_ROWS;
    found.truncate(MAX_UNORDERED_ROWS);
    let count = found.len();
    let first = feed.cursor.first().map_or("", String::as_str);
    let reason = (count > 0).then(|| {
        (
            format!(
                "{} ahead of {what} in cursor column {first}; they wait until it has reached them",
                rows(count, is_all)
            ),
            "correct these rows, or the clock that wrote them; if writers use another zone set cursor_zone, if an integer \
             is not a time set cursor_counts = \"numbers\""
                .to_owned(),
        )
    });
    evidence.record(FUTURE_ROWS, reason);
    evidence.future = match feed.clock.future {
        FutureRows::Hold => Vec::new(),
        FutureRows::Send => found
            .into_iter()
            .map(|note| reject(feed, note, FUTURE_REASON))
            .collect(),
    };
}

/// Reports rows whose cursor does not have `format`.
pub(crate) fn set_format_mismatches(
    evidence: &mut Evidence,
    feed: &FeedDefinition,
    count: usize,
    found: Vec<Reject>,
    format: &str,
) {
    let first = feed.cursor.first().map_or("", String::as_str);
    let reason = (count > 0).then(|| {
        (
            format!(
                "{} in cursor column {first} are not {format}; they have no place in the order and are sent as rejects",
                rows(count, count <= MAX_UNORDERED_ROWS)
            ),
            "correct these values, or convert the column to one format in the feed's sql".to_owned(),
        )
    });
    evidence.record(CURSOR_FORMATS, reason);
    let found = found.into_iter().take(MAX_UNORDERED_ROWS);
    evidence.format_mismatches = found.map(|note| reject(feed, note, MISMATCH_REASON)).collect();
}

/// Refuses a feed most of whose rows have another format.
pub(crate) fn refuse_many_mismatches(
    feed: &FeedDefinition,
    format_mismatches: u64,
    all: u64,
    format: &str,
) -> Option<Error> {
    let fits = all.saturating_sub(format_mismatches);
    let many =
        format_mismatches > fits || (format_mismatches > 3 && format_mismatches.saturating_mul(10) > all);
    let first = feed.cursor.first().map_or("", String::as_str);
    many.then(|| {
        refused(
            format!("cursor column {first} holds values of several formats: {format_mismatches} of {all} rows are not {format}"),
            "convert the column to one format in the feed's sql, for example CAST(… AS INTEGER) or strftime('%Y-%m-%d %H:%M:%f', …)",
        )
    })
}

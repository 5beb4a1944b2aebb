//! PURE: what is told of rows that have no place in a feed's order.

use schemas::manifest::Reject;

use crate::error::{Error, refused};
use crate::evidence::{CURSOR_FORMS, Evidence, FUTURE_ROWS, MOST_UNPLACED, rows};
use crate::feed::{FeedDefinition, FutureRows};

/// The note of a row whose cursor has another form.
pub(crate) const MISFIT: &str =
    "the cursor's value has another form than the feed's, so the row has no place in its order";

/// The note of a row ahead of the clock.
pub(crate) const AHEAD: &str =
    "the cursor's value is ahead of the source's clock or sequence; the row follows when it is not";

/// Makes the note of a row.
pub(crate) fn reject(feed: &FeedDefinition, mut note: Reject, reason: &str) -> Reject {
    note.column = feed.cursor.first().cloned();
    reason.clone_into(&mut note.reason);
    note
}

/// Shows rows ahead of the clock. `what` is what they are ahead of.
pub(crate) fn show_future(
    evidence: &mut Evidence,
    feed: &FeedDefinition,
    mut found: Vec<Reject>,
    what: &str,
) {
    let is_all = found.len() <= MOST_UNPLACED;
    found.truncate(MOST_UNPLACED);
    let count = found.len();
    let first = feed.cursor.first().map_or("", String::as_str);
    let reason = (count > 0).then(|| {
        (
            format!(
                "{} ahead of {what} in cursor column {first}; they wait until it has reached them",
                rows(count, is_all)
            ),
            "correct these rows, or the clock that wrote them; where writers use another zone set cursor_zone, where an integer \
             is no time set cursor_counts = \"numbers\""
                .to_owned(),
        )
    });
    evidence.note(FUTURE_ROWS, reason);
    evidence.future = match feed.clock.future {
        FutureRows::Hold => Vec::new(),
        FutureRows::Send => found.into_iter().map(|note| reject(feed, note, AHEAD)).collect(),
    };
}

/// Shows rows whose cursor has another form than `form`.
pub(crate) fn show_misfits(
    evidence: &mut Evidence,
    feed: &FeedDefinition,
    count: usize,
    found: Vec<Reject>,
    form: &str,
) {
    let first = feed.cursor.first().map_or("", String::as_str);
    let reason = (count > 0).then(|| {
        (
            format!(
                "{} in cursor column {first} are not {form}; they have no place in the order and are sent as rejects",
                rows(count, count <= MOST_UNPLACED)
            ),
            "correct these values, or write the column in one form in the feed's sql".to_owned(),
        )
    });
    evidence.note(CURSOR_FORMS, reason);
    let found = found.into_iter().take(MOST_UNPLACED);
    evidence.misfits = found.map(|note| reject(feed, note, MISFIT)).collect();
}

/// Refuses a feed most of whose rows have another form.
pub(crate) fn too_many_misfits(feed: &FeedDefinition, misfits: u64, all: u64, form: &str) -> Option<Error> {
    let fits = all.saturating_sub(misfits);
    let many = misfits > fits || (misfits > 3 && misfits.saturating_mul(10) > all);
    let first = feed.cursor.first().map_or("", String::as_str);
    many.then(|| {
        refused(
            format!("cursor column {first} holds values of several forms: {misfits} of {all} rows are not {form}"),
            "write the column in one form in the feed's sql, for example CAST(… AS INTEGER) or strftime('%Y-%m-%d %H:%M:%f', …)",
        )
    })
}

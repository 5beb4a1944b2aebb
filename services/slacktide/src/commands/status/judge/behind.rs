//! Who has not done their part: chunks that are not signed for, counted and timed by the exchange's times.

use jiff::Timestamp;

use super::page::{own, text};
use super::state::{Found, State};
use crate::commands::status::ago::{seconds, span};
use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// A chunk that is not signed for after this long is behind.
pub(super) const BEHIND_S: i64 = 60;

/// So many chunks that are not signed for are behind, if the receipt is as old as that.
const BEHIND_CHUNKS: u64 = 60;

/// Chunks that are not signed for, and since when the last one waits.
pub(super) fn lag(lane: &LaneFacts, now: Timestamp) -> (Option<u64>, Option<i64>) {
    let Some(chunk) = &lane.chunk else {
        return (None, None);
    };
    let behind = match &lane.receipt {
        None => chunk.number,
        Some(receipt) if receipt.epoch == chunk.epoch => chunk.number.saturating_sub(receipt.to),
        Some(receipt) if receipt.epoch > chunk.epoch => 0,
        Some(_) => chunk.number,
    };
    (
        Some(behind),
        (behind > 0).then(|| seconds(chunk.stored_at, now).max(0)),
    )
}

/// A lane whose chunks wait for a receipt for too long.
pub(super) fn behind(facts: &Facts, lane: &LaneFacts, chunks: u64, since: Option<i64>) -> Found {
    let since = since?;
    let receipt_age = lane
        .receipt
        .as_ref()
        .map(|receipt| seconds(receipt.stored_at, facts.at));
    let many = chunks >= BEHIND_CHUNKS && receipt_age.is_none_or(|age| age > BEHIND_S);
    if since <= BEHIND_S && !many {
        return None;
    }
    let last = receipt_age.map_or("no receipt yet".to_owned(), |age| {
        format!("last receipt {} ago", span(age))
    });
    let why = format!(
        "{chunks} chunks are not signed for, the last since {}; {last}",
        span(since)
    );
    match facts.side {
        Side::Insurer => {
            let own = own(facts, lane);
            let error = text(own, "last_error").or_else(|| text(facts.agent.page.as_ref(), "last_error"));
            let why = error.map_or(why.clone(), |error| format!("{why}; {error}"));
            Some((
                State::Behind,
                why,
                format!(
                    "see that the agent runs and its store answers; where the store was restored, `slacktide feed refill {}`",
                    lane.feed
                ),
            ))
        }
        Side::Bureau | Side::Other => Some((
            State::OtherSideBehind,
            why,
            "ask the receiver's operator; nothing is lost".to_owned(),
        )),
    }
}

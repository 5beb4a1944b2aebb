//! Chunks without a receipt, counted, with their age by the exchange's timestamps.

use jiff::Timestamp;

use super::page::{own, text};
use super::state::{State, Verdict};
use crate::commands::status::ago::{seconds, span};
use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// A lane is behind if a chunk has no receipt after this time.
pub(super) const BEHIND_S: i64 = 60;

/// A lane is behind with this many chunks without a receipt, if the last receipt is older than `BEHIND_S`.
const BEHIND_CHUNKS: u64 = 60;

/// Returns the chunks without a receipt, and since when the last one waits.
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

/// The chunks wait too long for a receipt.
pub(super) fn behind(facts: &Facts, lane: &LaneFacts, chunks: u64, since: Option<i64>) -> Verdict {
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
        "{chunks} chunks have no receipt, the last one for {}; {last}",
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
                    "check that the agent runs and its store answers; if the store was restored, run `slacktide feed refill {}`",
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

//! Who has to act: the side that stopped the lane says why, and the words differ by who reads them.

use jiff::Timestamp;

use super::behind::BEHIND_S;
use super::page::{feed, own, tells_itself, text};
use super::state::{Found, State};
use crate::commands::status::ago::{seconds, span};
use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// A lane that somebody stopped, wherever.
pub(super) fn stopped(facts: &Facts, lane: &LaneFacts) -> Found {
    let own = own(facts, lane);
    // The receipt is for the bureau's eyes: here stands more.
    if facts.side == Side::Insurer
        && let Some(why) = text(own, "refused")
    {
        let (why, to_do) = why.split_once("; ").unwrap_or((why, "act as it says"));
        return Some((
            State::Stopped,
            format!("at the receiver: {why}"),
            to_do.to_owned(),
        ));
    }
    // The receiver's own page says more of a store that is behind, and how to heal it.
    let is_shown_here = facts.side == Side::Insurer && own.is_some();
    if let Some(why) = lane
        .receipt
        .as_ref()
        .filter(|receipt| !(receipt.is_behind && is_shown_here))
        .and_then(|receipt| receipt.stopped.as_deref())
    {
        let to_do = if facts.side == Side::Bureau && why.contains("restored or rewritten") {
            format!(
                "find out what happened to the exchange, then `slacktide feed rewind {} --recipient {} --from receipt`",
                lane.feed, lane.recipient
            )
        } else if facts.side == Side::Bureau {
            "the receiver's operator has to act: `slacktide status` there says how".to_owned()
        } else {
            "act as it says; the bureau's operator sees it, too".to_owned()
        };
        return Some((State::Stopped, format!("at the receiver: {why}"), to_do));
    }
    if facts.side == Side::Bureau && own.and_then(|own| own.get("stopped")?.as_bool()) == Some(true) {
        let why = text(own, "state").unwrap_or("no reason told");
        let (why, to_do) = why.split_once("; ").unwrap_or((why, "see the agent's log"));
        return Some((State::Stopped, format!("at the bureau: {why}"), to_do.to_owned()));
    }
    if facts.side == Side::Bureau
        && let Some(changed) = &lane.changed
    {
        let (why, to_do) = changed
            .split_once("; ")
            .unwrap_or((changed, "put the old one back"));
        return Some((State::Stopped, format!("at the bureau: {why}"), to_do.to_owned()));
    }
    if let Some(why) = text(own, "stopped") {
        return Some((
            State::Stopped,
            format!("at this side: {why}"),
            "act as it says".to_owned(),
        ));
    }
    if let Some(why) = lane
        .bureau_says
        .as_deref()
        .filter(|_| !tells_itself(facts))
        .and_then(|says| says.strip_prefix("stopped: "))
    {
        let to_do = match facts.side {
            Side::Bureau => "`slacktide status` on the host of the agent that holds the lease says how",
            _ => "ask the bureau's operator; nothing can be done here",
        };
        return Some((State::Stopped, format!("at the bureau: {why}"), to_do.to_owned()));
    }
    let state = text(feed(facts, lane), "state").filter(|state| state.starts_with("stopped"))?;
    let (why, to_do) = state
        .split_once("; ")
        .unwrap_or((state, "correct the feed, then restart the agent"));
    Some((State::Stopped, format!("at the source: {why}"), to_do.to_owned()))
}

/// A chunk that stays away while later ones are here: the store lost it before it signed for it, or the exchange dropped it or
/// keeps it back.
pub(super) fn missing(facts: &Facts, lane: &LaneFacts) -> Found {
    let missing = own(facts, lane)?.get("missing")?;
    let since: Timestamp = missing.get("since")?.as_str()?.parse().ok()?;
    let waited = seconds(since, facts.at);
    if facts.side != Side::Insurer || waited <= BEHIND_S {
        return None;
    }
    let (epoch, number) = (missing.get("epoch")?, missing.get("number")?);
    let why = format!(
        "number {number} of epoch {epoch} is missing since {}, and later ones are here: the store lost it, it was dropped at the \
         exchange, or it is kept back",
        span(waited)
    );
    let to_do = format!(
        "`slacktide feed refill {}` stores again what the exchange keeps; what it does not bring, ask the auditor for (`slacktide \
         audit verify`), then the bureau for a new epoch (`slacktide feed rewind`)",
        lane.feed
    );
    Some((State::Stopped, why, to_do))
}

//! Stopped lanes. The side that stopped the lane gives the cause; the remedy depends on the viewer's side.

use jiff::Timestamp;
use serde_json::Value;

use super::behind::BEHIND_S;
use super::page::{feed, has_current_page, own, text};
use super::state::{State, Verdict};
use super::unverified::unverified_here;
use crate::commands::status::ago::{seconds, span};
use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// The lane is stopped at the bureau or at the receiver.
pub(super) fn stopped(facts: &Facts, lane: &LaneFacts) -> Verdict {
    let own = own(facts, lane);
    // The receiver's page has more details than its receipt.
    if facts.side == Side::Insurer
        && let Some(why) = text(own, "refused")
    {
        let (why, remedy) = why.split_once("; ").unwrap_or((why, "follow the message"));
        return Some((
            State::Stopped,
            format!("at the receiver: {why}"),
            remedy.to_owned(),
        ));
    }
    // The receiver's own page has the remedy for a store that is behind.
    let is_shown_here = facts.side == Side::Insurer && own.is_some();
    if let Some(why) = lane
        .receipt
        .as_ref()
        .filter(|receipt| !(receipt.is_behind && is_shown_here))
        .and_then(|receipt| receipt.stopped.as_deref())
    {
        let remedy = if facts.side == Side::Bureau && why.contains("restored or rewritten") {
            format!(
                "find out what happened to the exchange, then `slacktide feed rewind {} --recipient {} --from receipt`",
                lane.feed, lane.recipient
            )
        } else if facts.side == Side::Bureau {
            "the receiver's operator must act: run `slacktide status` there".to_owned()
        } else {
            "follow the message; the bureau's operator sees it, too".to_owned()
        };
        let mut verdict = (State::Stopped, format!("at the receiver: {why}"), remedy);
        // A receiver that is behind its receipts may need an epoch that only the bureau can open.
        if lane.receipt.as_ref().is_some_and(|receipt| receipt.is_behind)
            && let Some((_, why, remedy)) = stopped_at_bureau(facts, own)
        {
            verdict.1 = format!("{}; {why}", verdict.1);
            verdict.2 = format!("{}; then {remedy}", verdict.2);
        }
        return Some(verdict);
    }
    if let Some(verdict) = stopped_at_bureau(facts, own) {
        return Some(verdict);
    }
    if facts.side == Side::Bureau
        && let Some(changed) = &lane.changed
    {
        let (why, remedy) = changed
            .split_once("; ")
            .unwrap_or((changed, "restore the old definition"));
        return Some((State::Stopped, format!("at the bureau: {why}"), remedy.to_owned()));
    }
    if let Some(why) = text(own, "stopped") {
        return Some((
            State::Stopped,
            format!("at this side: {why}"),
            "follow the message".to_owned(),
        ));
    }
    if let Some(why) = lane
        .bureau_notice
        .as_deref()
        .filter(|_| !has_current_page(facts))
        .and_then(|notice| notice.strip_prefix("stopped: "))
    {
        let remedy = match facts.side {
            Side::Bureau => "run `slacktide status` on the host of the agent that holds the lease",
            _ => "ask the bureau's operator; nothing can be done here",
        };
        let why = format!("at the bureau: {why}");
        // What this side has to repair comes first: the bureau waits for it.
        return Some(match unverified_here(facts, lane) {
            Some((_, here, first)) => (
                State::Stopped,
                format!("{why}; at this side: {here}"),
                format!("{first}; then ask the bureau's operator"),
            ),
            None => (State::Stopped, why, remedy.to_owned()),
        });
    }
    let state = text(feed(facts, lane), "state").filter(|state| state.starts_with("stopped"))?;
    let (why, remedy) = state
        .split_once("; ")
        .unwrap_or((state, "correct the feed, then restart the agent"));
    Some((State::Stopped, format!("at the source: {why}"), remedy.to_owned()))
}

/// The bureau's own agent stopped the lane.
fn stopped_at_bureau(facts: &Facts, own: Option<&Value>) -> Verdict {
    let is_stopped = own.and_then(|own| own.get("stopped")?.as_bool()) == Some(true);
    if facts.side != Side::Bureau || !is_stopped {
        return None;
    }
    let why = text(own, "state").unwrap_or("no reason given");
    let (why, remedy) = why.split_once("; ").unwrap_or((why, "see the agent's log"));
    Some((State::Stopped, format!("at the bureau: {why}"), remedy.to_owned()))
}

/// A chunk is missing while later ones are stored: the store lost it before its receipt, or the exchange dropped or
/// withholds it.
pub(super) fn missing(facts: &Facts, lane: &LaneFacts) -> Verdict {
    let missing = own(facts, lane)?.get("missing")?;
    let since: Timestamp = missing.get("since")?.as_str()?.parse().ok()?;
    let waited = seconds(since, facts.at);
    if facts.side != Side::Insurer || waited <= BEHIND_S {
        return None;
    }
    let (epoch, number) = (missing.get("epoch")?, missing.get("number")?);
    let why = format!(
        "number {number} of epoch {epoch} is missing for {}, and later ones are stored: the store lost it, or the exchange dropped or \
         withholds it",
        span(waited)
    );
    let remedy = format!(
        "`slacktide feed refill {}` stores again what the exchange keeps; if the chunk is not there, ask the auditor (`slacktide \
         audit verify`), then ask the bureau for a new epoch (`slacktide feed rewind`)",
        lane.feed
    );
    Some((State::Stopped, why, remedy))
}

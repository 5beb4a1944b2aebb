//! The state by this side's agent: whether it runs, what it waits for, what fails.

use serde_json::Value;

use super::behind::lag;
use super::page::{feed, has_current_page, own, text};
use super::state::{State, Verdict};
use crate::commands::status::facts::{Facts, LaneFacts, LeaseFacts, Side};

/// The agent does not answer, and no other agent works in its place.
pub(super) fn not_running(facts: &Facts) -> Verdict {
    if facts.agent.is_well() {
        return None;
    }
    // Another agent of the same source may do the work.
    if facts.side == Side::Bureau && facts.lease.as_ref().is_some_and(LeaseFacts::is_held) {
        return None;
    }
    let address = facts.agent.address.as_deref().unwrap_or("its address");
    let remedy = match facts.side {
        Side::Insurer => "start `slacktide commercial run`",
        _ => "start `slacktide social run`",
    };
    Some((
        State::NotRunning,
        format!("no agent answers at {address}"),
        remedy.to_owned(),
    ))
}

/// The bureau's notice reports that its core is busy.
pub(super) fn waiting_at_bureau(facts: &Facts, lane: &LaneFacts) -> Verdict {
    let notice = lane
        .bureau_notice
        .as_deref()
        .filter(|_| !has_current_page(facts))?;
    let why = format!("at the bureau: {}", notice.strip_prefix("waiting: ")?);
    Some((State::WaitingForSlack, why, String::new()))
}

/// The state by the agent's page.
pub(super) fn agent_state(facts: &Facts, lane: &LaneFacts) -> Verdict {
    let page = facts.agent.page.as_ref()?;
    let disconnected = page
        .pointer("/exchange/state")
        .and_then(Value::as_str)
        .filter(|state| *state != "connected");
    if let Some(state) = disconnected {
        let why = text(page.get("exchange"), "why").map_or(String::new(), |why| format!(": {why}"));
        let remedy = "check the agent's network and credential, or run `slacktide doctor`".to_owned();
        return Some((
            State::Behind,
            format!("the agent's connection to the exchange is {state}{why}"),
            remedy,
        ));
    }
    if facts.side == Side::Insurer {
        return receiver_state(page, own(facts, lane));
    }
    if text(own(facts, lane), "state") == Some("waiting for a replica that lags") {
        return Some(behind(
            "the exchange's last chunk is older than the last one that is known: a replica lags, or the exchange was restored",
            "the agent asks the exchange's leader until one of them is proven",
        ));
    }
    let gate = page.get("gate");
    if text(gate, "state") == Some("closed") {
        let why = text(gate, "reason").unwrap_or("no reason given").to_owned();
        return Some((State::WaitingForSlack, why, String::new()));
    }
    let feed = feed(facts, lane);
    match text(feed, "state") {
        Some("waiting for the source") => {
            let error = text(feed, "last_error").unwrap_or("the source does not answer");
            Some(behind(error, "check that the core's database answers"))
        }
        Some("waiting for the fence") => {
            let holder = feed.and_then(|feed| feed.get("fence_stalled_by"));
            let role = text(holder, "role").unwrap_or("an unknown role");
            let why = format!("a transaction of {role} holds the fence");
            Some((
                State::WaitingForSlack,
                why,
                "reading continues when that transaction ends".to_owned(),
            ))
        }
        Some("caught up") => {
            let error = text(own(facts, lane), "last_error");
            match error {
                Some(error) if own(facts, lane).is_some_and(|own| !own["unpublished_since"].is_null()) => {
                    Some(behind(error, "the agent retries"))
                }
                // Everything is published, and chunks wait for a receipt.
                _ if lag(lane, facts.at).0 > Some(0) => None,
                // A chunk was just published, or the exchange lost one.
                _ if is_tail_another(own(facts, lane), lane) => {
                    Some((State::Flowing, String::new(), String::new()))
                }
                _ => Some((State::CaughtUp, String::new(), String::new())),
            }
        }
        _ => None,
    }
}

/// Whether the last chunk that the own agent knows is not the exchange's last one.
fn is_tail_another(own: Option<&Value>, lane: &LaneFacts) -> bool {
    let number = |key: &str| own?.get(key)?.as_u64();
    let tail = lane.chunk.as_ref();
    let tail = tail.map_or((0, 0), |chunk| (u64::from(chunk.epoch), chunk.number));
    let known = number("epoch").zip(number("number"));
    known.is_some_and(|known| known != tail)
}

fn receiver_state(page: &Value, own: Option<&Value>) -> Verdict {
    if let Some(why) = text(own, "missing_key") {
        let remedy = "put the seed of that key into [encryption]".to_owned();
        return Some((State::Behind, format!("chunks wait for a key: {why}"), remedy));
    }
    // An error of the whole agent concerns every lane.
    let why = text(Some(page), "last_error").or_else(|| text(own, "last_error"))?;
    let (state, why, remedy) = behind(why, "the agent retries");
    Some((state, why, format!("{remedy}; nothing is lost meanwhile")))
}

/// Splits an error into cause and remedy; the default remedy is `default_remedy`.
fn behind(error: &str, default_remedy: &str) -> (State, String, String) {
    let (why, remedy) = error.split_once("; ").unwrap_or((error, default_remedy));
    (State::Behind, why.to_owned(), remedy.to_owned())
}

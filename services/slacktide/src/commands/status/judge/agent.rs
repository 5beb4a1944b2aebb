//! What this side's agent says: whether it runs, what it waits for, what it cannot do.

use serde_json::Value;

use super::page::{feed, own, tells_itself, text};
use super::state::{Found, State};
use crate::commands::status::facts::{Facts, LaneFacts, LeaseFacts, Side};

/// An agent that does not answer, with nobody in its place.
pub(super) fn not_running(facts: &Facts) -> Found {
    if facts.agent.is_well() {
        return None;
    }
    // Another agent of the same source may do the work.
    if facts.side == Side::Bureau && facts.lease.as_ref().is_some_and(LeaseFacts::is_held) {
        return None;
    }
    let address = facts.agent.address.as_deref().unwrap_or("its address");
    let to_do = match facts.side {
        Side::Insurer => "start `slacktide commercial run`",
        _ => "start `slacktide social run`",
    };
    Some((
        State::NotRunning,
        format!("no agent answers at {address}"),
        to_do.to_owned(),
    ))
}

/// A lane whose bureau has told that its core is busy.
pub(super) fn waits_there(facts: &Facts, lane: &LaneFacts) -> Found {
    let says = lane.bureau_says.as_deref().filter(|_| !tells_itself(facts))?;
    let why = format!("at the bureau: {}", says.strip_prefix("waiting: ")?);
    Some((State::WaitingForSlack, why, String::new()))
}

/// What the agent's page tells.
pub(super) fn agent_says(facts: &Facts, lane: &LaneFacts) -> Found {
    let page = facts.agent.page.as_ref()?;
    let away = page
        .pointer("/exchange/state")
        .and_then(Value::as_str)
        .filter(|state| *state != "connected");
    if let Some(state) = away {
        let why = text(page.get("exchange"), "why").map_or(String::new(), |why| format!(": {why}"));
        let to_do = "see the agent's network and credential, or ask `slacktide doctor`".to_owned();
        return Some((
            State::Behind,
            format!("the agent's connection to the exchange is {state}{why}"),
            to_do,
        ));
    }
    if facts.side == Side::Insurer {
        return receiver_says(page, own(facts, lane));
    }
    let gate = page.get("gate");
    if text(gate, "state") == Some("shut") {
        let why = text(gate, "reason").unwrap_or("no reason told").to_owned();
        return Some((State::WaitingForSlack, why, String::new()));
    }
    let feed = feed(facts, lane);
    match text(feed, "state") {
        Some("waiting for the source") => {
            let error = text(feed, "last_error").unwrap_or("the source does not answer");
            Some(behind(error, "see that the core's database answers"))
        }
        Some("waiting for the fence") => {
            let who = feed.and_then(|feed| feed.get("fence_held_by"));
            let role = text(who, "role").unwrap_or("somebody");
            let why = format!("a transaction of {role} holds the fence");
            Some((
                State::WaitingForSlack,
                why,
                "it goes on when that transaction ends".to_owned(),
            ))
        }
        Some("caught up") => {
            let error = text(own(facts, lane), "last_error");
            match error {
                Some(error) if own(facts, lane).is_some_and(|own| !own["unpublished_since"].is_null()) => {
                    Some(behind(error, "it is tried again"))
                }
                _ => Some((State::CaughtUp, String::new(), String::new())),
            }
        }
        _ => None,
    }
}

fn receiver_says(page: &Value, own: Option<&Value>) -> Found {
    if let Some(why) = text(own, "waits_for_key") {
        let to_do = "put the seed of that key into [sealing]".to_owned();
        return Some((State::Behind, format!("chunks wait for a key: {why}"), to_do));
    }
    // What the whole agent cannot do, no lane can.
    let why = text(Some(page), "last_error").or_else(|| text(own, "last_error"))?;
    let (state, why, to_do) = behind(why, "it is tried again");
    Some((state, why, format!("{to_do}; nothing is lost meanwhile")))
}

/// An error with the remedy that it names, or with `otherwise`.
fn behind(error: &str, otherwise: &str) -> (State, String, String) {
    let (why, to_do) = error.split_once("; ").unwrap_or((error, otherwise));
    (State::Behind, why.to_owned(), to_do.to_owned())
}

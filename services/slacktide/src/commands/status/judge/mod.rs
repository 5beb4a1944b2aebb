//! PURE: one state for each lane, in words, with why and what to do.
//!
//! In this order: what is stopped, wherever; what is held; who is behind; who does not run; what is unverified; what the own agent
//! says; and otherwise whether something came lately. The first that finds something has the word; each has a
//! file, and the order is here.
//!
//! - [`state`] how a lane can stand
//! - [`stopped`] somebody has to act; [`held`] as ordered; [`behind`] who has not done their part
//! - [`unverified`] for which checks "caught up" cannot be claimed
//! - [`agent`] what this side's agent says, read by [`page`]

mod agent;
mod behind;
mod held;
mod page;
mod state;
mod stopped;
#[cfg(test)]
mod tests;
mod unverified;

use super::ago::{ago, seconds};
use super::facts::{Facts, LaneFacts, LeaseFacts, Side};

use state::Found;
pub(crate) use state::{Judged, State};

/// Something came lately.
const LATELY_S: i64 = 10;

/// All lanes.
pub(crate) fn all(facts: &Facts) -> Vec<Judged> {
    facts.lanes.iter().map(|lane| one(facts, lane)).collect()
}

/// One lane.
pub(crate) fn one(facts: &Facts, lane: &LaneFacts) -> Judged {
    let (lag_chunks, lag_seconds) = behind::lag(lane, facts.at);
    let (state, why, to_do) = stopped::stopped(facts, lane)
        .or_else(|| stopped::missing(facts, lane))
        .or_else(|| held::held(facts, lane))
        .or_else(|| unseen(facts, lane))
        .or_else(|| behind::behind(facts, lane, lag_chunks.unwrap_or(0), lag_seconds))
        .or_else(|| agent::not_running(facts))
        .or_else(|| unverified::unverified(facts, lane))
        .or_else(|| agent::agent_says(facts, lane))
        .or_else(|| agent::waits_there(facts, lane))
        .unwrap_or_else(|| moving(facts, lane, lag_chunks.unwrap_or(0)));
    Judged {
        lane: lane.lane().to_string(),
        state,
        why,
        to_do,
        lag_chunks,
        lag_seconds,
    }
}

/// Nothing can be seen of it, or nothing of it be believed.
fn unseen(facts: &Facts, lane: &LaneFacts) -> Found {
    if facts.exchange.trouble.is_some() {
        let to_do = "see the exchange above".to_owned();
        return Some((State::Unknown, "the exchange cannot be reached".to_owned(), to_do));
    }
    let why = lane.trouble.clone()?;
    Some((
        State::Unknown,
        why,
        "compare [trust] with the other side's keys".to_owned(),
    ))
}

/// Whether something came lately.
fn moving(facts: &Facts, lane: &LaneFacts, chunks: u64) -> (State, String, String) {
    let none = String::new();
    let Some(chunk) = &lane.chunk else {
        return (State::CaughtUp, "nothing was published yet".to_owned(), none);
    };
    let late = format!("last chunk {}", ago(chunk.stored_at, facts.at));
    if chunks > 0 || seconds(chunk.stored_at, facts.at) <= LATELY_S {
        return (State::Flowing, none.clone(), none);
    }
    match (facts.side, facts.agent.page.is_some()) {
        // It reads and has not caught up.
        (Side::Bureau, true) if facts.lease.as_ref().is_some_and(LeaseFacts::is_held) => {
            (State::Flowing, late, none)
        }
        _ => (State::CaughtUp, late, none),
    }
}

//! Derives one state for each lane, with cause and remedy. Pure functions.
//!
//! The checks run in this order, and the first result counts: stopped, held, unreadable, behind, agent not running, unverified,
//! the own agent's state, recent activity.
//!
//! - [`state`] the states
//! - [`stopped`] an operator must act; [`held`] a hold; [`behind`] missing receipts
//! - [`unverified`] checks without which "caught up" cannot be claimed
//! - [`agent`] the state by this side's agent, read by [`page`]

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

use state::Verdict;
pub(crate) use state::{JudgedLane, State};

/// The maximum age of a chunk of a flowing lane.
const RECENT_S: i64 = 10;

/// Judges all lanes.
pub(crate) fn judge_all(facts: &Facts) -> Vec<JudgedLane> {
    facts.lanes.iter().map(|lane| judge_lane(facts, lane)).collect()
}

/// Judges one lane.
pub(crate) fn judge_lane(facts: &Facts, lane: &LaneFacts) -> JudgedLane {
    let (lag_chunks, lag_seconds) = behind::lag(lane, facts.at);
    let (state, why, remedy) = stopped::stopped(facts, lane)
        .or_else(|| stopped::missing(facts, lane))
        .or_else(|| held::held(facts, lane))
        .or_else(|| unreadable(facts, lane))
        .or_else(|| behind::behind(facts, lane, lag_chunks.unwrap_or(0), lag_seconds))
        .or_else(|| agent::not_running(facts))
        .or_else(|| unverified::unverified(facts, lane))
        .or_else(|| agent::agent_state(facts, lane))
        .or_else(|| agent::waiting_at_bureau(facts, lane))
        .unwrap_or_else(|| recent_activity(facts, lane, lag_chunks.unwrap_or(0)));
    JudgedLane {
        lane: lane.lane().to_string(),
        state,
        why,
        remedy,
        lag_chunks,
        lag_seconds,
    }
}

/// The lane cannot be read or verified.
fn unreadable(facts: &Facts, lane: &LaneFacts) -> Verdict {
    if facts.exchange.error.is_some() {
        let remedy = "see the error of the exchange".to_owned();
        return Some((
            State::Unknown,
            "the exchange cannot be reached".to_owned(),
            remedy,
        ));
    }
    let why = lane.error.clone()?;
    Some((
        State::Unknown,
        why,
        "compare [trust] with the other side's keys".to_owned(),
    ))
}

/// Flowing or caught up, by the age of the last chunk.
fn recent_activity(facts: &Facts, lane: &LaneFacts, chunks: u64) -> (State, String, String) {
    let none = String::new();
    let Some(chunk) = &lane.chunk else {
        return (State::CaughtUp, "nothing was published yet".to_owned(), none);
    };
    let last_chunk = format!("last chunk {}", ago(chunk.stored_at, facts.at));
    if chunks > 0 || seconds(chunk.stored_at, facts.at) <= RECENT_S {
        return (State::Flowing, none.clone(), none);
    }
    match (facts.side, facts.agent.page.is_some()) {
        // The agent reads and has not caught up.
        (Side::Bureau, true) if facts.lease.as_ref().is_some_and(LeaseFacts::is_held) => {
            (State::Flowing, last_chunk, none)
        }
        _ => (State::CaughtUp, last_chunk, none),
    }
}

//! What the own agent's status page says of a lane.
//!
//! The page is JSON of another process, perhaps of another version: what is not there is not said.

use serde_json::Value;

use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// What it says of the lane.
pub(super) fn own<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts.agent.lane(&lane.lane())
}

/// What it says of the lane's feed.
pub(super) fn feed<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts.agent.feed(&lane.feed)
}

/// Whether the bureau's own agent is the one that tells others of its lanes: its page is newer than its notice.
pub(super) fn tells_itself(facts: &Facts) -> bool {
    let page = facts.agent.page.as_ref();
    let holds = page.and_then(|page| page.pointer("/lease/held")?.as_bool());
    facts.side == Side::Bureau && holds == Some(true)
}

/// A text that says something.
pub(super) fn text<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a str> {
    value?.get(key)?.as_str().filter(|text| !text.is_empty())
}

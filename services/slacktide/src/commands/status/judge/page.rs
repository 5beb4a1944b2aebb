//! Reads a lane's fields from the own agent's status page.
//!
//! The page is JSON of another process, possibly of another version: every field may be absent.

use serde_json::Value;

use crate::commands::status::facts::{Facts, LaneFacts, Side};

/// Returns the page's entry of the lane.
pub(super) fn own<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts.agent.lane(&lane.lane())
}

/// Returns the page's entry of the lane's feed.
pub(super) fn feed<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts.agent.feed(&lane.feed)
}

/// Whether the own agent holds the bureau's lease: its page is newer than its notice.
pub(super) fn has_current_page(facts: &Facts) -> bool {
    let page = facts.agent.page.as_ref();
    let holds = page.and_then(|page| page.pointer("/lease/held")?.as_bool());
    facts.side == Side::Bureau && holds == Some(true)
}

/// Returns a field that is a non-empty string.
pub(super) fn text<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a str> {
    value?.get(key)?.as_str().filter(|text| !text.is_empty())
}

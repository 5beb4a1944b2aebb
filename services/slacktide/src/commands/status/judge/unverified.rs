//! Failed or missing checks, without which "caught up" cannot be claimed: by the agent's page or the bureau's notice.

use serde_json::Value;

use super::page::{feed, has_current_page, own, text};
use super::state::{State, Verdict};
use crate::commands::status::facts::{Facts, LaneFacts};

/// A check of the lane failed or could not be made.
pub(super) fn unverified(facts: &Facts, lane: &LaneFacts) -> Verdict {
    unverified_here(facts, lane).or_else(|| unverified_elsewhere(facts, lane))
}

/// A check of this side's agent failed or could not be made.
pub(super) fn unverified_here(facts: &Facts, lane: &LaneFacts) -> Verdict {
    let both = [feed(facts, lane), own(facts, lane)];
    let reasons = both
        .into_iter()
        .filter_map(|page| page?.get("unverified")?.as_object())
        .flat_map(|reasons| reasons.values());
    let (mut details, mut remedies): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for reason in reasons {
        details.extend(detail(reason));
        remedies.extend(text(Some(reason), "remedy"));
    }
    (!details.is_empty()).then(|| (State::Unverified, details.join("; "), remedies.join("; ")))
}

/// The messages at the exchange show that "caught up" cannot be claimed.
fn unverified_elsewhere(facts: &Facts, lane: &LaneFacts) -> Verdict {
    if lane.chunk.as_ref().is_some_and(|chunk| chunk.is_resync) {
        let why = "the feed is being sent again from its start; until that is complete the store may hold rows that are gone at the \
                   source";
        let remedy = "wait until it is complete; no action needed";
        return Some((State::Unverified, why.to_owned(), remedy.to_owned()));
    }
    let codes = lane
        .bureau_notice
        .as_deref()
        .filter(|_| !has_current_page(facts))
        .and_then(|notice| notice.strip_prefix("unverified: "))?;
    let why = format!("at the bureau: {codes}");
    let remedy = "ask the bureau's operator: `slacktide status` there shows the cause";
    Some((State::Unverified, why, remedy.to_owned()))
}

fn detail(reason: &Value) -> Option<&str> {
    text(Some(reason), "detail")
}

//! For which checks "caught up" cannot be claimed: by the own agent's page, or by the bureau's notice.

use serde_json::Value;

use super::page::{feed, own, tells_itself, text};
use super::state::{Found, State};
use crate::commands::status::facts::{Facts, LaneFacts};

/// A lane of which a check failed or could not be made.
pub(super) fn unverified(facts: &Facts, lane: &LaneFacts) -> Found {
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
    if !details.is_empty() {
        return Some((State::Unverified, details.join("; "), remedies.join("; ")));
    }
    if lane.chunk.as_ref().is_some_and(|chunk| chunk.is_resync) {
        let why = "the feed is being sent again from its start; until that is complete the store may hold rows that are gone at the \
                   source";
        let to_do = "wait until it is complete: nothing has to be done";
        return Some((State::Unverified, why.to_owned(), to_do.to_owned()));
    }
    let codes = lane
        .bureau_says
        .as_deref()
        .filter(|_| !tells_itself(facts))
        .and_then(|says| says.strip_prefix("unverified: "))?;
    let why = format!("at the bureau: {codes}");
    let to_do = "ask the bureau's operator: `slacktide status` there names the cause";
    Some((State::Unverified, why, to_do.to_owned()))
}

fn detail(reason: &Value) -> Option<&str> {
    text(Some(reason), "detail")
}

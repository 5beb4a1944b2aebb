//! Lanes under a hold: by the page, by the orders in force, or by the bureau's notice.

use schemas::control::{Action, AnyAction};

use super::page::{has_current_page, own, text};
use super::state::{State, Verdict};
use crate::commands::status::facts::{Facts, LaneFacts};

/// A hold stops the lane.
pub(super) fn held(facts: &Facts, lane: &LaneFacts) -> Verdict {
    if let Some(why) = text(own(facts, lane), "held") {
        return Some((State::Held, why.to_owned(), String::new()));
    }
    for order in &facts.orders {
        if let AnyAction::Known(Action::Hold(hold)) = &order.action
            && hold.person.is_none()
            && hold.covers(&lane.lane())
        {
            let why = format!("hold {} by {}: {}", order.id, order.actor, order.reason);
            return Some((State::Held, why, String::new()));
        }
    }
    let notice = lane
        .bureau_notice
        .as_deref()
        .filter(|notice| !has_current_page(facts) && notice.starts_with("held"))?;
    Some((State::Held, notice.to_owned(), String::new()))
}

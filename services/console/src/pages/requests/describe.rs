//! PURE: states of requests as text.

use requests::status::State;

use crate::context::Context;
use crate::format::count;
use crate::html::{Badge, Level};
use crate::texts::Texts;

/// Returns how much attention a state needs. A state that no configured key proves is not known.
pub(super) fn level(state: &str, is_overdue: bool, is_verified: bool) -> Level {
    match state {
        _ if is_overdue => Level::Alarm,
        "partial" | "refused" | "expired" | "failed" => Level::Alarm,
        _ if !is_verified => Level::Unknown,
        "answered" | "empty" | "cancelled" | "delivered" | "stored_by_insurer" => Level::Good,
        _ => Level::Waiting,
    }
}

/// Returns the badge of a state.
pub(super) fn badge(state: &str, level: Level, texts: Texts) -> Badge {
    Badge::new(
        level,
        texts.known(&format!("request.state.{state}")).unwrap_or(state),
    )
}

/// Returns the details of a state, as `slacktide request show` prints them; empty if it has none.
pub(super) fn describe(state: &State, context: &Context) -> String {
    let texts = context.texts;
    match state {
        State::WaitsForApproval { granted, needed } => texts.with(
            "requests.detail.approval",
            &[("granted", &granted.to_string()), ("needed", &needed.to_string())],
        ),
        State::Held { reason } | State::Failed { reason } => reason.clone(),
        State::Answering { attempt, parts, rows } => texts.with(
            "requests.detail.answering",
            &[
                ("attempt", &attempt.to_string()),
                ("parts", &parts.to_string()),
                ("rows", &count(*rows)),
            ],
        ),
        State::Answered { rows } => texts.with("requests.detail.rows", &[("rows", &count(*rows))]),
        State::Partial { rows, reason } => {
            let rows = texts.with("requests.detail.rows", &[("rows", &count(*rows))]);
            format!("{rows}; {reason}")
        }
        State::Refused {
            code,
            reason,
            retry_at,
        } => {
            let again = retry_at.map_or_else(String::new, |at| {
                let at = context.display.formatter().time(at);
                format!("; {}", texts.with("requests.detail.retry", &[("at", &at)]))
            });
            format!("{code}: {reason}{again}")
        }
        State::StoredByInsurer { rows, quarantined } => texts.with(
            "requests.detail.stored",
            &[("rows", &count(*rows)), ("quarantined", &count(*quarantined))],
        ),
        State::Filed
        | State::Stored
        | State::Taken
        | State::Empty
        | State::Expired
        | State::Cancelled
        | State::Delivered => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::requests::query::STATES;
    use crate::texts::Language;

    #[test]
    fn request_state_without_proof_is_not_good() {
        for state in STATES {
            assert_ne!(level(state, false, false), Level::Good, "{state}");
            assert_eq!(level(state, true, true), Level::Alarm, "{state}");
        }
        assert_eq!(level("answered", false, true), Level::Good);
    }

    #[test]
    fn request_states_have_texts_in_both_languages() {
        for state in STATES {
            for language in [Language::En, Language::Zh] {
                let text = Texts(language).known(&format!("request.state.{state}"));
                assert!(text.is_some(), "{state}");
            }
        }
    }
}

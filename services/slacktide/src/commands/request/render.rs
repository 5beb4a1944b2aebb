//! Formats the state of a request.

use schemas::request::Request;
use slacktide_client::status::{Inconsistency, State, Status, Step};
use slacktide_client::{Outcome, RequestId, Scalar};

use crate::output::View;

/// Formats a final outcome with its details.
pub(in crate::commands) fn outcome(outcome: &Outcome) -> String {
    describe(&State::from(outcome))
}

/// Formats a state with its details.
pub(in crate::commands) fn state(step: &Step) -> String {
    describe(&step.state)
}

fn describe(state: &State) -> String {
    let name = state.name().replace('_', " ");
    match state {
        State::WaitsForApproval { granted, needed } => {
            format!("{name}: {granted} of {needed} officers granted it")
        }
        State::Held { reason } | State::Failed { reason } => format!("{name}: {reason}"),
        State::Answering { attempt, parts, rows } => {
            format!("{name}: attempt {attempt}, {parts} parts and {rows} rows so far")
        }
        State::Answered { rows } => format!("{name}: {rows} rows"),
        State::Empty => "empty: the request was allowed, and no rows match".to_owned(),
        State::Partial { rows, reason } => format!("{name}: {rows} rows; {reason}"),
        State::Refused {
            code,
            reason,
            retry_at,
        } => {
            let again = retry_at
                .map(|at| format!("; retry from {at:.0} on"))
                .unwrap_or_default();
            format!("{name} ({code}): {reason}{again}")
        }
        State::StoredByInsurer { rows, quarantined: 0 } => format!("{name}: {rows} rows"),
        State::StoredByInsurer { rows, quarantined } => {
            format!("{name}: {rows} rows, {quarantined} quarantined")
        }
        State::Filed
        | State::Stored
        | State::Taken
        | State::Expired
        | State::Cancelled
        | State::Delivered => name,
    }
}

/// Renders a request with its steps and their durations. The steps use several clocks.
pub(super) fn status(id: &RequestId, request: &Request, status: &Status, personal: bool) -> View {
    let mut view = View::new();
    view.line(format!("{id}  {}", request.kind));
    if personal {
        for (name, value) in &request.arguments {
            let value = match value {
                Scalar::Int(number) => number.to_string(),
                Scalar::Text(text) => text.clone(),
            };
            view.line(format!("  {name} = {value}"));
        }
    }
    let mut before = None;
    for step in &status.steps {
        let took = before.map_or(String::new(), |before| {
            let millis = step.at.duration_since(before).as_millis();
            format!("+{millis} ms")
        });
        before = Some(step.at);
        view.labelled(format!("  {:.3}  {took:>10}  ", step.at), state(step));
    }
    if status.withheld > 0 {
        view.line(format!(
            "  {} rows withheld (block list or holds)",
            status.withheld
        ));
    }
    if let Some(position) = status.place {
        let when = status.forecast.map_or_else(
            || "no forecast: no history of the gate is recorded".to_owned(),
            |at| format!("answered by {at:.0} with 50 % probability"),
        );
        view.line(format!("  position {position} in the queue; {when}"));
    }
    if status.overdue {
        view.line("  its deadline has passed: it will expire".to_owned());
    }
    if let Some(at) = status.cancel_requested_at {
        view.line(format!("  a cancel was requested at {at:.0}"));
    }
    for inconsistency in &status.inconsistencies {
        let what = match inconsistency {
            Inconsistency::Cancel => "the cancel",
            Inconsistency::Progress => "the progress",
            Inconsistency::Reply => "the reply",
            Inconsistency::Confirm => "the confirmation",
        };
        view.line(format!(
            "  {what} at its subject does not match the request: run `slacktide audit verify`"
        ));
    }
    view
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::refusal::RefusalCode;
    use slacktide_client::status::Clock;

    use super::*;

    #[test]
    fn render_describes_each_outcome() {
        let rendered = |state: State| {
            super::state(&Step {
                state,
                at: Timestamp::UNIX_EPOCH,
                clock: Clock::Exchange,
            })
        };
        assert_eq!(rendered(State::Answered { rows: 7 }), "answered: 7 rows");
        assert_eq!(rendered(State::Expired), "expired");
        let refused = State::Refused {
            code: RefusalCode::Quota,
            reason: "10 requests an hour are used up".to_owned(),
            retry_at: Some(Timestamp::UNIX_EPOCH),
        };
        assert_eq!(
            rendered(refused),
            "refused (quota): 10 requests an hour are used up; retry from 1970-01-01T00:00:00Z on"
        );
        let waits = State::WaitsForApproval {
            granted: 1,
            needed: 2,
        };
        assert_eq!(rendered(waits), "waits for approval: 1 of 2 officers granted it");
    }
}

//! PURE: in which words a request's state is told.

use schemas::request::Request;
use slacktide_client::status::{Doubt, State, Status, Step};
use slacktide_client::{Outcome, RequestId, Scalar};

/// A final outcome with what belongs to it.
pub(in crate::commands) fn outcome(outcome: &Outcome) -> String {
    words(&State::from(outcome))
}

/// A state with what belongs to it.
pub(in crate::commands) fn state(step: &Step) -> String {
    words(&step.state)
}

fn words(state: &State) -> String {
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
        State::Empty => "empty: it was allowed, and there is nothing".to_owned(),
        State::Partial { rows, reason } => format!("{name}: {rows} rows; {reason}"),
        State::Refused {
            code,
            reason,
            retry_at,
        } => {
            let again = retry_at
                .map(|at| format!("; again from {at:.0} on"))
                .unwrap_or_default();
            format!("{name} ({code}): {reason}{again}")
        }
        State::StoredByInsurer { rows, quarantined: 0 } => format!("{name}: {rows} rows"),
        State::StoredByInsurer { rows, quarantined } => {
            format!("{name}: {rows} rows, {quarantined} kept aside")
        }
        State::Filed
        | State::Stored
        | State::Taken
        | State::Expired
        | State::Cancelled
        | State::Delivered => name,
    }
}

/// A request with each of its steps, and how long each took. Steps are told by several clocks.
pub(in crate::commands) fn status(
    id: &RequestId,
    request: &Request,
    status: &Status,
    personal: bool,
) -> Vec<String> {
    let mut lines = vec![format!("{id}  {}", request.kind)];
    if personal {
        for (name, value) in &request.arguments {
            let value = match value {
                Scalar::Int(number) => number.to_string(),
                Scalar::Text(text) => text.clone(),
            };
            lines.push(format!("  {name} = {value}"));
        }
    }
    let mut before = None;
    for step in &status.steps {
        let took = before.map_or(String::new(), |before| {
            let millis = step.at.duration_since(before).as_millis();
            format!("+{millis} ms")
        });
        before = Some(step.at);
        lines.push(format!("  {:.3}  {took:>10}  {}", step.at, state(step)));
    }
    if status.withheld > 0 {
        lines.push(format!(
            "  {} rows are left out, of persons about whom nothing is sent",
            status.withheld
        ));
    }
    if let Some(place) = status.place {
        let when = status.forecast.map_or_else(
            || "nobody can tell when: no history of the gate is recorded".to_owned(),
            |at| format!("as likely as not answered by {at:.0}"),
        );
        lines.push(format!("  place {place} in the queue; {when}"));
    }
    if status.overdue {
        lines.push("  its deadline has passed: it will be told as expired".to_owned());
    }
    if let Some(at) = status.cancel_asked {
        lines.push(format!("  a cancel was asked for at {at:.0}"));
    }
    for doubt in &status.doubts {
        let what = match doubt {
            Doubt::Cancel => "the cancel",
            Doubt::Progress => "the progress",
            Doubt::Reply => "the reply",
            Doubt::Confirm => "the confirmation",
        };
        lines.push(format!(
            "  {what} at its subject belongs to something else: see `slacktide audit verify`"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::refusal::RefusalCode;
    use slacktide_client::status::Clock;

    use super::*;

    #[test]
    fn each_outcome_is_a_sentence() {
        let told = |state: State| {
            super::state(&Step {
                state,
                at: Timestamp::UNIX_EPOCH,
                clock: Clock::Exchange,
            })
        };
        assert_eq!(told(State::Answered { rows: 7 }), "answered: 7 rows");
        assert_eq!(told(State::Expired), "expired");
        let refused = State::Refused {
            code: RefusalCode::Quota,
            reason: "10 requests an hour are used up".to_owned(),
            retry_at: Some(Timestamp::UNIX_EPOCH),
        };
        assert_eq!(
            told(refused),
            "refused (quota): 10 requests an hour are used up; again from 1970-01-01T00:00:00Z on"
        );
        let waits = State::WaitsForApproval {
            granted: 1,
            needed: 2,
        };
        assert_eq!(told(waits), "waits for approval: 1 of 2 officers granted it");
    }
}

//! Describes an order to the gate or the agents, and what came of issuing it.

use runtime::exit::Exit;
use schemas::control::{Action, AnyAction, Order};
use social::order::{IssuedOrder, OrderError};

use crate::failure::Failure;
use crate::output;

/// Describes an order for people: what, until when, by whom and why.
pub(super) fn sentence(order: &Order) -> String {
    let what = match &order.action {
        AnyAction::Known(Action::Pause) => "paused".to_owned(),
        AnyAction::Known(Action::Resume) => "resumed".to_owned(),
        AnyAction::Known(Action::Limit { duty_milli }) => {
            format!("limited to {}.{} % of the time", duty_milli / 10, duty_milli % 10)
        }
        AnyAction::Known(Action::Hold(_)) => "held".to_owned(),
        AnyAction::Known(Action::Release) => "released".to_owned(),
        AnyAction::Known(Action::Confirm(_)) => "confirmed".to_owned(),
        AnyAction::Other(_) => format!("{} (not known to this version)", order.action.kind()),
    };
    let until = order
        .expires
        .map_or("until `gate resume`".to_owned(), |end| format!("until {end:.0}"));
    format!("{what} {until}, by {}: {}", order.actor, order.reason)
}

/// Prints warnings about an issued order.
pub(super) fn warn(issued: &IssuedOrder) {
    if let Some(error) = &issued.audit_error {
        output::note(&format!(
            "warning: the order is in force, but it is not in the audit chain ({error}); the record itself is signed"
        ));
    }
    if issued.holds_all {
        output::note(
            "warning: the previous orders could not be read, so this order holds everything: give pauses, holds and limits \
             again, then release that hold (`slacktide hold list`)",
        );
    }
}

/// Returns the failure of a command whose order could not be issued.
pub(super) fn failed(error: OrderError) -> Failure {
    match error {
        OrderError::Exchange(error)
        | OrderError::AuditEvent(social::audit_log::AuditLogError::Exchange(error)) => error.into(),
        OrderError::Invalid(_) => Failure::usage(error.to_string()),
        OrderError::Unverifiable(_) => Failure::new(Exit::Evidence, error.to_string()),
        other => Failure::new(Exit::Unfinished, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn order_sentence_names_end_actor_and_reason() {
        let order = Order {
            id: "1".into(),
            scope: "gate.core".into(),
            action: AnyAction::Known(Action::Limit { duty_milli: 205 }),
            actor: "li.na".into(),
            reason: "year end".into(),
            given_at: Timestamp::UNIX_EPOCH,
            expires: Some(Timestamp::UNIX_EPOCH),
        };
        assert_eq!(
            sentence(&order),
            "limited to 20.5 % of the time until 1970-01-01T00:00:00Z, by li.na: year end"
        );
    }
}

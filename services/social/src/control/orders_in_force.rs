//! The orders that this agent has put in force, and what changed in them.

use std::collections::BTreeMap;

use gate::{ActiveOrder, Orders};
use jiff::Timestamp;
use schemas::control::{self, Action, AnyAction, Control, Order};
use schemas::unreadable::Unreadable;

use crate::audit_log::AuditEvent;
use crate::control_head::Head;
use crate::order::audit_event;
use crate::record_tracker::RecordTracker;
use disclosure::hold::Holds;

/// Why the orders at the exchange are not put in force.
#[derive(Debug)]
pub(super) enum OrdersError {
    /// They could not be read: the known orders stay in force.
    Unread(String),
    /// The last message is not an order: the earlier orders stay in force.
    Refused(String),
    /// A record is lost: the gate closes.
    Behind(String),
}

/// The known orders.
#[derive(Debug, Default)]
pub(super) struct OrdersInForce {
    /// The head that was put in force.
    pub(super) last: Option<Head>,
    /// Whether orders were read once, even if there were none.
    pub(super) is_read: bool,
    /// The last message read. Its digest matters because a restore reuses sequences.
    pub(super) message: Option<Unreadable>,
    /// The last refusal, so that it is logged once.
    pub(super) refused: Option<String>,
    /// The orders in force, by id, as recorded in the audit chain.
    in_force: BTreeMap<String, Order>,
}

impl OrdersInForce {
    /// Puts a head in force.
    pub(super) fn take(
        &mut self,
        head: Head,
        record_tracker: &RecordTracker,
        now: Timestamp,
    ) -> Result<(), OrdersError> {
        // Before the first read, an unreadable message might be an order, so nothing is accepted.
        if let (false, Some(why)) = (self.is_read, head.unreadable_message()) {
            return Err(OrdersError::Refused(why));
        }
        let named = record_tracker.required_records();
        if let Some(lost) = named.iter().rev().find(|named| !head.follows(named.mark)) {
            return Err(OrdersError::Behind(head.describe_loss(lost)));
        }
        for order in head.record.iter().flat_map(|(control, _)| &control.orders) {
            if matches!(order.action, AnyAction::Other(_)) && !self.knows(&order.id) {
                let (kind, scope) = (order.action.kind(), order.scope.as_str());
                tracing::warn!(kind, scope, "unknown kind of order, not obeyed");
            }
        }
        let holds = holds_of(&head, now);
        record_tracker
            .accept(&head, holds)
            .map_err(|lost| OrdersError::Behind(head.describe_loss(&lost)))?;
        let error = head.unreadable_message();
        self.last = Some(head);
        self.is_read = true;
        match error {
            Some(why) => Err(OrdersError::Refused(why)),
            None => Ok(()),
        }
    }

    fn knows(&self, id: &str) -> bool {
        self.record()
            .is_some_and(|control| control.orders.iter().any(|order| order.id == id))
    }

    fn record(&self) -> Option<&Control> {
        let (control, _) = self.last.as_ref()?.record.as_ref()?;
        Some(control)
    }

    /// Returns the current holds.
    pub(super) fn holds(&self, now: Timestamp) -> Holds {
        self.last
            .as_ref()
            .map_or_else(|| Holds::Known(Vec::new()), |head| holds_of(head, now))
    }

    /// Returns the current orders for this scope, and the changes in orders and holds since the last call.
    pub(super) fn fold(&mut self, scope: &str, now: Timestamp) -> (Orders, Vec<AuditEvent>) {
        let mut orders = Orders::default();
        let mut in_force = BTreeMap::new();
        let mut events = Vec::new();
        let record = self.last.as_ref().and_then(|head| head.record.as_ref());
        let record = record.map(|(control, _)| control);
        for order in record
            .into_iter()
            .flat_map(|control| control::orders_in_force(control, now))
            .filter(|order| order.scope == scope || is_hold(order))
        {
            match order.action {
                AnyAction::Known(Action::Pause) => orders.pause = Some(active_order(order)),
                AnyAction::Known(Action::Limit { duty_milli }) => {
                    orders.max_duty =
                        Some((f64::from(duty_milli.clamp(1, 1_000)) / 1e3, active_order(order)));
                }
                AnyAction::Known(Action::Hold(_)) => {}
                AnyAction::Known(Action::Resume | Action::Release | Action::Confirm(_))
                | AnyAction::Other(_) => {
                    continue;
                }
            }
            in_force.insert(order.id.clone(), order.clone());
        }
        for order in self
            .in_force
            .values()
            .filter(|order| !in_force.contains_key(&order.id))
        {
            let mut event = audit_event(order, &format!("{}.ends", order.action.kind()));
            let newest = record.map(|control| &control.newest);
            if !order.is_in_force(now) {
                event.detail.insert("cause".to_owned(), "expired".to_owned());
            } else if let Some(newest) =
                newest.filter(|newest| newest.scope == order.scope || !is_hold(order))
            {
                event.actor.clone_from(&newest.actor);
                event.reason.clone_from(&newest.reason);
                event
                    .detail
                    .insert("cause".to_owned(), format!("order {}", newest.id));
            }
            events.push(event);
        }
        for order in in_force
            .values()
            .filter(|order| !self.in_force.contains_key(&order.id))
        {
            events.push(audit_event(order, &format!("{}.begins", order.action.kind())));
        }
        self.in_force = in_force;
        (orders, events)
    }
}

fn holds_of(head: &Head, now: Timestamp) -> Holds {
    let record = head.record.iter();
    Holds::of(record.flat_map(|(control, _)| control::orders_in_force(control, now)))
}

fn is_hold(order: &Order) -> bool {
    matches!(order.action, AnyAction::Known(Action::Hold(_)))
}

fn active_order(order: &Order) -> ActiveOrder {
    ActiveOrder {
        actor: order.actor.as_str().into(),
        reason: order.reason.as_str().into(),
        until: order.expires,
    }
}

//! The orders that this agent has put in force, and what changed in them.

use std::collections::BTreeMap;

use gate::{Orders, Standing};
use jiff::Timestamp;
use schemas::control::{self, Action, AnyAction, Control, Order};
use schemas::unreadable::Unreadable;

use crate::act::Act;
use crate::control_head::Head;
use crate::hold::Holds;
use crate::order::act_of;
use crate::witness::Witness;

/// Why the orders at the exchange are not put in force.
#[derive(Debug)]
pub(super) enum Trouble {
    /// They could not be read: all stays as it is.
    Unread(String),
    /// The last message is no order: those before stay in force.
    Refused(String),
    /// A record is lost: nothing may be done.
    Behind(String),
}

/// What is known of the orders.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The head that was put in force.
    pub(super) last: Option<Head>,
    /// They were read once, perhaps as none.
    pub(super) is_read: bool,
    /// The last message that was read with them: a sequence alone comes again after a restore.
    pub(super) message: Option<Unreadable>,
    /// What was refused last, so that it is logged once.
    pub(super) refused: Option<String>,
    /// Those in force, by id, as they were noted.
    in_force: BTreeMap<String, Order>,
}

impl Known {
    /// Puts a head in force.
    pub(super) fn take(&mut self, head: Head, witness: &Witness, now: Timestamp) -> Result<(), Trouble> {
        // Who has read none yet believes nothing behind a message that might have been an order.
        if let (false, Some(why)) = (self.is_read, head.trouble()) {
            return Err(Trouble::Refused(why));
        }
        let named = witness.all();
        if let Some(lost) = named.iter().rev().find(|named| !head.follows(named.mark)) {
            return Err(Trouble::Behind(head.behind(lost)));
        }
        for order in head.record.iter().flat_map(|(control, _)| &control.orders) {
            if matches!(order.action, AnyAction::Other(_)) && !self.knows(&order.id) {
                let (kind, scope) = (order.action.kind(), order.scope.as_str());
                tracing::warn!(
                    kind,
                    scope,
                    "an order that this version does not know; it is not obeyed here"
                );
            }
        }
        let holds = holds_of(&head, now);
        witness
            .accept(&head, holds)
            .map_err(|lost| Trouble::Behind(head.behind(&lost)))?;
        let trouble = head.trouble();
        self.last = Some(head);
        self.is_read = true;
        match trouble {
            Some(why) => Err(Trouble::Refused(why)),
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

    /// The holds now.
    pub(super) fn holds(&self, now: Timestamp) -> Holds {
        self.last
            .as_ref()
            .map_or_else(|| Holds::Known(Vec::new()), |head| holds_of(head, now))
    }

    /// The orders about this scope now, and what changed since the last call in them and in the holds.
    pub(super) fn fold(&mut self, scope: &str, now: Timestamp) -> (Orders, Vec<Act>) {
        let mut orders = Orders::default();
        let mut in_force = BTreeMap::new();
        let mut acts = Vec::new();
        let record = self.last.as_ref().and_then(|head| head.record.as_ref());
        let record = record.map(|(control, _)| control);
        for order in record
            .into_iter()
            .flat_map(|control| control::fold(control, now))
            .filter(|order| order.scope == scope || is_hold(order))
        {
            match order.action {
                AnyAction::Known(Action::Pause) => orders.pause = Some(standing(order)),
                AnyAction::Known(Action::Limit { duty_milli }) => {
                    orders.most = Some((f64::from(duty_milli.clamp(1, 1_000)) / 1e3, standing(order)));
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
            let mut act = act_of(order, &format!("{}.ends", order.action.kind()));
            let newest = record.map(|control| &control.newest);
            if !order.holds(now) {
                act.detail
                    .insert("cause".to_owned(), "its time is over".to_owned());
            } else if let Some(newest) =
                newest.filter(|newest| newest.scope == order.scope || !is_hold(order))
            {
                act.actor.clone_from(&newest.actor);
                act.reason.clone_from(&newest.reason);
                act.detail
                    .insert("cause".to_owned(), format!("order {}", newest.id));
            }
            acts.push(act);
        }
        for order in in_force
            .values()
            .filter(|order| !self.in_force.contains_key(&order.id))
        {
            acts.push(act_of(order, &format!("{}.begins", order.action.kind())));
        }
        self.in_force = in_force;
        (orders, acts)
    }
}

fn holds_of(head: &Head, now: Timestamp) -> Holds {
    let record = head.record.iter();
    Holds::of(record.flat_map(|(control, _)| control::fold(control, now)))
}

fn is_hold(order: &Order) -> bool {
    matches!(order.action, AnyAction::Known(Action::Hold(_)))
}

fn standing(order: &Order) -> Standing {
    Standing {
        actor: order.actor.as_str().into(),
        reason: order.reason.as_str().into(),
        until: order.expires,
    }
}

//! Obeys the orders of operators: reads them each second, verifies, folds, and tells the gate and the lanes.
//!
//! The gate stays shut until they were read once, for it might be paused. Afterwards the orders
//! last known stay in force while the exchange cannot be reached or holds something that no
//! operator signed; a time that is over ends an order by our own clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use exchange::{Exchange, Stored};
use gate::{Gate, Orders, ReasonKind, Standing};
use jiff::Timestamp;
use schemas::control::{self, Action, AnyAction, Control, Order};
use schemas::name::{PartyName, SourceName};
use schemas::sign::{PublicKey, SigningKey};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::act::{Act, append};
use crate::epoch::Signatory;
use crate::hold::Holds;
use crate::order::{act_of, verified};

/// How often orders are looked for.
const EACH: Duration = Duration::from_secs(1);
/// How long one look, or one entry, may take.
const BOUND: Duration = Duration::from_secs(2);
/// Entries that wait for an exchange that does not answer; older ones are dropped, and it is said.
const WAITING: usize = 256;

/// What obeying needs.
pub struct ControlParts {
    /// Where orders come from.
    pub exchange: Arc<dyn Exchange>,
    /// What obeys.
    pub gate: Gate,
    /// Where lanes learn of holds; see [`Holds`].
    pub holds: watch::Sender<Holds>,
    /// Whose orders count.
    pub party: PartyName,
    /// The source that the gate stands before.
    pub source: SourceName,
    /// Keys that give orders; our own is always trusted.
    pub operators: Vec<PublicKey>,
    /// Signs audit entries.
    pub key: Arc<SigningKey>,
    /// One life of one process.
    pub instance: String,
}

/// What is known of the orders.
#[derive(Debug, Default)]
struct Known {
    /// The last record that verified, and its place at the exchange.
    last: Option<(u64, Control)>,
    /// They were read once, perhaps as none.
    is_read: bool,
    /// The place of the last record that was refused, so that it is said once.
    refused: Option<u64>,
    /// Those in force, by id, as they were noted.
    in_force: BTreeMap<String, Order>,
}

impl Known {
    /// Takes what the exchange holds; why it is refused, if so.
    fn take(
        &mut self,
        stored: Option<&Stored>,
        party: &PartyName,
        trusted: &[PublicKey],
    ) -> Result<(), String> {
        let Some(stored) = stored else {
            if self.last.is_some() {
                return Err("the exchange lost the orders; those before stay in force".to_owned());
            }
            self.is_read = true;
            return Ok(());
        };
        if self
            .last
            .as_ref()
            .is_some_and(|(sequence, _)| *sequence == stored.sequence)
        {
            return Ok(());
        }
        let (control, _) = verified(stored, party, trusted)?;
        if let Some((_, before)) = &self.last
            && control.number <= before.number
        {
            return Err(format!(
                "record {} came after record {}: the exchange was restored, or an old record sent again",
                control.number, before.number
            ));
        }
        for order in control
            .orders
            .iter()
            .filter(|order| matches!(order.action, AnyAction::Other(_)))
        {
            let (kind, scope) = (order.action.kind(), order.scope.as_str());
            tracing::warn!(
                kind,
                scope,
                "an order that this version does not know; it is not obeyed here"
            );
        }
        self.last = Some((stored.sequence, control));
        self.is_read = true;
        Ok(())
    }

    /// The holds now.
    fn holds(&self, now: Timestamp) -> Holds {
        let record = self.last.as_ref().map(|(_, control)| control);
        Holds::of(record.into_iter().flat_map(|control| control::fold(control, now)))
    }

    /// The orders about this scope now, and what changed since the last call in them and in the holds.
    fn fold(&mut self, scope: &str, now: Timestamp) -> (Orders, Vec<Act>) {
        let mut orders = Orders::default();
        let mut in_force = BTreeMap::new();
        let mut acts = Vec::new();
        let record = self.last.as_ref().map(|(_, control)| control);
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
                AnyAction::Known(Action::Resume | Action::Release) | AnyAction::Other(_) => continue,
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

/// Obeys until the token is cancelled. Tell the gate [`Orders::unread`] before it is started.
#[must_use]
pub fn keep(parts: ControlParts, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut keeper = Keeper::new(parts);
        let mut tick = tokio::time::interval(EACH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = keeper.look() => {}
                () = stop.cancelled() => return,
            }
        }
    })
}

struct Keeper {
    parts: ControlParts,
    trusted: Vec<PublicKey>,
    scope: String,
    known: Known,
    waiting: VecDeque<Act>,
    relief: Option<String>,
}

impl Keeper {
    fn new(parts: ControlParts) -> Self {
        let mut trusted = parts.operators.clone();
        trusted.push(parts.key.public().clone());
        let scope = control::gate_of(&parts.source);
        Self {
            parts,
            trusted,
            scope,
            known: Known::default(),
            waiting: VecDeque::new(),
            relief: None,
        }
    }

    async fn look(&mut self) {
        let reading = self.parts.exchange.last_control(&self.parts.party);
        let trouble = match tokio::time::timeout(BOUND, reading).await {
            Err(_) => Some("the exchange does not answer".to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(stored)) => {
                let place = stored.as_ref().map_or(0, |stored| stored.sequence);
                match self.known.take(stored.as_ref(), &self.parts.party, &self.trusted) {
                    Ok(()) => {
                        self.known.refused = None;
                        None
                    }
                    Err(why) => {
                        if self.known.refused.replace(place) != Some(place) {
                            tracing::warn!(%why, sequence = place, "orders refused; those before stay in force");
                        }
                        Some(format!("refused: {why}"))
                    }
                }
            }
        };
        if !self.known.is_read {
            let why = trouble.unwrap_or_default();
            self.tell(Holds::Unread(why.clone()));
            self.parts.gate.give(Orders::unread(&why));
            return;
        }
        let now = Timestamp::now();
        // First, so that a lane is held before the gate opens.
        self.tell(self.known.holds(now));
        let (orders, acts) = self.known.fold(&self.scope, now);
        self.parts.gate.give(orders);
        for act in acts {
            tracing::info!(
                action = act.action,
                actor = act.actor,
                reason = act.reason,
                "order"
            );
            self.note(act);
        }
        self.relief();
        self.write().await;
    }

    fn tell(&self, holds: Holds) {
        self.parts.holds.send_if_modified(|before| {
            let is_new = *before != holds;
            *before = holds;
            is_new
        });
    }

    /// A trickle or a deadline window that begins or ends is an act with a name, too.
    fn relief(&mut self) {
        let verdict = self.parts.gate.verdict();
        let now = (verdict.reason.kind() == ReasonKind::Relief).then(|| verdict.reason.to_string());
        if now == self.relief {
            return;
        }
        let (action, why) = match (&now, &self.relief) {
            (Some(why), _) => ("gate.relief.begins", why),
            (None, Some(why)) => ("gate.relief.ends", why),
            (None, None) => return,
        };
        let act = Act {
            actor: "policy".to_owned(),
            action: action.to_owned(),
            reason: why.clone(),
            detail: BTreeMap::from([("scope".to_owned(), self.scope.clone())]),
        };
        self.relief = now;
        self.note(act);
    }

    fn note(&mut self, mut act: Act) {
        let instance = self.parts.instance.clone();
        act.detail.insert("instance".to_owned(), instance);
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            tracing::warn!("an audit entry was dropped: the exchange has not taken any for long");
        }
        self.waiting.push_back(act);
    }

    async fn write(&mut self) {
        let Ok(writer) = PartyName::new("gate") else {
            return;
        };
        let who = Signatory {
            key: &self.parts.key,
            instance: &self.parts.instance,
            party: &self.parts.party,
            writer: &writer,
        };
        while let Some(act) = self.waiting.front() {
            let writing = append(&*self.parts.exchange, &who, act);
            match tokio::time::timeout(BOUND, writing).await {
                Ok(Ok(())) => {
                    self.waiting.pop_front();
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "audit entry waits");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! An operator's order, given over the exchange: noted in the audit chain first, so that nothing
//! is ever ordered that nobody answers for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published, Stored};
use jiff::Timestamp;
use schemas::control::{self, Action, AnyAction, Control, MOST_ACTOR, MOST_REASON, Order, TooMany};
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::visible;

use crate::act::{Act, ActError, append};
use crate::epoch::Signatory;

/// What the operator wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What it is about; see [`control::gate_of`] and [`control::hold_of`]. A new hold makes its own.
    pub scope: String,
    /// What it does.
    pub action: Action,
    /// Who decides.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// How long it holds; none: until somebody takes it back.
    pub lasts: Option<Duration>,
}

/// Why nothing was ordered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrderError {
    /// The exchange failed. It may have been stored: look, then repeat.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The audit chain failed; nothing was ordered.
    #[error(transparent)]
    Act(#[from] ActError),
    /// Something said is missing or out of bounds.
    #[error("{0}")]
    Wrong(String),
    /// The record at the exchange does not verify, and only a pause can take its place.
    #[error(
        "the orders at the exchange cannot be verified ({0}), so nobody knows what this would be added to: `slacktide gate pause` first, give holds and limits again, then resume"
    )]
    Unverifiable(String),
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Others gave orders, again and again.
    #[error("orders of {0} are being given by others: repeat")]
    Busy(PartyName),
    /// Sealing failed.
    #[error("the order could not be sealed: {0}")]
    Seal(String),
}

/// PURE: the record in stored bytes, if a trusted key signed it for this party.
///
/// # Errors
/// What is wrong with it.
pub fn verified(
    stored: &Stored,
    party: &PartyName,
    trusted: &[PublicKey],
) -> Result<(Control, Digest), String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|error| error.to_string())?;
    let control: Control = envelope.verify(trusted).map_err(|error| error.to_string())?;
    if control.party != *party {
        return Err(format!("it is for {}, not for {party}", control.party));
    }
    Ok((control, envelope.digest()))
}

/// How often a lost race is run again.
const RACES: usize = 16;

/// Gives an order; the record that holds it. Its audit entry is written before.
///
/// # Errors
/// [`OrderError`], each with what to do.
pub async fn give(
    exchange: &dyn Exchange,
    who: &Signatory<'_>,
    trusted: &[PublicKey],
    wish: &Wish,
    now: Timestamp,
) -> Result<Control, OrderError> {
    let newest = order(wish, now)?;
    for race in 0..RACES {
        let last = exchange.last_control(who.party).await?;
        let expected = last.as_ref().map_or(0, |last| last.sequence);
        let (number, previous, orders) = match &last {
            None => (1, None, Vec::new()),
            Some(stored) => match verified(stored, who.party, trusted) {
                Ok((control, digest)) => (control.number + 1, Some(digest), control.orders),
                // Whatever else is ordered would silently drop a pause or a hold.
                Err(why) if wish.action != Action::Pause => {
                    return Err(OrderError::Unverifiable(why));
                }
                Err(why) => {
                    tracing::warn!(%why, "the orders at the exchange cannot be verified; this one takes the place of all: give holds and limits again before `gate resume`");
                    (after_unknown(stored), None, Vec::new())
                }
            },
        };
        let record = Control {
            party: who.party.clone(),
            number,
            previous,
            orders: control::after(&orders, &newest, now)?,
            newest: newest.clone(),
            at: now,
            key: who.key.public().clone(),
        };
        let bytes = Envelope::seal(&record, Vec::new(), who.key)
            .and_then(|envelope| envelope.encode())
            .map_err(|error| OrderError::Seal(error.to_string()))?;
        if race == 0 {
            let action = format!("{}.order", newest.action.kind());
            append(exchange, who, &act_of(&newest, &action)).await?;
        }
        let published = exchange.publish_control(who.party, Bytes::from(bytes), expected);
        if let Published::Done { .. } = published.await? {
            return Ok(record);
        }
    }
    Err(OrderError::Busy(who.party.clone()))
}

/// A number above whatever a record that nobody trusts says, so that agents do not take the new
/// one for an older one. They have seen no trusted one that high, or they would not doubt it.
fn after_unknown(stored: &Stored) -> u64 {
    stored.sequence.saturating_add(1)
}

fn order(wish: &Wish, now: Timestamp) -> Result<Order, OrderError> {
    let said = |what: &str, text: &str, most: usize| {
        if text.trim().is_empty() || text.chars().count() > most || visible::check(what, text).is_err() {
            return Err(OrderError::Wrong(format!(
                "{what} is signed and kept: say something in one line of at most {most} characters, each of which can be seen"
            )));
        }
        Ok(text.trim().to_owned())
    };
    if let Action::Limit { duty_milli } = wish.action
        && !(1..=1_000).contains(&duty_milli)
    {
        return Err(OrderError::Wrong(
            "the duty must be above 0 and at most 100%; to stop all work, pause".to_owned(),
        ));
    }
    let expires = match wish.lasts {
        None => None,
        Some(lasts) => Some(
            now.checked_add(lasts)
                .map_err(|_| OrderError::Wrong("it would hold for longer than time goes".to_owned()))?,
        ),
    };
    let id = format!("{:016x}", rand::random::<u64>());
    Ok(Order {
        scope: match wish.action {
            // Each hold is one of its own.
            Action::Hold(_) => control::hold_of(&id),
            _ => wish.scope.clone(),
        },
        id,
        action: AnyAction::Known(wish.action.clone()),
        actor: said("the actor", &wish.actor, MOST_ACTOR)?,
        reason: said("the reason", &wish.reason, MOST_REASON)?,
        given_at: now,
        expires,
    })
}

/// PURE: what is noted of an order, by whoever gives or obeys it.
pub(crate) fn act_of(order: &Order, action: &str) -> Act {
    let mut detail = BTreeMap::from([
        ("order".to_owned(), order.id.clone()),
        ("scope".to_owned(), order.scope.clone()),
    ]);
    if let Some(expires) = order.expires {
        detail.insert("expires".to_owned(), expires.to_string());
    }
    if let AnyAction::Known(Action::Limit { duty_milli }) = order.action {
        detail.insert("duty_milli".to_owned(), duty_milli.to_string());
    }
    if let AnyAction::Known(Action::Hold(hold)) = &order.action {
        let names = |names: Vec<&str>| match names.as_slice() {
            [] => "all".to_owned(),
            names => names.join(", "),
        };
        let recipients = hold.recipients.iter().map(|name| name.as_str()).collect();
        let feeds = hold.feeds.iter().map(|name| name.as_str()).collect();
        detail.insert("recipients".to_owned(), names(recipients));
        detail.insert("feeds".to_owned(), names(feeds));
        if let Some(mark) = &hold.person {
            detail.insert("person".to_owned(), mark.digest.to_string());
        }
    }
    let action = match &order.action {
        AnyAction::Known(Action::Hold(_)) => action.to_owned(),
        AnyAction::Known(Action::Release) => format!("hold.{action}"),
        _ => format!("gate.{action}"),
    };
    Act {
        actor: order.actor.clone(),
        action,
        reason: order.reason.clone(),
        detail,
    }
}

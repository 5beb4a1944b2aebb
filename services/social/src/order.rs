//! An operator's order, given over the exchange: noted in the audit chain first, so that nothing
//! is ever ordered that nobody answers for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use schemas::control::{
    self, Action, AnyAction, Confirmation, Control, Hold, MOST_ACTOR, MOST_REASON, Order, TooMany,
};
use schemas::envelope::Envelope;
use schemas::heads::Mark;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::visible;

use crate::act::{Act, ActError, append};
use crate::control_head::{self, Head};
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
    /// The orders before the last message are not known, and only a pause or a hold can be given then.
    #[error(
        "the orders in force are not known ({0}), so this cannot be added to them: give `slacktide gate pause` or `slacktide hold \
         add` first, which holds everything, then holds and limits again"
    )]
    Unverifiable(String),
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Their texts take too much room.
    #[error(
        "the orders in force take {0} bytes: release holds that are no longer needed, or give shorter reasons"
    )]
    TooLong(usize),
    /// Others gave orders, again and again.
    #[error("orders of {0} are being given by others: repeat")]
    Busy(PartyName),
    /// Sealing failed.
    #[error("the order could not be sealed: {0}")]
    Seal(String),
}

/// An order that was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// The record that holds it.
    pub record: Control,
    /// Its number and digest.
    pub mark: Mark,
    /// The records that it follows.
    pub before: Head,
    /// Why the audit chain does not hold it: a pause and a hold do not wait for that.
    pub not_noted: Option<ActError>,
    /// The orders before could not be read, so everything is held until they were given again.
    pub holds_all: bool,
}

/// The size of a record that a hold or a limit may reach. The stream takes 64 KiB, and what is left is for a pause, a
/// release and a resume, whose longest texts take less than half of the rest.
const MOST_WITHOUT_PAUSE: usize = 48 * 1024;

/// How often a lost race is run again.
const RACES: usize = 16;

/// Gives an order. Its audit entry is written before; a pause and a hold, which only keep back, are given even where
/// that fails, and where the orders before cannot be read.
///
/// # Errors
/// [`OrderError`], each with what to do.
pub async fn give(
    exchange: &dyn Exchange,
    who: &Signatory<'_>,
    trusted: &[PublicKey],
    wish: &Wish,
    now: Timestamp,
) -> Result<Given, OrderError> {
    let newest = order(wish, now)?;
    let keeps_back = matches!(wish.action, Action::Pause | Action::Hold(_));
    let mut not_noted = None;
    for race in 0..RACES {
        let head = control_head::read(exchange, who.party, trusted).await?;
        if let Some(trouble) = head.trouble() {
            tracing::warn!(
                trouble,
                "the control record goes on behind a message that is no order"
            );
        }
        if let (false, false, Some(error)) = (keeps_back, head.is_known(), &head.unknown) {
            return Err(OrderError::Unverifiable(error.to_string()));
        }
        if let Action::Confirm(confirmation) = &wish.action
            && confirmation.record != head.mark()
        {
            let here = head.mark().map_or("none".to_owned(), |mark| mark.to_string());
            return Err(OrderError::Wrong(format!(
                "the record in force is {here}, not the one that was named: look at it with `slacktide orders show`, then confirm it"
            )));
        }
        let holds_all = !head.is_known();
        let record = follow(&head, &newest, who, now)?;
        let seal = |error: schemas::envelope::EnvelopeError| OrderError::Seal(error.to_string());
        let envelope = Envelope::seal(&record, Vec::new(), who.key).map_err(seal)?;
        let mark = Mark {
            number: record.number,
            digest: envelope.digest(),
        };
        let bytes = envelope.encode().map_err(seal)?;
        // A record has to fit into a message; room for a pause is always left.
        let adds = matches!(wish.action, Action::Hold(_) | Action::Limit { .. });
        if adds && bytes.len() > MOST_WITHOUT_PAUSE {
            return Err(OrderError::TooLong(bytes.len()));
        }
        if race == 0 {
            let action = format!("{}.order", newest.action.kind());
            match append(exchange, who, &act_of(&newest, &action)).await {
                Err(error) if keeps_back => not_noted = Some(error),
                noted => {
                    noted?;
                }
            }
        }
        let published = exchange.publish_control(who.party, Bytes::from(bytes), head.expected);
        if let Published::Done { .. } = published.await? {
            return Ok(Given {
                record,
                mark,
                before: head,
                not_noted,
                holds_all,
            });
        }
    }
    Err(OrderError::Busy(who.party.clone()))
}

/// PURE: the record that adds an order to the head. Where what was in force is not known, everything is held with it:
/// a hold that was lost must not end because another order was given.
fn follow(head: &Head, newest: &Order, who: &Signatory<'_>, now: Timestamp) -> Result<Control, TooMany> {
    let skips = head.unreadable.as_ref().map(|(message, _)| *message);
    let lost = match &newest.action {
        AnyAction::Known(Action::Confirm(Confirmation { lost: Some(lost), .. })) => lost.number,
        _ => 0,
    };
    let (number, previous, before) = match &head.record {
        Some((control, digest)) => (control.number + 1, Some(*digest), control.orders.clone()),
        None if head.is_known() => (head.expected.saturating_add(1), None, Vec::new()),
        None => (
            head.expected.saturating_add(1),
            None,
            vec![hold_all(newest, head.expected)],
        ),
    };
    Ok(Control {
        party: who.party.clone(),
        // Above the lost one, so that no agent takes it for an older one.
        number: number.max(lost.saturating_add(1)),
        previous,
        skips,
        orders: control::after(&before, newest, now)?,
        newest: newest.clone(),
        at: now,
        key: who.key.public().clone(),
    })
}

fn hold_all(newest: &Order, sequence: u64) -> Order {
    let id = format!("{:016x}", rand::random::<u64>());
    Order {
        scope: control::hold_of(&id),
        id,
        action: AnyAction::Known(Action::Hold(Hold {
            recipients: Vec::new(),
            feeds: Vec::new(),
            person: None,
        })),
        reason: format!(
            "the orders before message {sequence} could not be read: give pauses and holds again, then release this one"
        ),
        expires: None,
        ..newest.clone()
    }
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
    if let AnyAction::Known(Action::Confirm(confirmation)) = &order.action {
        let named = |mark: Option<Mark>| mark.map_or("none".to_owned(), |mark| mark.to_string());
        detail.insert("record".to_owned(), named(confirmation.record));
        detail.insert("lost".to_owned(), named(confirmation.lost));
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
        AnyAction::Known(Action::Confirm(_)) => format!("orders.{action}"),
        _ => format!("gate.{action}"),
    };
    Act {
        actor: order.actor.clone(),
        action,
        reason: order.reason.clone(),
        detail,
    }
}

#[cfg(test)]
mod tests;

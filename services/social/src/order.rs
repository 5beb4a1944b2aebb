//! Issues operators' orders over the exchange. The audit chain is written first, so that every order has a responsible actor.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use schemas::control::{
    self, Action, AnyAction, Confirmation, Control, Hold, MAX_ACTOR_CHARS, MAX_REASON_CHARS, Order,
    TooManyOrders,
};
use schemas::envelope::Envelope;
use schemas::heads::RecordRef;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::visible;

use crate::audit_log::{AuditEvent, AuditLogError, AuditSigner, append};
use crate::control_head::{self, Head};

/// An order before it is issued.
#[derive(Debug, Clone)]
pub struct OrderDraft {
    /// What it is about; see [`control::gate_scope`] and [`control::hold_scope`]. A new hold makes its own.
    pub scope: String,
    /// The action.
    pub action: Action,
    /// Who decides.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// How long it lasts; `None` until an operator revokes it.
    pub lasts: Option<Duration>,
}

/// Why nothing was ordered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrderError {
    /// The exchange failed. The order may have been stored.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The audit chain failed; nothing was ordered.
    #[error(transparent)]
    AuditEvent(#[from] AuditLogError),
    /// A field is missing or out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// The orders before the last message are not known, and only a pause or a hold can be given then.
    #[error(
        "the orders in force are not known ({0}), so this cannot be added to them: give `slacktide gate pause` or `slacktide hold \
         add` first, which holds everything, then holds and limits again"
    )]
    Unverifiable(String),
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] TooManyOrders),
    /// The orders are too large.
    #[error(
        "the orders in force take {0} bytes: release holds that are no longer needed, or give shorter reasons"
    )]
    TooLong(usize),
    /// Other operators won every attempt.
    #[error("others are giving orders of {0}: try again")]
    Busy(PartyName),
    /// Signing failed.
    #[error("cannot sign the order: {0}")]
    Signing(String),
}

/// An order that was given.
#[derive(Debug, Clone)]
pub struct IssuedOrder {
    /// The record that holds it.
    pub record: Control,
    /// Its number and digest.
    pub mark: RecordRef,
    /// The records that it follows.
    pub before: Head,
    /// Why the audit chain does not hold it: a pause and a hold are given even then.
    pub audit_error: Option<AuditLogError>,
    /// Whether the earlier orders could not be read, so that everything is held until they are given again.
    pub holds_all: bool,
}

/// The maximum size of a record after a hold or a limit, in bytes. The stream takes 64 KiB; the rest is reserved for a pause, a
/// release and a resume, whose longest texts take less than half of it.
const MAX_BYTES_WITHOUT_PAUSE: usize = 48 * 1024;

/// How often a lost attempt is run again.
const MAX_ATTEMPTS: usize = 16;

/// Issues an order after writing its audit entry. A pause and a hold, which only restrict, are issued even if that fails and if
/// the earlier orders cannot be read.
///
/// # Errors
/// [`OrderError`], each with what to do.
pub async fn issue_order(
    exchange: &dyn Exchange,
    signer: &AuditSigner<'_>,
    trusted: &[PublicKey],
    draft: &OrderDraft,
    now: Timestamp,
) -> Result<IssuedOrder, OrderError> {
    let newest = order(draft, now)?;
    let is_restrictive = matches!(draft.action, Action::Pause | Action::Hold(_));
    let mut audit_error = None;
    for attempt in 0..MAX_ATTEMPTS {
        let head = control_head::read(exchange, signer.party, trusted).await?;
        if let Some(problem) = head.unreadable_message() {
            tracing::warn!(
                error = problem,
                "last control message is not an order, the new record continues after it"
            );
        }
        if let (false, false, Some(error)) = (is_restrictive, head.is_known(), &head.unknown) {
            return Err(OrderError::Unverifiable(error.to_string()));
        }
        if let Action::Confirm(confirmation) = &draft.action
            && confirmation.record != head.mark()
        {
            let here = head.mark().map_or("none".to_owned(), |mark| mark.to_string());
            return Err(OrderError::Invalid(format!(
                "the record in force is {here}, not the one that was named: look at it with `slacktide orders show`, then confirm it"
            )));
        }
        let holds_all = !head.is_known();
        let record = next_record(&head, &newest, signer, now)?;
        let signing = |error: schemas::envelope::EnvelopeError| OrderError::Signing(error.to_string());
        let envelope = Envelope::sign(&record, Vec::new(), signer.key).map_err(signing)?;
        let mark = RecordRef {
            number: record.number,
            digest: envelope.digest(),
        };
        let bytes = envelope.encode().map_err(signing)?;
        // A record must fit into a message and leave room for a pause.
        let adds = matches!(draft.action, Action::Hold(_) | Action::Limit { .. });
        if adds && bytes.len() > MAX_BYTES_WITHOUT_PAUSE {
            return Err(OrderError::TooLong(bytes.len()));
        }
        if attempt == 0 {
            let action = format!("{}.order", newest.action.kind());
            match append(exchange, signer, &audit_event(&newest, &action)).await {
                Err(error) if is_restrictive => audit_error = Some(error),
                appended => {
                    appended?;
                }
            }
        }
        let published = exchange.publish_control(signer.party, Bytes::from(bytes), head.expected);
        if let Published::Done { .. } = published.await? {
            return Ok(IssuedOrder {
                record,
                mark,
                before: head,
                audit_error,
                holds_all,
            });
        }
    }
    Err(OrderError::Busy(signer.party.clone()))
}

/// PURE: returns the record that adds an order to the head. If the earlier orders are unknown, the record holds everything: a
/// lost hold must not end because of another order.
fn next_record(
    head: &Head,
    newest: &Order,
    signer: &AuditSigner<'_>,
    now: Timestamp,
) -> Result<Control, TooManyOrders> {
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
        party: signer.party.clone(),
        // Above the lost number, so that no agent takes it for an older record.
        number: number.max(lost.saturating_add(1)),
        previous,
        skips,
        orders: control::apply_order(&before, newest, now)?,
        newest: newest.clone(),
        at: now,
        key: signer.key.public().clone(),
    })
}

fn hold_all(newest: &Order, sequence: u64) -> Order {
    let id = format!("{:016x}", rand::random::<u64>());
    Order {
        scope: control::hold_scope(&id),
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

fn order(draft: &OrderDraft, now: Timestamp) -> Result<Order, OrderError> {
    let checked_text = |what: &str, text: &str, most: usize| {
        if text.trim().is_empty()
            || text.chars().count() > most
            || visible::check_visible(what, text).is_err()
        {
            return Err(OrderError::Invalid(format!(
                "{what} is signed and kept: give one line of at most {most} visible characters"
            )));
        }
        Ok(text.trim().to_owned())
    };
    if let Action::Limit { duty_milli } = draft.action
        && !(1..=1_000).contains(&duty_milli)
    {
        return Err(OrderError::Invalid(
            "the duty must be above 0 and at most 100%; to stop all work, pause".to_owned(),
        ));
    }
    let expires =
        match draft.lasts {
            None => None,
            Some(lasts) => Some(now.checked_add(lasts).map_err(|_| {
                OrderError::Invalid("its end is beyond the supported range of time".to_owned())
            })?),
        };
    let id = format!("{:016x}", rand::random::<u64>());
    Ok(Order {
        scope: match draft.action {
            // Each hold has its own scope.
            Action::Hold(_) => control::hold_scope(&id),
            _ => draft.scope.clone(),
        },
        id,
        action: AnyAction::Known(draft.action.clone()),
        actor: checked_text("the actor", &draft.actor, MAX_ACTOR_CHARS)?,
        reason: checked_text("the reason", &draft.reason, MAX_REASON_CHARS)?,
        given_at: now,
        expires,
    })
}

/// PURE: returns the audit event of an order that is issued or obeyed.
pub(crate) fn audit_event(order: &Order, action: &str) -> AuditEvent {
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
        let named = |mark: Option<RecordRef>| mark.map_or("none".to_owned(), |mark| mark.to_string());
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
    AuditEvent {
        actor: order.actor.clone(),
        action,
        reason: order.reason.clone(),
        detail,
    }
}

#[cfg(test)]
mod tests;

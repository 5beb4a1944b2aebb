//! Opens a new epoch: the operator's remedy after the exchange was restored or the feed redefined.
//!
//! An epoch begins with an opening: a chunk without rows that names the chunk it continues, who decided it and why. It continues
//! from the last receipt, which the receiver vouches for, or from another [`StartPoint`], and is published by compare-and-set
//! after the lane's current tail. The running publisher loses one race to it, adopts it and continues from its cursor.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::seek::find_chunk;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use schemas::body::BodyFormat;
use schemas::chunk;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::heads::{Heads, RecordRef};
use schemas::load::Load;
use schemas::manifest::{
    Algorithms, Cause, Content, Link, Manifest, Opening, OutstandingRows, Resync, Totals,
};
use schemas::name::Lane;
use schemas::receipt::Receipt;

mod error;
mod plan;

use crate::audit_log::{AuditEvent, AuditLogError, append};
use crate::control_head::{self, Head};
use crate::record_reference::RecordReference;
use crate::tail::{Trust, UntrustedMessage, pending_resync, trusted_manifest, trusted_receipt};

pub use crate::audit_log::AuditSigner;
pub use error::EpochError;
use plan::plan_from_tail;
pub use plan::{Plan, ReceiptBasis, plan};

/// An order to open an epoch.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    /// The lane.
    pub lane: Lane,
    /// The cause.
    pub cause: Cause,
    /// Who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
    /// The definition of the feed as it is configured now.
    pub definition: Digest,
    /// The columns, for a lane whose last chunk is gone from the exchange.
    pub schema: Option<RowSchema>,
    /// Where the epoch continues from.
    pub from: StartPoint,
    /// Control records that signed messages name: the orders at the exchange must follow them.
    pub named: Vec<RecordReference>,
    /// The tail that the operator gives up, trusted or not: SHA-256 of the message. The epoch is opened after it.
    pub gives_up: Option<Digest>,
}

/// Where a new epoch continues from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPoint {
    /// The receiver's last receipt.
    Receipt,
    /// The beginning: everything is sent again. Allowed without a receipt; the receiver replaces its rows.
    Beginning,
    /// The lane's tail, with the configured definition or the current source.
    Tail,
    /// The position before this chunk: later rows are sent again. Known for every chunk that the exchange keeps, and for those
    /// where holds began to withhold rows.
    Chunk {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        number: u64,
    },
}

/// An epoch that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedEpoch {
    /// The new epoch.
    pub epoch: u32,
    /// The chunk that it continues.
    pub continues: Option<Link>,
    /// The position to continue from.
    pub cursor: Option<Cursor>,
    /// The exchange's sequence of the opening.
    pub sequence: u64,
}

/// The maximum number of attempts after lost races.
const MAX_ATTEMPTS: usize = 16;

/// Opens a new epoch. The audit chain is written first, so that every epoch has a responsible actor.
///
/// # Errors
/// [`EpochError`], each with what to do.
pub async fn open_epoch(
    exchange: &dyn Exchange,
    order: &EpochOrder,
    trust: &Trust,
    signer: &AuditSigner<'_>,
) -> Result<OpenedEpoch, EpochError> {
    let lane = &order.lane;
    let untrusted = |error: UntrustedMessage| EpochError::Untrusted {
        lane: lane.clone(),
        what: error.to_string(),
    };
    for attempt in 0..MAX_ATTEMPTS {
        let (receipt, receipted_at) = match exchange.last_receipt(lane).await? {
            Some(stored) => {
                let receipt = trusted_receipt(&stored, lane, trust).map_err(untrusted)?;
                (Some(receipt), Some(stored.stored_at))
            }
            None => (None, None),
        };
        let mut passed_over = 0;
        let mut is_tail_given_up = false;
        let (expected, tail) = match exchange.last_chunk(lane).await? {
            Some(stored) if order.gives_up == Some(Digest::of(&[&stored.bytes])) => {
                passed_over = claimed_epoch(&stored.bytes);
                is_tail_given_up = true;
                (stored.sequence, None)
            }
            // Not a chunk, so it belongs to no epoch and cannot be continued. A readable chunk must be trusted, because its
            // epoch counts.
            Some(stored) if chunk::read_untrusted(&stored.bytes).is_none() => {
                is_tail_given_up = true;
                (stored.sequence, None)
            }
            Some(stored) => {
                let tail = trusted_manifest(&stored, lane, trust).map_err(untrusted)?;
                (stored.sequence, Some(tail))
            }
            None => (0, None),
        };
        let is_under_way = tail
            .as_ref()
            .is_some_and(|(manifest, _)| pending_resync(manifest.resync).is_some());
        if is_under_way && order.cause != Cause::Resync {
            return Err(EpochError::ResyncUnderWay { lane: lane.clone() });
        }
        let operators = [signer.trusted, std::slice::from_ref(signer.key.public())].concat();
        let head = control_head::read(exchange, signer.party, &operators).await?;
        let restored_at = receipted_at.filter(|_| {
            let link = tail.as_ref().map(|(_, link)| *link);
            !is_tail_given_up && receipt.as_ref().is_some_and(|receipt| is_ahead(receipt, link))
        });
        let named = tail.as_ref().and_then(|(manifest, _)| manifest.heads.control);
        are_orders_certain(order, &head, named, restored_at)?;
        let signed = receipt.as_ref().map(|receipt| ReceiptBasis {
            epoch: receipt.epoch,
            to: receipt.to,
            head: receipt.head,
            cursor: receipt.cursor.clone(),
        });
        let tail_epoch = tail.as_ref().map_or(passed_over, |(manifest, _)| manifest.epoch);
        let Plan {
            epoch,
            continues,
            cursor,
        } = match (order.from, &tail) {
            (StartPoint::Receipt | StartPoint::Beginning, _) => {
                plan(signed.as_ref(), tail_epoch, order.from == StartPoint::Beginning)
                    .ok_or_else(|| EpochError::NoReceipt { lane: lane.clone() })?
            }
            (_, None) => return Err(EpochError::NoSchema { lane: lane.clone() }),
            (from, Some((manifest, link))) => {
                let named = match from {
                    StartPoint::Chunk { epoch, number } => {
                        named_chunk(exchange, lane, trust, (epoch, number), link.epoch).await?
                    }
                    _ => None,
                };
                plan_from_tail(order, from, manifest, *link, signed.as_ref(), named.as_ref())?
            }
        };
        let outstanding = tail.as_ref().map_or_else(BTreeMap::new, |(manifest, _)| {
            still_held_back(&manifest.content.totals.outstanding, continues)
        });
        let tail = tail.map(|(manifest, _)| manifest);
        // Only an order that accepts the source makes another database the lane's source.
        let source = tail
            .as_ref()
            .and_then(|manifest| manifest.source.clone())
            .filter(|_| !order.cause.accepts_source());
        // The actual cause is signed: a changed definition must not permanently appear as a restored exchange.
        let changed = tail
            .as_ref()
            .is_some_and(|manifest| manifest.content.definition != order.definition);
        let cause = match order.cause {
            Cause::ExchangeRestored if changed => Cause::DefinitionAccepted,
            cause => cause,
        };
        let schema = order
            .schema
            .clone()
            .or_else(|| tail.map(|manifest| manifest.content.schema))
            .ok_or_else(|| EpochError::NoSchema { lane: lane.clone() })?;
        let mut manifest = Manifest {
            source,
            origin: Some(trust.here.clone()),
            opening: Some(Opening {
                cause,
                actor: order.actor.clone(),
                reason: order.reason.clone(),
                continues,
            }),
            resync: (cause == Cause::Resync).then(Resync::default),
            heads: Heads {
                control: head.mark(),
                ..Heads::default()
            },
            ..opening(order, signer, epoch, continues, cursor.clone(), schema)
        };
        manifest.content.totals.outstanding = outstanding;
        let signed = chunk::SignedChunk::sign(manifest, &[], signer.key, None)
            .map_err(|e| EpochError::Signing(e.to_string()))?;
        if attempt == 0 {
            append_audit(exchange, order, signer, epoch, continues).await?;
        }
        if let Published::Done { sequence } = exchange
            .publish_chunk(lane, Bytes::from(signed.bytes), expected)
            .await?
        {
            return Ok(OpenedEpoch {
                epoch,
                continues,
                cursor,
                sequence,
            });
        }
    }
    Err(EpochError::Busy { lane: lane.clone() })
}

/// Returns this chunk, if the exchange keeps it, with the chunks that later epochs continue.
async fn named_chunk(
    exchange: &dyn Exchange,
    lane: &Lane,
    trust: &Trust,
    (epoch, number): (u32, u64),
    last: u32,
) -> Result<Option<plan::NamedChunk>, EpochError> {
    let untrusted = |error: UntrustedMessage| EpochError::Untrusted {
        lane: lane.clone(),
        what: error.to_string(),
    };
    let found = find_chunk(exchange, lane, (epoch, number)).await?;
    let Some(found) = found.filter(|found| (found.epoch, found.number) == (epoch, number)) else {
        return Ok(None);
    };
    let (manifest, _) = trusted_manifest(&found.stored, lane, trust).map_err(untrusted)?;
    let mut openings = BTreeMap::new();
    let mut at = last;
    while at > epoch {
        let opening = find_chunk(exchange, lane, (at, 1)).await?;
        let Some(opening) = opening.filter(|opening| (opening.epoch, opening.number) == (at, 1)) else {
            break;
        };
        let (opening, _) = trusted_manifest(&opening.stored, lane, trust).map_err(untrusted)?;
        let continues = opening.opening.and_then(|opening| opening.continues);
        openings.insert(at, continues);
        match continues {
            Some(link) if link.epoch < at => at = link.epoch,
            _ => break,
        }
    }
    Ok(Some(plan::NamedChunk::of(&manifest, last, &openings)))
}

/// PURE: returns whether the receiver acknowledged more than the exchange holds, which was then restored or rewritten.
fn is_ahead(receipt: &Receipt, tail: Option<Link>) -> bool {
    let at = tail.map_or((0, 0), |link| (link.epoch, link.number));
    let signed_for = (receipt.epoch, receipt.to);
    let is_other = at == signed_for && receipt.head.is_some() && tail.map(|link| link.digest) != receipt.head;
    receipt.to > 0 && (at < signed_for || is_other)
}

/// PURE: checks that the orders are certain. After a restore they are certain once an operator has confirmed them: the receipt
/// that shows the restore is younger than the copy, so a confirmation younger than the receipt is not from the copy.
fn are_orders_certain(
    order: &EpochOrder,
    head: &Head,
    named_by_tail: Option<RecordRef>,
    restored_at: Option<Timestamp>,
) -> Result<(), EpochError> {
    let tail = named_by_tail.map(|mark| RecordReference {
        mark,
        by: format!("the last chunk of lane {}", order.lane),
    });
    let lost = order
        .named
        .iter()
        .chain(&tail)
        .find(|named| !head.follows(named.mark));
    if let Some(lost) = lost {
        return Err(EpochError::OrdersBehind(head.describe_loss(lost)));
    }
    let is_confirmed = |at| head.confirmed.is_some_and(|confirmed| confirmed.stored_at > at);
    match restored_at {
        Some(at) if !is_confirmed(at) => Err(EpochError::Unconfirmed {
            lane: order.lane.clone(),
            record: head.mark().map_or("none".to_owned(), |mark| mark.to_string()),
        }),
        _ => Ok(()),
    }
}

/// PURE: returns the outstanding withheld rows when an epoch continues from a chunk: later ones are read again.
fn still_held_back(
    outstanding: &BTreeMap<String, OutstandingRows>,
    continues: Option<Link>,
) -> BTreeMap<String, OutstandingRows> {
    let Some(link) = continues else {
        return BTreeMap::new();
    };
    outstanding
        .iter()
        .filter(|(_, back)| (back.epoch, back.number) <= (link.epoch, link.number))
        .map(|(id, back)| (id.clone(), back.clone()))
        .collect()
}

/// Returns the epoch that a given-up tail claims, which is not reused because a receiver may trust the tail. The limit keeps a
/// forger from using up the numbers.
fn claimed_epoch(bytes: &[u8]) -> u32 {
    const LIMIT: u32 = 1 << 20;
    let claims = chunk::read_untrusted(bytes).map_or(0, |(manifest, _)| manifest.epoch);
    if claims < LIMIT { claims } else { 0 }
}

fn opening(
    order: &EpochOrder,
    signer: &AuditSigner<'_>,
    epoch: u32,
    continues: Option<Link>,
    cursor: Option<Cursor>,
    schema: RowSchema,
) -> Manifest {
    let now = Timestamp::now();
    Manifest {
        recipient: order.lane.recipient.clone(),
        feed: order.lane.feed.clone(),
        origin: None,
        epoch,
        number: 1,
        previous: continues.map(|link| link.digest),
        opening: None,
        resync: None,
        repair: None,
        heads: schemas::heads::Heads::default(),
        cursor_before: cursor.clone(),
        cursor_after: cursor,
        source: None,
        content: Content {
            instance: signer.instance.to_owned(),
            key: signer.key.public().clone(),
            schema,
            definition: order.definition,
            totals: Totals::default(),
            load: Load::default(),
            rejects: Vec::new(),
            // Filled in when the chunk is signed.
            body: BodyFormat::default(),
            read_from: now,
            read_to: now,
            algorithms: Algorithms::default(),
        },
    }
}

async fn append_audit(
    exchange: &dyn Exchange,
    order: &EpochOrder,
    signer: &AuditSigner<'_>,
    epoch: u32,
    continues: Option<Link>,
) -> Result<(), EpochError> {
    let from = continues.map_or("the start".to_owned(), |link| {
        format!("{}.{}", link.epoch, link.number)
    });
    let detail = BTreeMap::from([
        ("lane".to_owned(), order.lane.to_string()),
        ("epoch".to_owned(), epoch.to_string()),
        ("continues".to_owned(), from),
        ("definition".to_owned(), order.definition.to_string()),
    ]);
    let gives_up = order
        .gives_up
        .map(|digest| ("gives_up".to_owned(), digest.to_string()));
    let detail = detail.into_iter().chain(gives_up).collect();
    let event = AuditEvent {
        actor: order.actor.clone(),
        action: "epoch.open".to_owned(),
        reason: order.reason.clone(),
        detail,
    };
    append(exchange, signer, &event)
        .await
        .map(|_| ())
        .map_err(|error| match error {
            AuditLogError::Exchange(error) => EpochError::Exchange(error),
            AuditLogError::Signing(why) => EpochError::Signing(why),
            AuditLogError::Busy => EpochError::Busy {
                lane: order.lane.clone(),
            },
        })
}

#[cfg(test)]
mod tests;

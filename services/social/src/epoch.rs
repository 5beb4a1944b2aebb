//! A new epoch: the operator's way on after the exchange was restored, or the feed redefined.
//!
//! It begins with an opening: a chunk without rows that names the chunk it goes on from, who
//! decided it and why. It is made from the last receipt, which is what the receiver vouches
//! for, or from another place ([`From`]), and published by compare-and-set behind whatever the lane's
//! tail is now. The running publisher loses one race by it, adopts it and reads on from its cursor.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::seek::seek_chunk;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use schemas::chunk;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::heads::{Heads, Mark};
use schemas::load::Load;
use schemas::manifest::{Algorithms, Cause, HeldBack, Link, Manifest, Opening, Publisher, Resync, Totals};
use schemas::name::{Lane, PartyName};
use schemas::receipt::Receipt;
use schemas::sign::{PublicKey, SigningKey};

mod error;
mod plan;

use crate::act::{Act, ActError, append};
use crate::control_head::{self, Head};
use crate::tail::{Trust, trusted_manifest, trusted_receipt, under_way};
use crate::witness::Named;

pub use error::EpochError;
use plan::behind;
pub use plan::{Basis, Plan, plan};

/// Who decides what, and why.
#[derive(Debug, Clone)]
pub struct Order {
    /// The lane.
    pub lane: Lane,
    /// What made it necessary.
    pub cause: Cause,
    /// Who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
    /// The definition of the feed as it is configured now.
    pub definition: Digest,
    /// The columns, for a lane whose last chunk is gone from the exchange.
    pub schema: Option<RowSchema>,
    /// Where it goes on from.
    pub from: From,
    /// Control records that something signed names: the orders at the exchange have to follow them.
    pub named: Vec<Named>,
    /// The tail that the operator gives up, whoever signed it: SHA-256 of the message. The epoch
    /// is opened behind it.
    pub gives_up: Option<Digest>,
}

/// Where a new epoch goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The receiver's last receipt.
    Receipt,
    /// The beginning: everything is sent again. Allowed where there is no receipt; the receiver replaces
    /// its rows as they come.
    Beginning,
    /// Where the lane stands, with the definition as it is configured now, or with the source as it is now.
    Tail,
    /// The position before this chunk: what was read since is sent again. Known for every chunk that the exchange keeps,
    /// and for those where holds began to keep rows back.
    Chunk {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        number: u64,
    },
}

/// Who signs, and for whom the audit entry stands.
pub struct Signatory<'a> {
    /// Signs opening and audit entry.
    pub key: &'a SigningKey,
    /// Keys of others who write to the same audit chain.
    pub trusted: &'a [PublicKey],
    /// One life of one process.
    pub instance: &'a str,
    /// The party.
    pub party: &'a PartyName,
    /// The writer of the audit chain.
    pub writer: &'a PartyName,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The new epoch.
    pub epoch: u32,
    /// What it goes on from.
    pub continues: Option<Link>,
    /// The position that is read on from.
    pub cursor: Option<Cursor>,
    /// The exchange's sequence of the opening.
    pub sequence: u64,
}

/// How often a lost race is run again.
const RACES: usize = 16;

/// Opens a new epoch, and notes it in the audit chain first, so that
/// nothing is ever done that nobody answers for.
///
/// # Errors
/// [`EpochError`], each with what to do.
pub async fn open_epoch(
    exchange: &dyn Exchange,
    order: &Order,
    trust: &Trust,
    who: &Signatory<'_>,
) -> Result<Opened, EpochError> {
    let lane = &order.lane;
    let untrusted = |what| EpochError::Untrusted {
        lane: lane.clone(),
        what,
    };
    for race in 0..RACES {
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
            // Nothing that could be a chunk: it has no place in any epoch, so there is nothing
            // of it to go on from. What reads as a chunk must be trusted, for its epoch counts.
            Some(stored) if chunk::place(&stored.bytes).is_none() => {
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
            .is_some_and(|(manifest, _)| under_way(manifest.resync).is_some());
        if is_under_way && order.cause != Cause::Resync {
            return Err(EpochError::ResyncUnderWay { lane: lane.clone() });
        }
        let operators = [who.trusted, std::slice::from_ref(who.key.public())].concat();
        let head = control_head::read(exchange, who.party, &operators).await?;
        let restored_at = receipted_at.filter(|_| {
            let link = tail.as_ref().map(|(_, link)| *link);
            !is_tail_given_up && receipt.as_ref().is_some_and(|receipt| is_ahead(receipt, link))
        });
        let named = tail.as_ref().and_then(|(manifest, _)| manifest.heads.control);
        are_orders_certain(order, &head, named, restored_at)?;
        let signed = receipt.as_ref().map(|receipt| Basis {
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
            (From::Receipt | From::Beginning, _) => {
                plan(signed.as_ref(), tail_epoch, order.from == From::Beginning)
                    .ok_or_else(|| EpochError::NoReceipt { lane: lane.clone() })?
            }
            (_, None) => return Err(EpochError::NoSchema { lane: lane.clone() }),
            (from, Some((manifest, link))) => {
                let named = match from {
                    From::Chunk { epoch, number } => {
                        named_chunk(exchange, lane, trust, (epoch, number), link.epoch).await?
                    }
                    _ => None,
                };
                behind(order, from, manifest, *link, signed.as_ref(), named.as_ref())?
            }
        };
        let held_back = tail.as_ref().map_or_else(BTreeMap::new, |(manifest, _)| {
            still_held_back(&manifest.totals.held_back, continues)
        });
        let tail = tail.map(|(manifest, _)| manifest);
        // Only an order that says so makes another database the lane's source.
        let source = tail
            .as_ref()
            .and_then(|manifest| manifest.source.clone())
            .filter(|_| !order.cause.accepts_source());
        // What stopped the lane is seen here, and signed as it was: a definition that changed must
        // not read as a restored exchange for ever after.
        let changed = tail
            .as_ref()
            .is_some_and(|manifest| manifest.definition != order.definition);
        let cause = match order.cause {
            Cause::ExchangeRestored if changed => Cause::DefinitionAccepted,
            cause => cause,
        };
        let schema = order
            .schema
            .clone()
            .or_else(|| tail.map(|manifest| manifest.schema))
            .ok_or_else(|| EpochError::NoSchema { lane: lane.clone() })?;
        let manifest = Manifest {
            source,
            origin: Some(trust.here.clone()),
            opening: Some(Opening {
                cause,
                actor: order.actor.clone(),
                reason: order.reason.clone(),
                continues,
            }),
            resync: (cause == Cause::Resync).then(Resync::default),
            totals: Totals {
                held_back,
                ..Totals::default()
            },
            heads: Heads {
                control: head.mark(),
                ..Heads::default()
            },
            ..opening(order, who, epoch, continues, cursor.clone(), schema)
        };
        let sealed = chunk::seal(manifest, &[], who.key).map_err(|e| EpochError::Seal(e.to_string()))?;
        if race == 0 {
            note(exchange, order, who, epoch, continues).await?;
        }
        if let Published::Done { sequence } = exchange
            .publish_chunk(lane, Bytes::from(sealed.bytes), expected)
            .await?
        {
            return Ok(Opened {
                epoch,
                continues,
                cursor,
                sequence,
            });
        }
    }
    Err(EpochError::Busy { lane: lane.clone() })
}

/// The chunk in this place, where the exchange keeps it, with what the epochs behind it go on from.
async fn named_chunk(
    exchange: &dyn Exchange,
    lane: &Lane,
    trust: &Trust,
    (epoch, number): (u32, u64),
    last: u32,
) -> Result<Option<plan::Named>, EpochError> {
    let untrusted = |what| EpochError::Untrusted {
        lane: lane.clone(),
        what,
    };
    let found = seek_chunk(exchange, lane, (epoch, number)).await?;
    let Some(found) = found.filter(|found| (found.epoch, found.number) == (epoch, number)) else {
        return Ok(None);
    };
    let (manifest, _) = trusted_manifest(&found.stored, lane, trust).map_err(untrusted)?;
    let mut openings = BTreeMap::new();
    let mut at = last;
    while at > epoch {
        let opening = seek_chunk(exchange, lane, (at, 1)).await?;
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
    Ok(Some(plan::Named::of(&manifest, last, &openings)))
}

/// PURE: whether the receiver signed for more than the exchange holds, which was restored then or rewritten.
fn is_ahead(receipt: &Receipt, tail: Option<Link>) -> bool {
    let at = tail.map_or((0, 0), |link| (link.epoch, link.number));
    let signed_for = (receipt.epoch, receipt.to);
    let is_other = at == signed_for && receipt.head.is_some() && tail.map(|link| link.digest) != receipt.head;
    receipt.to > 0 && (at < signed_for || is_other)
}

/// PURE: an epoch is opened only under orders that are certain. After a restore they are so when an operator confirmed them
/// since: the receipt that shows the restore is younger than the copy, so a confirmation that is younger than the receipt
/// did not come out of the copy.
fn are_orders_certain(
    order: &Order,
    head: &Head,
    named_by_tail: Option<Mark>,
    restored_at: Option<Timestamp>,
) -> Result<(), EpochError> {
    let tail = named_by_tail.map(|mark| Named {
        mark,
        by: format!("the last chunk of lane {}", order.lane),
    });
    let lost = order
        .named
        .iter()
        .chain(&tail)
        .find(|named| !head.follows(named.mark));
    if let Some(lost) = lost {
        return Err(EpochError::OrdersBehind(head.behind(lost)));
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

/// PURE: what is still kept back when an epoch goes on from a chunk: what began after it is read again.
fn still_held_back(
    held_back: &BTreeMap<String, HeldBack>,
    continues: Option<Link>,
) -> BTreeMap<String, HeldBack> {
    let Some(link) = continues else {
        return BTreeMap::new();
    };
    held_back
        .iter()
        .filter(|(_, back)| (back.epoch, back.number) <= (link.epoch, link.number))
        .map(|(id, back)| (id.clone(), back.clone()))
        .collect()
}

/// The epoch that a given-up tail claims: whoever trusts it has that epoch, so it is not taken
/// again. A forger must not use the numbers up.
fn claimed_epoch(bytes: &[u8]) -> u32 {
    const MOST: u32 = 1 << 20;
    let claims = chunk::place(bytes).map_or(0, |(manifest, _)| manifest.epoch);
    if claims < MOST { claims } else { 0 }
}

fn opening(
    order: &Order,
    who: &Signatory<'_>,
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
        heads: schemas::heads::Heads::default(),
        publisher: Publisher {
            instance: who.instance.to_owned(),
            key: who.key.public().clone(),
        },
        cursor_before: cursor.clone(),
        cursor_after: cursor,
        schema,
        definition: order.definition,
        source: None,
        totals: Totals::default(),
        load: Load::default(),
        rejects: Vec::new(),
        // Filled in by sealing.
        body: schemas::body::BodyForm {
            digest: Digest::of(&[]),
            bytes: 0,
            plain_bytes: 0,
            encoding: String::new(),
            compression: String::new(),
            sealing: None,
        },
        read_from: now,
        read_to: now,
        algorithms: Algorithms::default(),
    }
}

async fn note(
    exchange: &dyn Exchange,
    order: &Order,
    who: &Signatory<'_>,
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
    let act = Act {
        actor: order.actor.clone(),
        action: "epoch.open".to_owned(),
        reason: order.reason.clone(),
        detail,
    };
    append(exchange, who, &act)
        .await
        .map(|_| ())
        .map_err(|error| match error {
            ActError::Exchange(error) => EpochError::Exchange(error),
            ActError::Seal(why) => EpochError::Seal(why),
            ActError::Busy => EpochError::Busy {
                lane: order.lane.clone(),
            },
        })
}

#[cfg(test)]
mod tests;

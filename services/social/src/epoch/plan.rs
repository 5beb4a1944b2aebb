//! PURE: where a new epoch begins.

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::{Cause, Link, Manifest};

use super::{EpochError, From, Order};

/// What the last receipt vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Epoch of `to`.
    pub epoch: u32,
    /// The frontier; 0: nothing yet.
    pub to: u64,
    /// The digest of chunk `to`.
    pub head: Option<Digest>,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// Where a new epoch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its number: above whatever receipt and tail know.
    pub epoch: u32,
    /// What it goes on from.
    pub continues: Option<Link>,
    /// The position that is read on from.
    pub cursor: Option<Cursor>,
}

/// PURE: the plan; none where there is no receipt to go on from.
#[must_use]
pub fn plan(receipt: Option<&Basis>, tail_epoch: u32, from_start: bool) -> Option<Plan> {
    let epoch = receipt.map_or(0, |receipt| receipt.epoch).max(tail_epoch) + 1;
    if from_start {
        return Some(Plan {
            epoch,
            continues: None,
            cursor: None,
        });
    }
    let receipt = receipt.filter(|receipt| receipt.to > 0)?;
    let continues = Link {
        epoch: receipt.epoch,
        number: receipt.to,
        digest: receipt.head?,
    };
    Some(Plan {
        epoch,
        continues: Some(continues),
        cursor: receipt.cursor.clone(),
    })
}

/// PURE: the plan of an epoch that goes on behind the tail, or from the position before a chunk.
pub(super) fn behind(
    order: &Order,
    from: From,
    tail: &Manifest,
    link: Link,
    receipt: Option<&Basis>,
) -> Result<Plan, EpochError> {
    let lane = order.lane.clone();
    if receipt.is_some_and(|receipt| (receipt.epoch, receipt.to) > (link.epoch, link.number)) {
        return Err(EpochError::Behind { lane });
    }
    let plan = |continues, cursor| Plan {
        epoch: link.epoch + 1,
        continues,
        cursor,
    };
    let is_changed = tail.definition != order.definition;
    let is_other_source = order.cause == Cause::SourceChanged;
    if is_changed && is_other_source {
        let what = "its definition changed, too, and must be accepted first".to_owned();
        return Err(EpochError::NoWayOn { lane, what });
    }
    let From::Chunk { epoch, number } = from else {
        return if is_changed || is_other_source {
            Ok(plan(Some(link), tail.cursor_after.clone()))
        } else {
            Err(EpochError::Unchanged { lane })
        };
    };
    if is_changed {
        let what = "its definition changed since, and must be accepted first".to_owned();
        return Err(EpochError::NoWayOn { lane, what });
    }
    let held = tail.totals.held_back.values();
    if let Some(back) = held
        .clone()
        .find(|back| (back.epoch, back.number) == (epoch, number))
    {
        return Ok(plan(back.continues, back.cursor.clone()));
    }
    let previous = tail.previous.filter(|_| number > 1);
    if let (true, Some(digest)) = ((link.epoch, link.number) == (epoch, number), previous) {
        let before = Link {
            epoch,
            number: number - 1,
            digest,
        };
        return Ok(plan(Some(before), tail.cursor_before.clone()));
    }
    let mut known: Vec<String> = held
        .map(|back| format!("chunk:{}.{}", back.epoch, back.number))
        .collect();
    known.push(format!("chunk:{}.{}", link.epoch, link.number));
    known.dedup();
    let known = format!("give one of {}, or receipt, or beginning", known.join(", "));
    Err(EpochError::NoChunk {
        lane,
        epoch,
        number,
        known,
    })
}

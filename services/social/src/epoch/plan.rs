//! PURE: plans where a new epoch begins.

use std::collections::BTreeMap;

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::{Cause, Link, Manifest};

use super::{EpochError, EpochOrder, StartPoint};

/// The frontier and position of the last receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptBasis {
    /// Epoch of `to`.
    pub epoch: u32,
    /// The frontier; 0 if nothing was received yet.
    pub to: u64,
    /// The digest of chunk `to`.
    pub head: Option<Digest>,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// Where a new epoch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its number: above those of receipt and tail.
    pub epoch: u32,
    /// The chunk that it continues.
    pub continues: Option<Link>,
    /// The position to continue from.
    pub cursor: Option<Cursor>,
}

/// A kept chunk that an operator named: an epoch may continue from the position before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedChunk {
    /// The chunk before it.
    pub continues: Option<Link>,
    /// The position before it.
    pub cursor: Option<Cursor>,
    /// The definition that it was read by.
    pub definition: Digest,
    /// Whether it is on the lineage of the lane's last chunk.
    pub is_on_lineage: bool,
}

impl NamedChunk {
    /// Takes a chunk by its manifest. `openings` are the chunks that the epochs up to `last` continue.
    #[must_use]
    pub(super) fn of(manifest: &Manifest, last: u32, openings: &BTreeMap<u32, Option<Link>>) -> Self {
        let before = manifest.previous.filter(|_| manifest.number > 1);
        let continues = before.map(|digest| Link {
            epoch: manifest.epoch,
            number: manifest.number - 1,
            digest,
        });
        let opened = manifest.opening.as_ref().and_then(|opening| opening.continues);
        Self {
            continues: continues.or(opened),
            cursor: manifest.cursor_before.clone(),
            definition: manifest.content.definition,
            is_on_lineage: is_on_lineage((manifest.epoch, manifest.number), last, openings),
        }
    }
}

/// PURE: returns whether a chunk is on the lineage that the openings describe.
fn is_on_lineage((epoch, number): (u32, u64), last: u32, openings: &BTreeMap<u32, Option<Link>>) -> bool {
    let mut at = last;
    while at > epoch {
        match openings.get(&at) {
            Some(Some(link)) if link.epoch == epoch => return number <= link.number + 1,
            // The guard on `at` ends the walk for any links.
            Some(Some(link)) if link.epoch > epoch && link.epoch < at => at = link.epoch,
            _ => return false,
        }
    }
    at == epoch
}

/// PURE: returns the plan; `None` if there is no receipt to continue from.
#[must_use]
pub fn plan(receipt: Option<&ReceiptBasis>, tail_epoch: u32, from_start: bool) -> Option<Plan> {
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

/// PURE: returns the plan of an epoch that continues from the tail, or from the position before a chunk.
pub(super) fn plan_from_tail(
    order: &EpochOrder,
    from: StartPoint,
    tail: &Manifest,
    link: Link,
    receipt: Option<&ReceiptBasis>,
    named: Option<&NamedChunk>,
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
    let is_changed = tail.content.definition != order.definition;
    let is_other_source = matches!(order.cause, Cause::SourceChanged | Cause::Comparison);
    if is_changed && is_other_source {
        let what = "its definition changed, too, and must be accepted first".to_owned();
        return Err(EpochError::NotContinuable { lane, what });
    }
    if order.cause == Cause::Comparison && tail.cursor_after.is_none() {
        let what = "it has sent no row yet, so there is nothing to compare".to_owned();
        return Err(EpochError::NotContinuable { lane, what });
    }
    let StartPoint::Chunk { epoch, number } = from else {
        return if is_changed || is_other_source {
            Ok(plan(Some(link), tail.cursor_after.clone()))
        } else {
            Err(EpochError::Unchanged { lane })
        };
    };
    if is_changed {
        let what = "its definition changed since, and must be accepted first".to_owned();
        return Err(EpochError::NotContinuable { lane, what });
    }
    let held = tail.content.totals.outstanding.values();
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
    if let Some(named) = named {
        let what = if named.definition != order.definition {
            "another definition read that chunk, and its position may not fit"
        } else if !named.is_on_lineage {
            "a later epoch left that chunk behind"
        } else {
            return Ok(plan(named.continues, named.cursor.clone()));
        };
        let what = what.to_owned();
        return Err(EpochError::NotContinuable { lane, what });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_plan_chunk_is_on_the_lineage_of_the_last_one() {
        let link = |epoch, number| {
            Some(Link {
                epoch,
                number,
                digest: Digest::of(&[b"x"]),
            })
        };
        // Epoch 2 continues from 1.20 and drops later chunks; epoch 4 continues from 2.5, so epoch 3 is not on the lineage.
        let openings = BTreeMap::from([(2, link(1, 20)), (3, link(2, 9)), (4, link(2, 5))]);
        for (place, wanted) in [
            ((4, 7), true),
            ((3, 2), false),
            ((2, 5), true),
            ((2, 6), true),
            ((2, 7), false),
            ((1, 20), true),
            ((1, 21), true),
            ((1, 22), false),
        ] {
            assert_eq!(is_on_lineage(place, 4, &openings), wanted, "{place:?}");
        }
        assert!(!is_on_lineage((1, 1), 2, &BTreeMap::from([(2, None)])));
        assert!(!is_on_lineage((1, 1), 2, &BTreeMap::new()));
    }
}

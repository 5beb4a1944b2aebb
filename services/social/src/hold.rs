//! Publishes operators' holds to lanes, and PURE: carries on where holds began to withhold rows.
//!
//! Withheld rows are counted in the manifest, and every later chunk repeats where each hold began ([`carry_outstanding`]), so that
//! any process can send them afterwards.

use std::collections::BTreeMap;

use disclosure::hold::Holds;
use schemas::cursor::Cursor;
use schemas::manifest::{Link, OutstandingRows};
use tokio::sync::watch;

use crate::step::ChainPosition;

/// Publishes the holds to lanes.
pub type HoldWatch = watch::Receiver<Holds>;

/// Returns a watch without holds, for an agent that takes no orders.
#[must_use]
pub fn none() -> HoldWatch {
    watch::channel(Holds::Known(Vec::new())).1
}

/// The maximum number of entries; further ones are combined under [`OVERFLOW_ID`].
const MAX_ENTRIES: usize = 256;
const OVERFLOW_ID: &str = "more";

/// Returns where holds began to withhold rows, after one more chunk.
#[must_use]
pub fn carry_outstanding(
    before: &BTreeMap<String, OutstandingRows>,
    withheld: &BTreeMap<String, u64>,
    position: ChainPosition,
    cursor: Option<&Cursor>,
) -> BTreeMap<String, OutstandingRows> {
    let mut carried = before.clone();
    for (id, rows) in withheld {
        let id = if carried.contains_key(id) || carried.len() < MAX_ENTRIES {
            id
        } else {
            OVERFLOW_ID
        };
        let entry = carried.entry(id.to_owned()).or_insert_with(|| OutstandingRows {
            epoch: position.epoch,
            number: position.number,
            continues: position.previous.map(|digest| Link {
                epoch: position.epoch,
                number: position.number.saturating_sub(1),
                digest,
            }),
            cursor: cursor.cloned(),
            rows: 0,
        });
        entry.rows += rows;
    }
    carried
}

#[cfg(test)]
mod tests {
    use schemas::digest::Digest;

    use super::*;

    #[test]
    fn hold_start_is_carried_on_and_counted() {
        let position = |number| ChainPosition {
            epoch: 2,
            number,
            previous: Some(Digest::of(&[b"x"])),
        };
        let rows = |rows| BTreeMap::from([("h1".to_owned(), rows)]);
        let one = carry_outstanding(&BTreeMap::new(), &rows(3), position(7), None);
        let two = carry_outstanding(&one, &BTreeMap::new(), position(8), None);
        assert_eq!(one, two);
        let three = carry_outstanding(&two, &rows(2), position(9), None);
        let entry = &three["h1"];
        assert_eq!((entry.epoch, entry.number, entry.rows), (2, 7, 5));
        assert_eq!(entry.continues.map(|link| link.number), Some(6));
        let many = (0..300).map(|n| (format!("h{n:03}"), 1)).collect();
        let many = carry_outstanding(&BTreeMap::new(), &many, position(3), None);
        assert_eq!(many.len(), MAX_ENTRIES + 1);
        assert_eq!(many.values().map(|entry| entry.rows).sum::<u64>(), 300);
    }
}

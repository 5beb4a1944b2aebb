//! PURE: compares the store with its own receipts.
//!
//! An acknowledged chunk is not delivered again. So a store that was restored from a backup, was replaced, or shares
//! its credential with another store appears to be caught up. The last receipt of each lane shows which store signed
//! it, and up to which chunk.

use schemas::name::Lane;
use schemas::receipt::{Behind, Receipt, StoreId};
use store::{Identity, LaneReport};

/// Code of a store that holds less than its receipts cover.
pub const STORE_BEHIND: &str = "store_behind";

/// Code of a table whose rows differ from the stored rows.
pub const ROWS_DIFFER: &str = "rows_differ";

/// Returns why nothing may be fetched into a store: the last receipt of a lane was signed for another store. The text
/// is for this side.
#[must_use]
pub fn foreign(identity: &Identity, receipts: &[Receipt]) -> Option<String> {
    let (receipt, other) = receipts
        .iter()
        .filter_map(|receipt| Some((receipt, receipt.store.as_ref()?)))
        .find(|(_, other)| !identity.owns(other))?;
    Some(other_store(&receipt.lane(), &identity.id, other))
}

/// Returns the same text for one lane.
#[must_use]
pub fn other_store(lane: &Lane, own: &StoreId, other: &StoreId) -> String {
    format!(
        "the last receipt of lane {lane} was signed for store {other}, and this is store {own}: nothing is fetched, because two \
         stores would take each other's chunks; point [store] at the other database, or, where this one takes its place: \
         slacktide store accept --actor NAME --reason TEXT --config FILE"
    )
}

/// Returns how far a store that is behind its own receipt holds everything; `None` if it is not behind. `report` must
/// be younger than the receipt.
#[must_use]
pub fn behind(receipt: &Receipt, report: Option<&LaneReport>) -> Option<Behind> {
    let held = report.map_or(Behind { epoch: 1, to: 0 }, |report| Behind {
        epoch: report.epoch,
        to: report.to,
    });
    ((held.epoch, held.to) < (receipt.epoch, receipt.to)).then_some(held)
}

/// Describes a store that is behind, in a text that the sender may read.
#[must_use]
pub fn behind_in_words(receipt: &Receipt, held: Behind) -> String {
    let held = match held.to {
        0 => "it holds nothing without a gap".to_owned(),
        to => format!("it holds everything up to chunk {}.{to}", held.epoch),
    };
    format!(
        "the store is behind its own receipts: {held}, and signed for everything up to chunk {}.{}; restored from a backup, \
         replaced, or being refilled",
        receipt.epoch, receipt.to
    )
}

/// Returns the command that repairs the store.
#[must_use]
pub fn refill(lane: &Lane, from: &str) -> String {
    format!("slacktide feed refill {} --from {from} --config FILE", lane.feed)
}

/// Returns the receipt of a store that is behind: it covers the same chunks as the last one and adds how far the
/// store is.
#[must_use]
pub fn receipt_behind(receipt: &Receipt, held: Behind, store: &StoreId) -> Option<Receipt> {
    if receipt.behind == Some(held) && receipt.store.as_ref() == Some(store) {
        return None;
    }
    Some(Receipt {
        stopped: Some(behind_in_words(receipt, held)),
        store: Some(store.clone()),
        behind: Some(held),
        ..receipt.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::name::{FeedName, RecipientName};
    use schemas::sign::SigningKey;

    fn id(digit: u8) -> StoreId {
        StoreId::of([digit; 16])
    }

    fn receipt(epoch: u32, to: u64, store: Option<StoreId>) -> Receipt {
        Receipt {
            recipient: RecipientName::new("insurer-a").unwrap(),
            feed: FeedName::new("setl").unwrap(),
            origin: None,
            epoch,
            from: 1,
            to,
            head: None,
            cursor: None,
            rows: 0,
            quarantined: vec![],
            stopped: None,
            store,
            behind: None,
            is_incomplete: false,
            at: jiff::Timestamp::UNIX_EPOCH,
            key: SigningKey::generate().public().clone(),
        }
    }

    fn report(epoch: u32, to: u64) -> LaneReport {
        store_testing::samples::report(receipt(1, 1, None).lane(), epoch, to)
    }

    #[test]
    fn receipt_of_another_store_stops_unless_it_is_replaced() {
        let identity = |replaces: &[StoreId]| Identity {
            id: id(1),
            replaces: replaces.to_vec(),
        };
        let receipts = [receipt(1, 4, None), receipt(1, 9, Some(id(2)))];
        let why = foreign(&identity(&[]), &receipts).unwrap();
        assert!(why.contains(&id(2).to_string()) && why.contains("slacktide store accept"));
        assert_eq!(foreign(&identity(&[id(2)]), &receipts), None);
        // A receipt of an earlier version names no store.
        assert_eq!(foreign(&identity(&[]), &receipts[..1]), None);
        assert_eq!(foreign(&identity(&[]), &[receipt(1, 4, Some(id(1)))]), None);
    }

    #[test]
    fn store_is_behind_when_its_receipt_covers_more() {
        let covered = receipt(2, 9, None);
        assert_eq!(behind(&covered, Some(&report(2, 9))), None);
        assert_eq!(behind(&covered, Some(&report(3, 1))), None);
        assert_eq!(
            behind(&covered, Some(&report(2, 8))),
            Some(Behind { epoch: 2, to: 8 })
        );
        assert_eq!(
            behind(&covered, Some(&report(1, 900))),
            Some(Behind { epoch: 1, to: 900 })
        );
        assert_eq!(behind(&covered, None), Some(Behind { epoch: 1, to: 0 }));
        assert_eq!(behind(&receipt(1, 0, None), None), None);
    }

    #[test]
    fn receipt_behind_keeps_coverage_and_is_written_once() {
        let (covered, held) = (receipt(2, 9, None), Behind { epoch: 2, to: 4 });
        let written = receipt_behind(&covered, held, &id(1)).unwrap();
        assert_eq!((written.epoch, written.to, written.behind), (2, 9, Some(held)));
        assert!(written.stopped.as_deref().unwrap().contains("up to chunk 2.4"));
        assert_eq!(receipt_behind(&written, held, &id(1)), None);
        assert!(receipt_behind(&written, Behind { epoch: 2, to: 5 }, &id(1)).is_some());
        assert!(receipt_behind(&written, held, &id(2)).is_some());
    }
}

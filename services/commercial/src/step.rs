//! PURE: the poller's decisions.
//!
//! A delivery is settled as done only after the store has committed its rows, or has recorded that it needs none of
//! them. Everything that is not settled is redelivered, and storing it again changes nothing. So a settlement may be
//! late, but never early.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange::Settlement;
use runtime::backoff::Backoff;
use schemas::digest::Digest;
use schemas::name::Lane;
use schemas::receipt::{Receipt, StoreId};
use store::{ErrorKind, Identity, LaneReport, Outcome};

/// The redelivery delay of a stopped lane's chunk.
pub const STOPPED_REST: Duration = Duration::from_secs(15);

/// The redelivery delay of a chunk that arrived before a chunk that it needs.
pub const OVERTAKEN_REST: Duration = Duration::from_millis(500);

/// Deliveries of one lane, for one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The lane.
    pub lane: Lane,
    /// Indices of the deliveries, in the order of arrival.
    pub members: Vec<usize>,
}

/// Groups deliveries by lane into transactions of at most `max_bytes`; a larger chunk is alone. Keeps the order
/// within a lane, and orders lanes by their first delivery.
#[must_use]
pub fn batches(deliveries: &[(Lane, usize)], max_bytes: usize) -> Vec<Batch> {
    let mut done: Vec<Batch> = Vec::new();
    let mut open: BTreeMap<&Lane, (usize, usize)> = BTreeMap::new();
    for (member, (lane, bytes)) in deliveries.iter().enumerate() {
        match open.get_mut(lane) {
            Some((at, held)) if *held + bytes <= max_bytes => {
                *held += bytes;
                if let Some(batch) = done.get_mut(*at) {
                    batch.members.push(member);
                }
            }
            _ => {
                open.insert(lane, (done.len(), *bytes));
                done.push(Batch {
                    lane: lane.clone(),
                    members: vec![member],
                });
            }
        }
    }
    done
}

/// Returns the settlement of a delivery after the store has committed.
#[must_use]
pub fn settlement(outcome: &Outcome) -> Settlement {
    match outcome {
        Outcome::Stored { .. } | Outcome::AlreadyStored | Outcome::Superseded => Settlement::Ack,
        Outcome::Stopped { .. } => Settlement::Nak(STOPPED_REST),
        Outcome::Deferred { .. } => Settlement::Nak(OVERTAKEN_REST),
    }
}

/// Returns the redelivery delay after a failed transaction. It grows with each consecutive failure of the lane, so
/// one lane's errors do not slow the others; it is longest for errors that only an operator corrects. `random` from 0
/// to 1 spreads pollers that lost the same store.
#[must_use]
pub fn rest_after(kind: ErrorKind, failures: u32, random: f64) -> Duration {
    let first = match kind {
        ErrorKind::Contended => Duration::from_millis(50),
        ErrorKind::Unreachable | ErrorKind::Database => Duration::from_millis(500),
        ErrorKind::Full => Duration::from_secs(5),
        ErrorKind::Denied | ErrorKind::Refused => Duration::from_secs(15),
    };
    Backoff::new(first, Duration::from_secs(30)).delay(failures.saturating_add(1), random)
}

/// The last receipt of a lane, as needed to decide whether another one is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReceipt {
    /// Its sequence, which the next receipt expects; 0 if there is none.
    pub sequence: u64,
    /// Its epoch.
    pub epoch: u32,
    /// Its first number.
    pub from: u64,
    /// Its frontier.
    pub to: u64,
    /// The digest at the frontier.
    pub head: Option<Digest>,
    /// Its quarantined numbers.
    pub quarantined: Vec<u64>,
    /// The reason if it shows a stopped lane.
    pub stopped: Option<String>,
    /// The store that it was signed for.
    pub store: Option<StoreId>,
    /// Whether it shows that the store is behind.
    pub is_behind: bool,
    /// Whether it shows that a resynchronisation is not complete.
    pub is_incomplete: bool,
}

impl LastReceipt {
    /// Reads a receipt at the exchange.
    #[must_use]
    pub fn of(receipt: &Receipt, sequence: u64) -> Self {
        Self {
            sequence,
            epoch: receipt.epoch,
            from: receipt.from,
            to: receipt.to,
            head: receipt.head,
            quarantined: receipt.quarantined.clone(),
            stopped: receipt.stopped.clone(),
            store: receipt.store.clone(),
            is_behind: receipt.behind.is_some(),
            is_incomplete: receipt.is_incomplete,
        }
    }

    /// A lane without a receipt.
    #[must_use]
    pub fn none() -> Self {
        Self {
            sequence: 0,
            epoch: 0,
            from: 0,
            to: 0,
            head: None,
            quarantined: Vec::new(),
            stopped: None,
            store: None,
            is_behind: false,
            is_incomplete: false,
        }
    }
}

/// What to do with a lane's receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptStep {
    /// Nothing: the last receipt is current.
    None,
    /// Publish another receipt.
    Write,
    /// Nothing: the last receipt was signed for this other store.
    Foreign(StoreId),
}

/// Decides whether a lane's report needs a receipt.
#[must_use]
pub fn receipt_step(report: &LaneReport, last: &LastReceipt, identity: &Identity) -> ReceiptStep {
    if let Some(other) = last.store.as_ref().filter(|store| !identity.owns(store)) {
        return ReceiptStep::Foreign(other.clone());
    }
    // Receipts of earlier versions name no store, and those of a replaced store name that one.
    let is_unnamed = (report.epoch, report.to) == (last.epoch, last.to)
        && report.to > 0
        && last.store.as_ref() != Some(&identity.id);
    if is_unnamed || receipt_due(report, last) {
        ReceiptStep::Write
    } else {
        ReceiptStep::None
    }
}

/// Returns whether a lane's report is newer than its last receipt. Receipts only move forward: an older report never
/// replaces another poller's newer receipt.
#[must_use]
pub fn receipt_due(report: &LaneReport, last: &LastReceipt) -> bool {
    let (now, then) = ((report.epoch, report.to), (last.epoch, last.to));
    if now != then {
        // A lane with nothing stored needs no receipt, unless it is stopped.
        return now > then && (report.to > 0 || report.shared_blocked_reason().is_some());
    }
    last.is_behind
        || report.shared_blocked_reason() != last.stopped.as_deref()
        || report.is_incomplete() != last.is_incomplete
        || report.quarantined != last.quarantined
        || report.from != last.from
        || report.head != last.head
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::name::{FeedName, RecipientName};

    fn lane(feed: &str) -> Lane {
        Lane {
            recipient: RecipientName::new("insurer-a").unwrap(),
            feed: FeedName::new(feed).unwrap(),
        }
    }

    fn report(epoch: u32, to: u64) -> LaneReport {
        store_testing::samples::report(lane("setl"), epoch, to)
    }

    fn receipt(epoch: u32, to: u64) -> LastReceipt {
        LastReceipt {
            sequence: 3,
            epoch,
            from: 1,
            to,
            ..LastReceipt::none()
        }
    }

    #[test]
    fn batches_are_bounded_and_per_lane() {
        let given = [("a", 40), ("b", 10), ("a", 40), ("a", 40), ("b", 500), ("b", 1)];
        let given: Vec<_> = given.iter().map(|(feed, bytes)| (lane(feed), *bytes)).collect();
        let members: Vec<_> = batches(&given, 100)
            .into_iter()
            .map(|b| (b.lane.feed.to_string(), b.members))
            .collect();
        let expected: [(&str, &[usize]); 5] =
            [("a", &[0, 2]), ("b", &[1]), ("a", &[3]), ("b", &[4]), ("b", &[5])];
        assert_eq!(
            members,
            expected.map(|(feed, members)| (feed.to_owned(), members.to_vec()))
        );
    }

    #[test]
    fn settlement_is_done_only_after_storing() {
        assert_eq!(
            settlement(&Outcome::Stored {
                rows: 1,
                quarantined: 0
            }),
            Settlement::Ack
        );
        assert_eq!(settlement(&Outcome::AlreadyStored), Settlement::Ack);
        assert_eq!(settlement(&Outcome::Superseded), Settlement::Ack);
        assert!(matches!(
            settlement(&Outcome::Stopped {
                reason: String::new()
            }),
            Settlement::Nak(_)
        ));
        assert!(matches!(
            settlement(&Outcome::Deferred {
                reason: String::new()
            }),
            Settlement::Nak(_)
        ));
    }

    #[test]
    fn receipt_is_due_only_forward() {
        assert!(receipt_due(&report(1, 5), &receipt(1, 4)));
        assert!(!receipt_due(&report(1, 5), &receipt(1, 5)));
        assert!(!receipt_due(&report(1, 4), &receipt(1, 5)));
        assert!(!receipt_due(&report(1, 900), &receipt(2, 1)));
        assert!(receipt_due(&report(2, 1), &receipt(1, 900)));
        assert!(!receipt_due(&report(1, 0), &LastReceipt::none()));
    }

    #[test]
    fn receipt_of_other_store_is_not_overwritten() {
        let id = |digit| StoreId::of([digit; 16]);
        let identity = |replaces: &[StoreId]| Identity {
            id: id(1),
            replaces: replaces.to_vec(),
        };
        let of = |store| LastReceipt {
            store,
            ..receipt(1, 5)
        };
        let step = |last, identity| receipt_step(&report(1, 5), &last, &identity);
        let other = of(Some(id(2)));
        assert_eq!(step(other.clone(), identity(&[])), ReceiptStep::Foreign(id(2)));
        // A replacing store signs again for the same chunks, and so does one whose receipt names no store.
        assert_eq!(step(other, identity(&[id(2)])), ReceiptStep::Write);
        assert_eq!(step(of(None), identity(&[])), ReceiptStep::Write);
        assert_eq!(step(of(Some(id(1))), identity(&[])), ReceiptStep::None);
    }

    #[test]
    fn receipt_of_recovered_store_is_due() {
        let behind = LastReceipt {
            is_behind: true,
            ..receipt(1, 5)
        };
        assert!(receipt_due(&report(1, 5), &behind));
        assert!(!receipt_due(&report(1, 4), &behind));
    }

    #[test]
    fn receipt_is_due_at_begin_and_end_of_a_resynchronisation() {
        let uncompared = LaneReport {
            uncompared: Some(store::merge::ChunkNumber { epoch: 1, number: 4 }),
            ..report(1, 5)
        };
        let incomplete = LastReceipt {
            is_incomplete: true,
            ..receipt(1, 5)
        };
        assert!(receipt_due(&uncompared, &receipt(1, 5)) && receipt_due(&report(1, 5), &incomplete));
        assert!(!receipt_due(&uncompared, &incomplete));
    }

    #[test]
    fn receipt_is_due_for_stop_and_quarantine() {
        let stopped = LaneReport {
            stopped: Some("why".into()),
            ..report(1, 5)
        };
        assert!(receipt_due(&stopped, &receipt(1, 5)));
        let changed = LaneReport {
            pending_change: Some("a column changed".into()),
            ..report(1, 5)
        };
        assert!(receipt_due(&changed, &receipt(1, 5)));
        assert!(receipt_due(
            &LaneReport {
                quarantined: vec![3],
                ..report(1, 5)
            },
            &receipt(1, 5)
        ));
        assert!(receipt_due(
            &LaneReport {
                stopped: Some("why".into()),
                ..report(1, 0)
            },
            &LastReceipt::none()
        ));
    }

    #[test]
    fn rest_after_operator_error_is_longest() {
        assert!(rest_after(ErrorKind::Contended, 0, 1.0) < rest_after(ErrorKind::Unreachable, 0, 0.0));
        assert!(rest_after(ErrorKind::Denied, 0, 0.0) >= Duration::from_millis(7_500));
        assert_eq!(rest_after(ErrorKind::Database, 99, 1.0), Duration::from_secs(30));
    }
}

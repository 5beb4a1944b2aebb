//! PURE: the poller's decisions.
//!
//! A delivery is settled as done only after the store has committed what it said, or noted
//! that it needs nothing of it. Whatever is not settled comes again, and storing it again
//! changes nothing; so every error here may be late, but none may be early.

use std::collections::BTreeMap;
use std::time::Duration;

use exchange::Settlement;
use runtime::backoff::Backoff;
use schemas::digest::Digest;
use schemas::name::Lane;
use schemas::receipt::{Receipt, StoreId};
use store::{ErrorKind, Identity, LaneReport, Outcome};

/// How long a stopped lane's chunk rests at the exchange.
pub const STOPPED_REST: Duration = Duration::from_secs(15);

/// How long a chunk rests that overtook what it builds on.
pub const OVERTAKEN_REST: Duration = Duration::from_millis(500);

/// Deliveries of one lane, for one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The lane.
    pub lane: Lane,
    /// Which of the deliveries, in the order they came.
    pub members: Vec<usize>,
}

/// Groups deliveries by lane, into transactions of at most `most_bytes` (a larger chunk goes
/// alone). Within a lane the order is kept; lanes keep the order of their first delivery.
#[must_use]
pub fn batches(deliveries: &[(Lane, usize)], most_bytes: usize) -> Vec<Batch> {
    let mut done: Vec<Batch> = Vec::new();
    let mut open: BTreeMap<&Lane, (usize, usize)> = BTreeMap::new();
    for (member, (lane, bytes)) in deliveries.iter().enumerate() {
        match open.get_mut(lane) {
            Some((at, held)) if *held + bytes <= most_bytes => {
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

/// How a delivery is settled after the store has committed.
#[must_use]
pub fn settlement(outcome: &Outcome) -> Settlement {
    match outcome {
        Outcome::Stored { .. } | Outcome::Already | Outcome::Superseded => Settlement::Done,
        Outcome::Stopped { .. } => Settlement::Later(STOPPED_REST),
        Outcome::Later { .. } => Settlement::Later(OVERTAKEN_REST),
    }
}

/// How deliveries rest whose transaction failed: longer with each failure of the lane in a
/// row, so that one lane's trouble costs the others nothing. What only an operator mends
/// rests longest. A `random` number from 0 to 1 spreads pollers that lost the same store.
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

/// The last receipt of a lane, as far as it decides whether another is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReceipt {
    /// Its sequence, expected by the next; 0: there is none.
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
    /// Whether it said that the lane is stopped.
    pub stopped: Option<String>,
    /// The store that it was signed for.
    pub store: Option<StoreId>,
    /// Whether it said that the store is behind what it covers.
    pub is_behind: bool,
}

impl LastReceipt {
    /// As it stands at the exchange.
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
        }
    }

    /// Where there is no receipt yet.
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
        }
    }
}

/// What a lane's report asks for at the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptStep {
    /// Nothing: the last receipt says it.
    None,
    /// Another receipt.
    Write,
    /// Nothing: the last receipt was signed for this store.
    Foreign(StoreId),
}

/// Decides what becomes of a lane's report.
#[must_use]
pub fn receipt_step(report: &LaneReport, last: &LastReceipt, identity: &Identity) -> ReceiptStep {
    if let Some(other) = last.store.as_ref().filter(|store| !identity.owns(store)) {
        return ReceiptStep::Foreign(other.clone());
    }
    // Receipts of versions before name no store, and those of a replaced one another one.
    let is_unnamed = (report.epoch, report.to) == (last.epoch, last.to)
        && report.to > 0
        && last.store.as_ref() != Some(&identity.id);
    if is_unnamed || receipt_due(report, last) {
        ReceiptStep::Write
    } else {
        ReceiptStep::None
    }
}

/// Whether a lane's report says more than its last receipt. Receipts only go forward: another
/// poller's newer word is never taken back by an older report.
#[must_use]
pub fn receipt_due(report: &LaneReport, last: &LastReceipt) -> bool {
    let (now, then) = ((report.epoch, report.to), (last.epoch, last.to));
    if now != then {
        // A lane of which nothing is stored says nothing, unless that it is stopped.
        return now > then && (report.to > 0 || report.held_up_shared().is_some());
    }
    last.is_behind
        || report.held_up_shared() != last.stopped.as_deref()
        || report.quarantined != last.quarantined
        || report.from != last.from
        || report.head != last.head
}

/// The tick after `previous`: a whole number of intervals later, and not in the past. No
/// drift; ticks that were missed are skipped, not made up for.
#[must_use]
pub fn next_tick(previous: Duration, interval: Duration, now: Duration) -> Duration {
    let interval = interval.max(Duration::from_millis(1));
    if now < previous + interval {
        return previous + interval;
    }
    let missed = now.saturating_sub(previous).as_micros() / interval.as_micros().max(1);
    let micros = u64::try_from(missed * interval.as_micros()).unwrap_or(u64::MAX);
    previous + Duration::from_micros(micros) + interval
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
        store::samples::report(lane("setl"), epoch, to)
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
    fn lanes_are_kept_apart_and_a_transaction_is_bounded() {
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
    fn nothing_is_acknowledged_before_it_is_stored() {
        assert_eq!(
            settlement(&Outcome::Stored {
                rows: 1,
                quarantined: 0
            }),
            Settlement::Done
        );
        assert_eq!(settlement(&Outcome::Already), Settlement::Done);
        assert_eq!(settlement(&Outcome::Superseded), Settlement::Done);
        assert!(matches!(
            settlement(&Outcome::Stopped {
                reason: String::new()
            }),
            Settlement::Later(_)
        ));
        assert!(matches!(
            settlement(&Outcome::Later {
                reason: String::new()
            }),
            Settlement::Later(_)
        ));
    }

    #[test]
    fn receipts_only_go_forward() {
        assert!(receipt_due(&report(1, 5), &receipt(1, 4)));
        assert!(!receipt_due(&report(1, 5), &receipt(1, 5)));
        assert!(!receipt_due(&report(1, 4), &receipt(1, 5)));
        assert!(!receipt_due(&report(1, 900), &receipt(2, 1)));
        assert!(receipt_due(&report(2, 1), &receipt(1, 900)));
        assert!(!receipt_due(&report(1, 0), &LastReceipt::none()));
    }

    #[test]
    fn receipt_of_another_store_is_not_written_over() {
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
        // One that takes its place signs again for the same chunks, and so does one whose receipt names no store.
        assert_eq!(step(other, identity(&[id(2)])), ReceiptStep::Write);
        assert_eq!(step(of(None), identity(&[])), ReceiptStep::Write);
        assert_eq!(step(of(Some(id(1))), identity(&[])), ReceiptStep::None);
    }

    #[test]
    fn receipt_of_a_store_that_is_no_longer_behind_is_due() {
        let behind = LastReceipt {
            is_behind: true,
            ..receipt(1, 5)
        };
        assert!(receipt_due(&report(1, 5), &behind));
        assert!(!receipt_due(&report(1, 4), &behind));
    }

    #[test]
    fn a_stop_and_a_new_quarantine_are_told_where_they_stand() {
        let stopped = LaneReport {
            stopped: Some("why".into()),
            ..report(1, 5)
        };
        assert!(receipt_due(&stopped, &receipt(1, 5)));
        let waits = LaneReport {
            waits: Some("a column changed".into()),
            ..report(1, 5)
        };
        assert!(receipt_due(&waits, &receipt(1, 5)));
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
    fn ticks_do_not_drift_and_missed_ones_are_skipped() {
        let ms = Duration::from_millis;
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(1_000)), ms(2_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(1_999)), ms(2_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(2_000)), ms(3_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(7_345)), ms(8_000));
    }

    #[test]
    fn an_operators_errors_rest_longer_than_a_deadlock() {
        assert!(rest_after(ErrorKind::Contended, 0, 1.0) < rest_after(ErrorKind::Unreachable, 0, 0.0));
        assert!(rest_after(ErrorKind::Denied, 0, 0.0) >= Duration::from_millis(7_500));
        assert_eq!(rest_after(ErrorKind::Database, 99, 1.0), Duration::from_secs(30));
    }
}

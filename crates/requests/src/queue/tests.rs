use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sample::at;

fn key(recipient: &str, number: u64) -> RequestKey {
    RequestKey {
        recipient: recipient.parse().unwrap(),
        id: format!("20260131-{number:08}").parse().unwrap(),
    }
}

fn entry(recipient: &str, number: u64, priority: Priority, deadline: Option<i64>) -> QueuedRequest {
    QueuedRequest {
        key: key(recipient, number),
        priority,
        deadline: deadline.map(at),
        sequence: number,
        stored_at: at(i64::try_from(number).unwrap()),
        cost_ms: 10,
    }
}

fn queue(entries: &[QueuedRequest]) -> Queue {
    let mut queue = Queue::default();
    entries.iter().cloned().for_each(|entry| queue.insert(entry));
    queue
}

/// Returns the recipient's first letter, a dash and the number, in the order of turns.
fn order(queue: &Queue) -> Vec<String> {
    let name = |place: &QueuePosition| {
        let (recipient, id) = (place.key.recipient.as_str(), place.key.id.to_string());
        format!("{recipient}{}", id[9..].trim_start_matches('0'))
    };
    queue.positions().iter().map(name).collect()
}

use Priority::{Bulk, Normal, Urgent};

#[test]
fn queue_urgent_is_first_then_earliest_deadline() {
    let queue = queue(&[
        entry("a", 1, Bulk, Some(5)),
        entry("a", 2, Normal, None),
        entry("a", 3, Normal, Some(90_000)),
        entry("a", 4, Normal, Some(80_000)),
        entry("a", 5, Urgent, None),
    ]);
    assert_eq!(order(&queue), ["a5", "a4", "a3", "a2", "a1"]);
    let positions = queue.positions();
    assert_eq!((positions[0].place, positions[0].work_ms), (1, 10));
    assert_eq!((positions[4].place, positions[4].work_ms), (5, 50));
    // A request without a deadline is due a week after it was stored, before a later deadline.
    let waits = self::queue(&[
        entry("a", 1, Normal, Some(8 * 86_400)),
        entry("a", 2, Normal, None),
    ]);
    assert_eq!(order(&waits), ["a2", "a1"]);
}

#[test]
fn queue_recipients_alternate() {
    let mut entries: Vec<QueuedRequest> = (1..=100).map(|n| entry("a", n, Normal, Some(5))).collect();
    entries.push(entry("b", 101, Normal, None));
    entries.push(entry("b", 102, Normal, None));
    let order = order(&queue(&entries));
    assert_eq!(order[..5], ["a1", "b101", "a2", "b102", "a3"]);
}

#[test]
fn queue_counts_work_and_gives_no_credit_for_absence() {
    let mut queue = queue(&[entry("a", 1, Normal, None), entry("a", 2, Normal, None)]);
    queue.charge(&"a".parse().unwrap(), 1_000);
    queue.insert(entry("b", 3, Normal, None));
    queue.insert(entry("b", 4, Normal, None));
    // b begins at a's work and not at zero; otherwise it would run alone for 1000 ms.
    assert_eq!(order(&queue), ["a1", "b3", "a2", "b4"]);
    queue.charge(&"a".parse().unwrap(), 15);
    assert_eq!(order(&queue), ["b3", "b4", "a1", "a2"]);
}

#[test]
fn queue_request_is_in_it_once_and_removed_completely() {
    let mut queue = queue(&[entry("a", 1, Normal, None)]);
    queue.insert(entry("a", 1, Urgent, Some(9)));
    assert_eq!((queue.len(), queue.positions().len()), (1, 1));
    assert_eq!(queue.next().map(|entry| entry.priority), Some(Urgent));
    // The same id of another recipient is another request.
    queue.insert(entry("b", 1, Normal, None));
    assert!(queue.remove(&key("a", 1)).is_some() && queue.remove(&key("a", 1)).is_none());
    assert_eq!(queue.next().map(|entry| &entry.key), Some(&key("b", 1)));
    assert!(queue.remove(&key("b", 1)).is_some() && queue.is_empty());
    assert!(queue.next().is_none() && queue.get(&key("b", 1)).is_none());
}

fn entries() -> impl Strategy<Value = Vec<QueuedRequest>> {
    let one = (
        0_usize..3,
        0_usize..3,
        prop::option::of(0_i64..1_000_000),
        1_u64..100,
    );
    prop::collection::vec(one, 1..60).prop_map(|all| {
        let made =
            |(number, (recipient, priority, deadline, cost_ms)): (u64, (usize, usize, Option<i64>, u64))| {
                QueuedRequest {
                    cost_ms,
                    ..entry(
                        ["a", "b", "c"][recipient],
                        number,
                        [Urgent, Normal, Bulk][priority],
                        deadline,
                    )
                }
            };
        (1..).zip(all).map(made).collect()
    })
}

proptest! {
    /// The order of insertion does not matter, and each request has one position.
    #[test]
    fn queue_order_is_independent_of_insertion(entries in entries(), turned in any::<bool>()) {
        let one = queue(&entries);
        let mut other = queue(&entries);
        for entry in &entries {
            // Inserted twice, removed between.
            if entry.sequence.is_multiple_of(3) { other.remove(&entry.key); }
            other.insert(entry.clone());
        }
        let mut reversed = entries.clone();
        if turned { reversed.reverse(); }
        prop_assert_eq!(one.positions(), other.positions());
        prop_assert_eq!(one.positions(), queue(&reversed).positions());
        let mut seen: Vec<RequestKey> = one.positions().into_iter().map(|place| place.key).collect();
        seen.sort();
        let mut all: Vec<RequestKey> = entries.iter().map(|entry| entry.key.clone()).collect();
        all.sort();
        prop_assert_eq!(seen, all);
    }

    /// In every turn but the eighth, no request runs before a more urgent one, and within a recipient and a priority none before an
    /// earlier deadline.
    #[test]
    fn queue_urgent_is_first_in_seven_of_eight_turns(entries in entries()) {
        let mut left = queue(&entries);
        let mut turn = 0_u64;
        while let Some(next) = left.next().cloned() {
            if turn % FAIR_TURN_INTERVAL != FAIR_TURN_INTERVAL - 1 {
                let most = left.iter().map(|entry| entry.priority).min();
                prop_assert_eq!(Some(next.priority), most);
                let own = left.iter().filter(|e| e.key.recipient == next.key.recipient && e.priority == next.priority);
                prop_assert!(own.map(due).min() >= Some(due(&next)));
            }
            left.remove(&next.key);
            left.charge(&next.key.recipient, next.cost_ms);
            turn += 1;
        }
    }

    /// No starvation: with an urgent request of another recipient in every turn, each recipient's requests of any priority are answered
    /// after eight turns for each waiting request.
    #[test]
    fn queue_urgent_requests_starve_no_recipient(entries in entries(), cost in 1_u64..100) {
        let mut queue = queue(&entries);
        let bound = FAIR_TURN_INTERVAL * (u64::try_from(entries.len()).unwrap() * 100 + 100);
        let mut left = entries.len();
        for turn in 0..bound {
            queue.insert(entry("z", 1_000 + turn, Urgent, Some(0)));
            let next = queue.next().unwrap().clone();
            queue.remove(&next.key);
            queue.charge(&next.key.recipient, if next.key.recipient.as_str() == "z" { cost } else { next.cost_ms });
            left -= usize::from(next.key.recipient.as_str() != "z");
            if left == 0 { break; }
        }
        prop_assert_eq!(left, 0);
    }

    /// Between recipients that always have a request of one priority, work differs by no more than the longest quantum of each, in any
    /// interval.
    #[test]
    fn queue_work_is_shared_evenly(costs in prop::collection::vec(1_u64..50, 20..200)) {
        let mut queue = queue(&[entry("a", 1, Normal, None), entry("b", 2, Normal, None), entry("c", 3, Normal, None)]);
        let mut work: BTreeMap<RecipientName, u64> = BTreeMap::new();
        for cost in costs {
            let next = queue.next().unwrap().key.recipient.clone();
            *work.entry(next.clone()).or_default() += cost;
            queue.charge(&next, cost);
        }
        let (most, least) = (work.values().max().unwrap(), work.values().min().unwrap());
        prop_assert!(work.len() == 3 && most - least < 50, "{:?}", work);
    }
}

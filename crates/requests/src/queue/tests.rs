use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sample::at;

fn key(recipient: &str, number: u64) -> Key {
    Key {
        recipient: recipient.parse().unwrap(),
        id: format!("20260131-{number:08}").parse().unwrap(),
    }
}

fn entry(recipient: &str, number: u64, priority: Priority, deadline: Option<i64>) -> Entry {
    Entry {
        key: key(recipient, number),
        priority,
        deadline: deadline.map(at),
        sequence: number,
        stored_at: at(i64::try_from(number).unwrap()),
        cost_ms: 10,
    }
}

fn queue(entries: &[Entry]) -> Queue {
    let mut queue = Queue::default();
    entries.iter().cloned().for_each(|entry| queue.put(entry));
    queue
}

/// The recipient's first letter behind the dash and the number, in the order of turns.
fn order(queue: &Queue) -> Vec<String> {
    let name = |place: &Place| {
        let (recipient, id) = (place.key.recipient.as_str(), place.key.id.to_string());
        format!("{recipient}{}", id[9..].trim_start_matches('0'))
    };
    queue.places().iter().map(name).collect()
}

use Priority::{Bulk, Normal, Urgent};

#[test]
fn urgent_goes_first_and_then_the_earliest_deadline() {
    let queue = queue(&[
        entry("a", 1, Bulk, Some(5)),
        entry("a", 2, Normal, None),
        entry("a", 3, Normal, Some(90_000)),
        entry("a", 4, Normal, Some(80_000)),
        entry("a", 5, Urgent, None),
    ]);
    assert_eq!(order(&queue), ["a5", "a4", "a3", "a2", "a1"]);
    let places = queue.places();
    assert_eq!((places[0].place, places[0].work_ms), (1, 10));
    assert_eq!((places[4].place, places[4].work_ms), (5, 50));
    // A week after it was stored, one without a deadline is due before one that may wait longer.
    let waits = self::queue(&[
        entry("a", 1, Normal, Some(8 * 86_400)),
        entry("a", 2, Normal, None),
    ]);
    assert_eq!(order(&waits), ["a2", "a1"]);
}

#[test]
fn recipients_take_turns_however_many_one_of_them_files() {
    let mut entries: Vec<Entry> = (1..=100).map(|n| entry("a", n, Normal, Some(5))).collect();
    entries.push(entry("b", 101, Normal, None));
    entries.push(entry("b", 102, Normal, None));
    let order = order(&queue(&entries));
    assert_eq!(order[..5], ["a1", "b101", "a2", "b102", "a3"]);
}

#[test]
fn work_counts_and_not_turns_and_absence_is_no_credit() {
    let mut queue = queue(&[entry("a", 1, Normal, None), entry("a", 2, Normal, None)]);
    queue.charge(&"a".parse().unwrap(), 1_000);
    queue.put(entry("b", 3, Normal, None));
    queue.put(entry("b", 4, Normal, None));
    // b begins at a's thousand and not at nothing: else it would have 1000 ms to itself.
    assert_eq!(order(&queue), ["a1", "b3", "a2", "b4"]);
    queue.charge(&"a".parse().unwrap(), 15);
    assert_eq!(order(&queue), ["b3", "b4", "a1", "a2"]);
}

#[test]
fn a_request_is_in_it_once_and_out_of_it_wholly() {
    let mut queue = queue(&[entry("a", 1, Normal, None)]);
    queue.put(entry("a", 1, Urgent, Some(9)));
    assert_eq!((queue.len(), queue.places().len()), (1, 1));
    assert_eq!(queue.next().map(|entry| entry.priority), Some(Urgent));
    // The same id of another recipient is another request.
    queue.put(entry("b", 1, Normal, None));
    assert!(queue.remove(&key("a", 1)).is_some() && queue.remove(&key("a", 1)).is_none());
    assert_eq!(queue.next().map(|entry| &entry.key), Some(&key("b", 1)));
    assert!(queue.remove(&key("b", 1)).is_some() && queue.is_empty());
    assert!(queue.next().is_none() && queue.get(&key("b", 1)).is_none());
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let one = (
        0_usize..3,
        0_usize..3,
        prop::option::of(0_i64..1_000_000),
        1_u64..100,
    );
    prop::collection::vec(one, 1..60).prop_map(|all| {
        let made =
            |(number, (recipient, priority, deadline, cost_ms)): (u64, (usize, usize, Option<i64>, u64))| {
                Entry {
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
    /// The same requests make the same queue, whatever way they came in, and each has one place.
    #[test]
    fn the_order_is_the_same_however_it_came_about(entries in entries(), turned in any::<bool>()) {
        let one = queue(&entries);
        let mut other = queue(&entries);
        for entry in &entries {
            // Put in twice, taken out between.
            if entry.sequence.is_multiple_of(3) { other.remove(&entry.key); }
            other.put(entry.clone());
        }
        let mut reversed = entries.clone();
        if turned { reversed.reverse(); }
        prop_assert_eq!(one.places(), other.places());
        prop_assert_eq!(one.places(), queue(&reversed).places());
        let mut seen: Vec<Key> = one.places().into_iter().map(|place| place.key).collect();
        seen.sort();
        let mut all: Vec<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
        all.sort();
        prop_assert_eq!(seen, all);
    }

    /// In every turn but the eighth, nothing goes before what is more urgent; within a recipient and a
    /// priority nothing before what is due earlier.
    #[test]
    fn urgent_first_in_seven_of_eight_turns(entries in entries()) {
        let mut left = queue(&entries);
        let mut turn = 0_u64;
        while let Some(next) = left.next().cloned() {
            if turn % PATIENCE != PATIENCE - 1 {
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

    /// Nobody starves: with another recipient filing an urgent request in every turn, each recipient's
    /// requests of whatever priority are through after eight turns for each request that is waiting.
    #[test]
    fn no_recipient_starves_under_urgent_requests_without_end(entries in entries(), cost in 1_u64..100) {
        let mut queue = queue(&entries);
        let bound = PATIENCE * (u64::try_from(entries.len()).unwrap() * 100 + 100);
        let mut left = entries.len();
        for turn in 0..bound {
            queue.put(entry("z", 1_000 + turn, Urgent, Some(0)));
            let next = queue.next().unwrap().clone();
            queue.remove(&next.key);
            queue.charge(&next.key.recipient, if next.key.recipient.as_str() == "z" { cost } else { next.cost_ms });
            left -= usize::from(next.key.recipient.as_str() != "z");
            if left == 0 { break; }
        }
        prop_assert_eq!(left, 0);
    }

    /// Between recipients that always have something of one priority, work differs by no more than the
    /// longest quantum of each, over any time.
    #[test]
    fn work_is_shared_evenly(costs in prop::collection::vec(1_u64..50, 20..200)) {
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

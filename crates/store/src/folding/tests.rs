use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::manifest::Link;

use super::*;
use crate::ledger::{ChunkLinks, Judgement, REWRITTEN, plan};

fn digest(history: u8, epoch: u32, number: u64) -> Digest {
    Digest::of(&[&[history], &epoch.to_be_bytes(), &number.to_be_bytes()])
}

const fn at(epoch: u32, number: u64) -> ChunkNumber {
    ChunkNumber { epoch, number }
}

fn link(epoch: u32, number: u64) -> Link {
    Link {
        epoch,
        number,
        digest: digest(0, epoch, number),
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The entry of a chunk that the exchange stored in second `number`.
fn aged(epoch: u32, number: u64, is_old: bool) -> DatedEntry {
    DatedEntry {
        frontier_entry: FrontierEntry {
            chunk_number: at(epoch, number),
            digest: digest(0, epoch, number),
            previous: (number > 1).then(|| digest(0, epoch, number - 1)),
            state: EntryState::Stored,
            rows: 10,
            rows_quarantined: 0,
            cursor_after: Some(Cursor(vec![Scalar::Text(number.to_string())])),
        },
        is_old,
        exchanged_at: second(i64::try_from(number).unwrap()),
    }
}

fn chunk(history: u8, epoch: u32, number: u64, exchanged_at: Timestamp) -> ChunkLinks {
    ChunkLinks {
        chunk_number: at(epoch, number),
        digest: digest(history, epoch, number),
        previous: (number > 1).then(|| digest(history, epoch, number - 1)),
        opening: None,
        exchanged_at,
    }
}

fn judged(lane: &LaneState, chunk: &ChunkLinks) -> Judgement {
    plan(lane, &BTreeMap::new(), std::slice::from_ref(chunk))
        .judgements
        .remove(0)
}

/// The frontier over these entries.
fn frontier(lane: &LaneState, entries: &[DatedEntry]) -> Frontier {
    let frontier_entry: Vec<FrontierEntry> =
        entries.iter().map(|entry| entry.frontier_entry.clone()).collect();
    advance(&Frontier::default(), lane, &frontier_entry).frontier
}

/// A lane of which the first `number` chunks are folded.
fn folded(number: u64) -> LaneState {
    let entries: Vec<DatedEntry> = (1..=number).map(|number| aged(1, number, true)).collect();
    let lane = LaneState::default();
    let frontier = frontier(&lane, &entries);
    LaneState {
        compaction: fold(&lane, &frontier, &entries, at(1, number)),
        ..lane
    }
}

#[test]
fn compaction_bound_is_lowest_limit() {
    let frontier = Frontier {
        number: 20,
        ..Frontier::default()
    };
    let least = |newest, covered| bound(&frontier, Some(at(1, newest)), at(1, covered));
    assert_eq!(least(30, 30), Some(at(1, 20)));
    assert_eq!(least(9, 30), Some(at(1, 9)));
    assert_eq!(least(30, 8), Some(at(1, 8)));
    assert_eq!(bound(&frontier, None, at(1, 20)), None);
    let quarantined = |chunk_number| Frontier {
        lowest_quarantined: Some(chunk_number),
        ..frontier.clone()
    };
    let newest = Some(at(1, 30));
    assert_eq!(bound(&quarantined(at(1, 5)), newest, at(1, 20)), Some(at(1, 4)));
    assert_eq!(bound(&quarantined(at(2, 1)), newest, at(1, 20)), Some(at(1, 20)));
}

#[test]
fn compaction_old_entries_are_folded_up_to_bound() {
    let lane = LaneState::default();
    let entries = [1, 2, 3, 4, 5].map(|number| aged(1, number, number != 4));
    let now = frontier(&lane, &entries);
    let done = fold(&lane, &now, &entries, at(1, 5)).unwrap();
    // Entry 5 is after a young one.
    assert_eq!((done.base.number, done.base.rows), (3, 30));
    assert_eq!((done.counted, done.exchanged_at), (at(1, 3), second(3)));
    assert_eq!(
        fold(&lane, &now, &entries, at(1, 2)).unwrap().base.chunk_number(),
        at(1, 2)
    );
    assert_eq!(fold(&lane, &now, &entries, at(1, 0)), None);
    // Entries that the frontier has not passed are not folded.
    let gap = [aged(1, 1, true), aged(1, 3, true)];
    let done = fold(&lane, &frontier(&lane, &gap), &gap, at(1, 3)).unwrap();
    assert_eq!(done.base.chunk_number(), at(1, 1));
}

#[test]
fn compaction_follows_epoch_lineage() {
    let lane = LaneState {
        epoch: 2,
        openings: BTreeMap::from([(2, Some(link(1, 2)))]),
        ..LaneState::default()
    };
    // 1.3 was superseded.
    let entries = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)].map(|(epoch, number)| aged(epoch, number, true));
    let now = frontier(&lane, &entries);
    let done = fold(&lane, &now, &entries, at(2, 1)).unwrap();
    assert_eq!((done.base.chunk_number(), done.base.rows), (at(2, 1), 10));
}

#[test]
fn compaction_folded_chunk_is_recognised_by_number_and_time() {
    let lane = folded(5);
    for number in 1..=5 {
        let known = chunk(0, 1, number, second(5));
        assert_eq!(judged(&lane, &known), Judgement::AlreadyStored, "{number}");
    }
    let later = second(60);
    let is_fork =
        |judgement| matches!(judgement, Judgement::Fork { reason } if reason.starts_with(REWRITTEN));
    assert!(is_fork(judged(&lane, &chunk(1, 1, 3, later))));
    // At the base the digest is known.
    assert!(is_fork(judged(&lane, &chunk(1, 1, 5, second(5)))));
    assert_eq!(judged(&lane, &chunk(0, 1, 5, later)), Judgement::AlreadyStored);
    // So is the link of the chunk behind it.
    assert_eq!(judged(&lane, &chunk(0, 1, 6, later)), Judgement::Store);
    assert!(is_fork(judged(&lane, &chunk(1, 1, 6, later))));
    // A later epoch has decided between the histories.
    let rewound = LaneState {
        epoch: 2,
        openings: BTreeMap::from([(2, Some(link(1, 3)))]),
        ..lane.clone()
    };
    for (number, wanted) in [
        (2, Judgement::AlreadyStored),
        (3, Judgement::AlreadyStored),
        (4, Judgement::Superseded),
    ] {
        assert_eq!(
            judged(&rewound, &chunk(0, 1, number, second(5))),
            wanted,
            "{number}"
        );
    }
    assert_eq!(judged(&rewound, &chunk(1, 1, 2, later)), Judgement::Superseded);
    let stopped = LaneState {
        stopped: Some("a fork".to_owned()),
        ..lane
    };
    assert!(matches!(
        judged(&stopped, &chunk(1, 1, 3, later)),
        Judgement::AlreadyStopped { .. }
    ));
}

#[test]
fn compaction_epoch_continues_from_folded_chunk() {
    let lane = folded(5);
    let opening = |link: Link, previous| ChunkLinks {
        previous,
        opening: Some(Some(link)),
        ..chunk(0, 2, 1, second(60))
    };
    let from = link(1, 3);
    assert_eq!(
        judged(&lane, &opening(from, Some(from.digest))),
        Judgement::OpenEpoch {
            continues: Some(from)
        }
    );
    // At the base the digest is known.
    let other = Link {
        digest: digest(1, 1, 5),
        ..link(1, 5)
    };
    assert!(matches!(
        judged(&lane, &opening(other, Some(other.digest))),
        Judgement::BadOpening { .. }
    ));
    // A chunk that has not arrived is waited for.
    let ahead = link(1, 6);
    assert!(matches!(
        judged(&lane, &opening(ahead, Some(ahead.digest))),
        Judgement::Deferred { .. }
    ));
}

#[test]
fn compaction_refill_counts_no_row_twice() {
    let mut lane = folded(5);
    let known = chunk(0, 1, 2, second(5));
    assert!(!lane.is_again(known.chunk_number, None) && lane.is_folded(known.chunk_number));
    assert!(!lane.unfold(at(1, 6)));
    assert!(lane.unfold(at(1, 4)));
    assert_eq!(lane.base(), Frontier::default());
    assert_eq!(judged(&lane, &known), Judgement::Store);
    assert!(lane.is_again(at(1, 1), None) && lane.is_again(at(1, 5), None));
    assert!(!lane.is_again(at(1, 6), None));
    assert_eq!(lane.refill_until(&Frontier::default()), Some(at(1, 5)));
    // Stored chunks are folded again, and the rest is still awaited.
    let entries = [aged(1, 1, true), aged(1, 2, true)];
    let now = frontier(&lane, &entries);
    lane.compaction = fold(&lane, &now, &entries, at(1, 2));
    assert_eq!(lane.base().chunk_number(), at(1, 2));
    assert!(lane.is_again(at(1, 3), None) && !lane.is_again(at(1, 2), None));
    assert_eq!(lane.refill_until(&now), Some(at(1, 5)));
}

proptest! {
    /// For any sequence of folds, the frontier over the rest is the frontier over all entries.
    #[test]
    fn compaction_frontier_is_unchanged(
        kinds in proptest::collection::vec(0..4_u8, 1..30),
        bounds in proptest::collection::vec(0..30_u64, 0..5),
    ) {
        let entries: Vec<DatedEntry> = (1_u64..)
            .zip(&kinds)
            .filter(|(_, kind)| **kind > 0)
            .map(|(number, kind)| {
                let entry = aged(1, number, true);
                let state = if *kind == 1 { EntryState::Quarantined } else { EntryState::Stored };
                DatedEntry { frontier_entry: FrontierEntry { state, ..entry.frontier_entry }, ..entry }
            })
            .collect();
        let mut lane = LaneState::default();
        let all = frontier(&lane, &entries);
        for last in bounds {
            let base = lane.base().chunk_number();
            let rest: Vec<DatedEntry> = entries.iter().filter(|entry| entry.frontier_entry.chunk_number > base).cloned().collect();
            if let Some(compaction) = fold(&lane, &all, &rest, at(1, last)) {
                lane.compaction = Some(compaction);
            }
        }
        let base = lane.base();
        let rest: Vec<FrontierEntry> = entries
            .iter()
            .filter(|entry| entry.frontier_entry.chunk_number > base.chunk_number())
            .map(|entry| entry.frontier_entry.clone())
            .collect();
        let over_the_rest = advance(&base, &lane, &rest).frontier;
        // Releasable entries are found among the remaining ones.
        let comparable = |frontier: Frontier| Frontier { lowest_quarantined: None, ..frontier };
        prop_assert_eq!(comparable(over_the_rest), comparable(all));
    }
}

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::manifest::Link;

use super::*;

fn digest(epoch: u32, number: u64) -> Digest {
    Digest::of(&[&epoch.to_be_bytes(), &number.to_be_bytes()])
}

fn cursor(number: u64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Text(number.to_string())]))
}

fn frontier_entry(epoch: u32, number: u64) -> FrontierEntry {
    FrontierEntry {
        chunk_number: ChunkNumber { epoch, number },
        digest: digest(epoch, number),
        previous: (number > 1).then(|| digest(epoch, number - 1)),
        state: EntryState::Stored,
        rows: 10,
        rows_quarantined: 0,
        cursor_after: cursor(number),
    }
}

fn quarantined(number: u64) -> FrontierEntry {
    FrontierEntry {
        state: EntryState::Quarantined,
        rows: 0,
        digest: digest(9, number),
        cursor_after: cursor(99),
        ..frontier_entry(1, number)
    }
}

fn continues(epoch: u32, number: u64) -> Option<Link> {
    Some(Link {
        epoch,
        number,
        digest: digest(epoch, number),
    })
}

#[test]
fn frontier_stops_before_gap() {
    let entries = [frontier_entry(1, 1), frontier_entry(1, 2), frontier_entry(1, 4)];
    let done = advance(&Frontier::default(), &LaneState::default(), &entries);
    let frontier = done.frontier;
    assert_eq!(done.broken, None);
    assert_eq!(
        (frontier.number, frontier.head, frontier.rows),
        (2, Some(digest(1, 2)), 20)
    );
    assert_eq!(frontier.cursor, cursor(2));
    assert_eq!(
        advance(&frontier, &LaneState::default(), &entries).frontier,
        frontier
    );
}

#[test]
fn frontier_passes_and_counts_quarantined_chunks() {
    let partly = FrontierEntry {
        rows_quarantined: 1,
        ..frontier_entry(1, 3)
    };
    let frontier = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[frontier_entry(1, 1), quarantined(2), partly],
    )
    .frontier;
    assert_eq!(
        (frontier.number, frontier.rows, frontier.quarantined),
        (3, 20, vec![2, 3])
    );
    assert_eq!(
        frontier.lowest_quarantined,
        Some(ChunkNumber { epoch: 1, number: 2 })
    );
    // An untrusted digest breaks no chain, and its cursor is not used.
    let at_the_head = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[frontier_entry(1, 1), quarantined(2)],
    )
    .frontier;
    assert_eq!((at_the_head.number, at_the_head.cursor), (2, cursor(1)));
}

#[test]
fn frontier_checks_links_of_concurrent_pollers() {
    let alien = FrontierEntry {
        previous: Some(digest(7, 7)),
        ..frontier_entry(1, 2)
    };
    let done = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[frontier_entry(1, 1), alien],
    );
    assert_eq!(done.frontier.number, 1);
    assert!(done.broken.is_some_and(|reason| reason.starts_with(REWRITTEN)));
}

#[test]
fn frontier_enters_epoch_after_continued_chunk() {
    let lane = LaneState {
        epoch: 2,
        openings: BTreeMap::from([(2, continues(1, 2))]),
        ..LaneState::default()
    };
    let entries = [frontier_entry(1, 1), frontier_entry(2, 1)];
    let waits = advance(&Frontier::default(), &lane, &entries).frontier;
    assert_eq!((waits.epoch, waits.number), (1, 1));
    let entries = [
        frontier_entry(1, 1),
        frontier_entry(1, 2),
        frontier_entry(1, 3),
        frontier_entry(2, 1),
        frontier_entry(2, 2),
    ];
    let enters = advance(&waits, &lane, &entries).frontier;
    assert_eq!((enters.epoch, enters.number, enters.rows), (2, 2, 20));
    // After it, or if everything is sent again: at once.
    let beyond = Frontier {
        number: 3,
        ..waits.clone()
    };
    assert_eq!(
        advance(&beyond, &lane, &entries).frontier.chunk_number(),
        ChunkNumber { epoch: 2, number: 2 }
    );
    let afresh = LaneState {
        openings: BTreeMap::from([(2, None)]),
        ..lane
    };
    assert_eq!(
        advance(&Frontier::default(), &afresh, &[frontier_entry(2, 1)])
            .frontier
            .chunk_number(),
        ChunkNumber { epoch: 2, number: 1 }
    );
}

#[test]
fn frontier_stops_before_superseded_chunk() {
    let left = FrontierEntry {
        state: EntryState::Superseded,
        ..frontier_entry(1, 2)
    };
    let done = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[frontier_entry(1, 1), left],
    );
    assert_eq!((done.frontier.number, done.broken), (1, None));
}

proptest! {
    /// In any step size the frontier ends at the same chunk.
    #[test]
    fn frontier_is_independent_of_step_size(present in proptest::collection::vec(0..4_u8, 20), stride in 1..7_usize) {
        let entries: Vec<FrontierEntry> = (1_u64..).zip(&present).filter(|(_, kind)| **kind > 0).map(|(number, kind)| match kind {
            1 => quarantined(number),
            _ => frontier_entry(1, number),
        }).collect();
        let lane = LaneState::default();
        let at_once = advance(&Frontier::default(), &lane, &entries).frontier;
        let gapless = present.iter().take_while(|kind| **kind > 0).count() as u64;
        prop_assert_eq!(at_once.number, gapless);
        let mut frontier = Frontier::default();
        loop {
            let from = entries.partition_point(|entry| entry.chunk_number <= frontier.chunk_number());
            let next = advance(&frontier, &lane, &entries[from..entries.len().min(from + stride)]).frontier;
            if next == frontier { break; }
            frontier = next;
        }
        prop_assert_eq!(frontier, at_once);
    }
}

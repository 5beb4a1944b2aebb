use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::cursor::Scalar;
use schemas::manifest::Link;

use super::*;

fn digest(epoch: u32, number: u64) -> Digest {
    Digest::of(&[&epoch.to_be_bytes(), &number.to_be_bytes()])
}

fn cursor(number: u64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Text(number.to_string())]))
}

fn noted(epoch: u32, number: u64) -> Noted {
    Noted {
        place: Place { epoch, number },
        digest: digest(epoch, number),
        previous: (number > 1).then(|| digest(epoch, number - 1)),
        state: EntryState::Stored,
        rows: 10,
        rows_quarantined: 0,
        cursor_after: cursor(number),
    }
}

fn quarantined(number: u64) -> Noted {
    Noted {
        state: EntryState::Quarantined,
        rows: 0,
        digest: digest(9, number),
        cursor_after: cursor(99),
        ..noted(1, number)
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
fn it_stops_before_a_gap_and_says_what_it_covers() {
    let entries = [noted(1, 1), noted(1, 2), noted(1, 4)];
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
fn it_passes_what_is_in_quarantine_and_counts_it() {
    let partly = Noted {
        rows_quarantined: 1,
        ..noted(1, 3)
    };
    let frontier = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[noted(1, 1), quarantined(2), partly],
    )
    .frontier;
    assert_eq!(
        (frontier.number, frontier.rows, frontier.quarantined),
        (3, 20, vec![2, 3])
    );
    assert_eq!(frontier.lowest_quarantined, Some(Place { epoch: 1, number: 2 }));
    // A digest that is not trusted breaks no chain, and its position is not gone on from.
    let at_the_head = advance(
        &Frontier::default(),
        &LaneState::default(),
        &[noted(1, 1), quarantined(2)],
    )
    .frontier;
    assert_eq!((at_the_head.number, at_the_head.cursor), (2, cursor(1)));
}

#[test]
fn a_link_that_two_pollers_could_not_see_is_checked_on_the_way() {
    let alien = Noted {
        previous: Some(digest(7, 7)),
        ..noted(1, 2)
    };
    let done = advance(&Frontier::default(), &LaneState::default(), &[noted(1, 1), alien]);
    assert_eq!(done.frontier.number, 1);
    assert!(done.broken.is_some_and(|reason| reason.starts_with(REWRITTEN)));
}

#[test]
fn it_enters_an_epoch_only_from_the_chunk_that_it_continues() {
    let lane = LaneState {
        epoch: 2,
        openings: BTreeMap::from([(2, continues(1, 2))]),
        ..LaneState::default()
    };
    let entries = [noted(1, 1), noted(2, 1)];
    let waits = advance(&Frontier::default(), &lane, &entries).frontier;
    assert_eq!((waits.epoch, waits.number), (1, 1));
    let entries = [noted(1, 1), noted(1, 2), noted(1, 3), noted(2, 1), noted(2, 2)];
    let enters = advance(&waits, &lane, &entries).frontier;
    assert_eq!((enters.epoch, enters.number, enters.rows), (2, 2, 20));
    // Beyond it already, or when everything is sent again: at once.
    let beyond = Frontier {
        number: 3,
        ..waits.clone()
    };
    assert_eq!(
        advance(&beyond, &lane, &entries).frontier.place(),
        Place { epoch: 2, number: 2 }
    );
    let afresh = LaneState {
        openings: BTreeMap::from([(2, None)]),
        ..lane
    };
    assert_eq!(
        advance(&Frontier::default(), &afresh, &[noted(2, 1)])
            .frontier
            .place(),
        Place { epoch: 2, number: 1 }
    );
}

#[test]
fn a_superseded_chunk_is_not_passed() {
    let left = Noted {
        state: EntryState::Superseded,
        ..noted(1, 2)
    };
    let done = advance(&Frontier::default(), &LaneState::default(), &[noted(1, 1), left]);
    assert_eq!((done.frontier.number, done.broken), (1, None));
}

proptest! {
    /// In whichever steps the entries are seen, the frontier ends in the same place.
    #[test]
    fn steps_make_no_difference(present in proptest::collection::vec(0..4_u8, 20), stride in 1..7_usize) {
        let entries: Vec<Noted> = (1_u64..).zip(&present).filter(|(_, kind)| **kind > 0).map(|(number, kind)| match kind {
            1 => quarantined(number),
            _ => noted(1, number),
        }).collect();
        let lane = LaneState::default();
        let at_once = advance(&Frontier::default(), &lane, &entries).frontier;
        let gapless = present.iter().take_while(|kind| **kind > 0).count() as u64;
        prop_assert_eq!(at_once.number, gapless);
        let mut frontier = Frontier::default();
        loop {
            let from = entries.partition_point(|entry| entry.place <= frontier.place());
            let next = advance(&frontier, &lane, &entries[from..entries.len().min(from + stride)]).frontier;
            if next == frontier { break; }
            frontier = next;
        }
        prop_assert_eq!(frontier, at_once);
    }
}

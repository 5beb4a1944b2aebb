use std::collections::BTreeMap;

use schemas::cursor::Scalar;
use schemas::manifest::Link;

use super::*;

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn place(epoch: u32, number: u64) -> Place {
    Place { epoch, number }
}

/// Epoch 2 continues chunk 5 of epoch 1.
fn rewound() -> LaneState {
    let link = Link {
        epoch: 1,
        number: 5,
        digest: digest(5),
    };
    LaneState {
        epoch: 2,
        openings: BTreeMap::from([(2, Some(link))]),
        ..LaneState::default()
    }
}

#[test]
fn a_row_is_tried_while_its_chunk_counts() {
    let lane = rewound();
    let row = |place| untried(Kind::Row, None, &lane, Some(place));
    assert_eq!(row(place(1, 5)), None);
    assert_eq!(row(place(2, 9)), None);
    assert_eq!(row(place(1, 6)), Some(Became::LeftBehind));
}

#[test]
fn nothing_is_tried_twice_nor_on_a_stopped_lane() {
    let mut lane = rewound();
    for how in [Ending::Released, Ending::LeftBehind, Ending::Discarded] {
        let ended = untried(Kind::Message, Some(how), &lane, None);
        assert_eq!(ended, Some(Became::Ended { how }));
        assert_eq!(Ending::of_word(how.word()), how);
    }
    lane.stopped = Some("a fork".to_owned());
    let stopped = untried(Kind::Row, None, &lane, Some(place(1, 1)));
    assert!(matches!(stopped, Some(Became::Waits { reason }) if reason.contains("a fork")));
    assert_eq!(
        untried(Kind::Row, None, &lane, Some(place(1, 6))),
        Some(Became::LeftBehind)
    );
}

#[test]
fn what_the_source_could_not_carry_is_never_stored_by_a_retry() {
    let became = untried(Kind::Reject, None, &rewound(), Some(place(1, 1)));
    assert!(matches!(became, Some(Became::Never { reason }) if reason.contains("source")));
}

#[test]
fn a_fork_is_refused_and_what_is_early_waits() {
    let reason = "why".to_owned();
    assert_eq!(refusal(&Judgement::Store), None);
    assert_eq!(refusal(&Judgement::Already), None);
    assert_eq!(
        refusal(&Judgement::Fork {
            reason: reason.clone()
        }),
        Some(Became::Contradicts {
            reason: reason.clone()
        })
    );
    assert_eq!(
        refusal(&Judgement::Later {
            reason: reason.clone()
        }),
        Some(Became::Waits { reason })
    );
}

#[test]
fn a_message_is_out_only_when_the_ledger_has_its_own_digest() {
    let noted = |of, state| {
        Some(Noted {
            digest: digest(of),
            state,
            rows: 7,
            refused: 2,
        })
    };
    assert_eq!(
        message_became(digest(1), noted(1, EntryState::Stored), false),
        Became::Released { rows: 7, refused: 2 }
    );
    assert_eq!(
        message_became(digest(1), noted(2, EntryState::Stored), false),
        Became::LeftBehind
    );
    assert!(!message_became(digest(1), noted(1, EntryState::Quarantined), false).is_out());
    assert!(!message_became(digest(1), None, false).is_out());
    // The entry of a chunk that was stored there long ago is not kept.
    assert_eq!(message_became(digest(1), None, true), Became::LeftBehind);
}

fn frontier() -> Frontier {
    Frontier {
        number: 9,
        head: Some(digest(9)),
        quarantined: vec![3, 6, 9],
        lowest_quarantined: Some(place(1, 2)),
        rows: 10,
        ..Frontier::begin(2, None)
    }
}

#[test]
fn what_is_stored_leaves_the_list_and_the_tombstones_follow() {
    let cursor = Some(Cursor(vec![Scalar::Int(9)]));
    let below = Below {
        head: Some((digest(9), true)),
        cursor: cursor.clone(),
        rows: 30,
        marked: vec![(place(2, 6), true)],
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!(now.quarantined, vec![6]);
    assert_eq!(now.lowest_quarantined, Some(place(2, 6)));
    assert_eq!(now.place(), frontier().place());
    assert_eq!((now.head_trusted, now.cursor, now.rows), (true, cursor, 30));
}

#[test]
fn what_is_discarded_stays_in_the_receipts_and_holds_no_tombstone() {
    let below = Below {
        marked: vec![(place(1, 4), false), (place(2, 3), false)],
        ..Below::default()
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!((now.quarantined, now.lowest_quarantined), (vec![3], None));
}

#[test]
fn what_a_later_epoch_left_behind_is_not_counted() {
    let below = Below {
        marked: vec![(place(1, 6), true), (place(2, 10), true)],
        ..Below::default()
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!((now.quarantined, now.lowest_quarantined), (vec![], None));
}

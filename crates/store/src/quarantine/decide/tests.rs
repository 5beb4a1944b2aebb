use std::collections::BTreeMap;

use schemas::cursor::Scalar;
use schemas::manifest::Link;

use super::*;

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn chunk_number(epoch: u32, number: u64) -> ChunkNumber {
    ChunkNumber { epoch, number }
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
fn retry_row_is_tried_while_its_chunk_counts() {
    let lane = rewound();
    let row = |chunk_number| blocked_outcome(Kind::Row, None, &lane, Some(chunk_number));
    assert_eq!(row(chunk_number(1, 5)), None);
    assert_eq!(row(chunk_number(2, 9)), None);
    assert_eq!(row(chunk_number(1, 6)), Some(RetryOutcome::LeftBehind));
}

#[test]
fn retry_ended_entry_or_stopped_lane_is_not_tried() {
    let mut lane = rewound();
    for ending in [Ending::Released, Ending::LeftBehind, Ending::Discarded] {
        let ended = blocked_outcome(Kind::Message, Some(ending), &lane, None);
        assert_eq!(ended, Some(RetryOutcome::Ended { ending }));
        assert_eq!(Ending::of_word(ending.word()), ending);
    }
    lane.stopped = Some("a fork".to_owned());
    let stopped = blocked_outcome(Kind::Row, None, &lane, Some(chunk_number(1, 1)));
    assert!(matches!(stopped, Some(RetryOutcome::Waits { reason }) if reason.contains("a fork")));
    assert_eq!(
        blocked_outcome(Kind::Row, None, &lane, Some(chunk_number(1, 6))),
        Some(RetryOutcome::LeftBehind)
    );
}

#[test]
fn retry_reject_is_never_stored() {
    let outcome = blocked_outcome(Kind::Reject, None, &rewound(), Some(chunk_number(1, 1)));
    assert!(matches!(outcome, Some(RetryOutcome::Never { reason }) if reason.contains("source")));
}

#[test]
fn retry_fork_is_refused_and_early_chunk_waits() {
    let reason = "why".to_owned();
    assert_eq!(refusal(&Judgement::Store), None);
    assert_eq!(refusal(&Judgement::AlreadyStored), None);
    assert_eq!(
        refusal(&Judgement::Fork {
            reason: reason.clone()
        }),
        Some(RetryOutcome::Contradicts {
            reason: reason.clone()
        })
    );
    assert_eq!(
        refusal(&Judgement::Deferred {
            reason: reason.clone()
        }),
        Some(RetryOutcome::Waits { reason })
    );
}

#[test]
fn retry_message_is_out_only_with_its_digest_in_ledger() {
    let released_entry = |of, state| {
        Some(ReleasedEntry {
            digest: digest(of),
            state,
            rows: 7,
            refused: 2,
        })
    };
    assert_eq!(
        message_outcome(digest(1), released_entry(1, EntryState::Stored), false),
        RetryOutcome::Released { rows: 7, refused: 2 }
    );
    assert_eq!(
        message_outcome(digest(1), released_entry(2, EntryState::Stored), false),
        RetryOutcome::LeftBehind
    );
    assert!(!message_outcome(digest(1), released_entry(1, EntryState::Quarantined), false).is_out());
    assert!(!message_outcome(digest(1), None, false).is_out());
    // The entry of a chunk that was stored long ago is not kept.
    assert_eq!(message_outcome(digest(1), None, true), RetryOutcome::LeftBehind);
}

fn frontier() -> Frontier {
    Frontier {
        number: 9,
        head: Some(digest(9)),
        quarantined: vec![3, 6, 9],
        lowest_quarantined: Some(chunk_number(1, 2)),
        rows: 10,
        ..Frontier::begin(2, None)
    }
}

#[test]
fn recount_stored_chunk_leaves_list() {
    let cursor = Some(Cursor(vec![Scalar::Int(9)]));
    let below = Below {
        head: Some((digest(9), true)),
        cursor: cursor.clone(),
        rows: 30,
        marked: vec![(chunk_number(2, 6), true)],
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!(now.quarantined, vec![6]);
    assert_eq!(now.lowest_quarantined, Some(chunk_number(2, 6)));
    assert_eq!(now.chunk_number(), frontier().chunk_number());
    assert_eq!((now.head_trusted, now.cursor, now.rows), (true, cursor, 30));
}

#[test]
fn recount_discarded_chunk_stays_in_list() {
    let below = Below {
        marked: vec![(chunk_number(1, 4), false), (chunk_number(2, 3), false)],
        ..Below::default()
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!((now.quarantined, now.lowest_quarantined), (vec![3], None));
}

#[test]
fn recount_superseded_chunk_is_not_counted() {
    let below = Below {
        marked: vec![(chunk_number(1, 6), true), (chunk_number(2, 10), true)],
        ..Below::default()
    };
    let now = recount(&frontier(), &rewound(), &below);
    assert_eq!((now.quarantined, now.lowest_quarantined), (vec![], None));
}

use proptest::prelude::*;

use super::*;

fn digest(history: u8, epoch: u32, number: u64) -> Digest {
    Digest::of(&[&[history], &epoch.to_be_bytes(), &number.to_be_bytes()])
}

fn at(epoch: u32, number: u64) -> ChunkNumber {
    ChunkNumber { epoch, number }
}

fn link(epoch: u32, number: u64) -> Link {
    Link {
        epoch,
        number,
        digest: digest(0, epoch, number),
    }
}

/// Chunk `number` of the first epoch in this history.
fn chunk(history: u8, number: u64) -> ChunkLinks {
    ChunkLinks {
        chunk_number: at(1, number),
        digest: digest(history, 1, number),
        previous: (number > 1).then(|| digest(history, 1, number - 1)),
        opening: None,
        exchanged_at: Timestamp::UNIX_EPOCH,
    }
}

fn opening(epoch: u32, continues: Option<Link>) -> ChunkLinks {
    ChunkLinks {
        chunk_number: at(epoch, 1),
        digest: digest(0, epoch, 1),
        previous: continues.map(|link| link.digest),
        opening: Some(continues),
        exchanged_at: Timestamp::UNIX_EPOCH,
    }
}

fn ledger(chunks: &[ChunkLinks]) -> BTreeMap<ChunkNumber, Entry> {
    chunks
        .iter()
        .map(|chunk| (chunk.chunk_number, chunk.entry(EntryState::Stored)))
        .collect()
}

fn one(
    lane: &LaneState,
    entries: &BTreeMap<ChunkNumber, Entry>,
    chunk: &ChunkLinks,
) -> (Judgement, LaneState) {
    let mut plan = plan(lane, entries, std::slice::from_ref(chunk));
    (plan.judgements.remove(0), plan.lane)
}

#[test]
fn ledger_new_chunk_is_stored_and_known_is_ignored() {
    let lane = LaneState::default();
    assert_eq!(one(&lane, &ledger(&[]), &chunk(0, 1)).0, Judgement::Store);
    assert_eq!(
        one(&lane, &ledger(&[chunk(0, 1)]), &chunk(0, 1)),
        (Judgement::AlreadyStored, lane.clone())
    );
    // The first contact with a lane may be in the middle of its chain.
    assert_eq!(one(&lane, &ledger(&[]), &chunk(0, 7)).0, Judgement::Store);
}

#[test]
fn ledger_fork_stops_lane() {
    let lane = LaneState::default();
    for (there, new) in [(5, 5), (4, 5), (6, 5)] {
        let (judgement, after) = one(&lane, &ledger(&[chunk(0, there)]), &chunk(1, new));
        let Judgement::Fork { reason } = judgement else {
            panic!("{judgement:?}")
        };
        assert!(reason.starts_with(REWRITTEN), "{reason}");
        assert_eq!(after.stopped, Some(reason));
    }
}

#[test]
fn ledger_stopped_lane_settles_only_known_chunks() {
    let lane = LaneState {
        stopped: Some("why".into()),
        ..LaneState::default()
    };
    let entries = ledger(&[chunk(0, 1)]);
    assert_eq!(
        one(&lane, &entries, &chunk(0, 2)).0,
        Judgement::AlreadyStopped { reason: "why".into() }
    );
    assert_eq!(
        one(&lane, &entries, &chunk(1, 1)).0,
        Judgement::AlreadyStopped { reason: "why".into() }
    );
    assert_eq!(one(&lane, &entries, &chunk(0, 1)).0, Judgement::AlreadyStored);
}

#[test]
fn ledger_opening_of_known_entry_ends_stop() {
    let lane = LaneState {
        stopped: Some("why".into()),
        ..LaneState::default()
    };
    let entries = ledger(&[chunk(0, 1), chunk(0, 2)]);
    for continues in [Some(link(1, 2)), None] {
        let (judgement, after) = one(&lane, &entries, &opening(2, continues));
        assert_eq!(judgement, Judgement::OpenEpoch { continues });
        assert_eq!((after.epoch, after.stopped.clone()), (2, None));
    }
}

#[test]
fn ledger_opening_of_other_history_stops_lane() {
    let foreign = Link {
        digest: digest(1, 1, 2),
        ..link(1, 2)
    };
    let (judgement, after) = one(
        &LaneState::default(),
        &ledger(&[chunk(0, 2)]),
        &opening(2, Some(foreign)),
    );
    assert!(matches!(judgement, Judgement::BadOpening { .. }));
    assert!(after.stopped.is_some());
    // The operator's next opening may be of the following epoch.
    let (judgement, after) = one(&after, &ledger(&[chunk(0, 2)]), &opening(3, Some(link(1, 2))));
    assert!(matches!(judgement, Judgement::OpenEpoch { .. }));
    assert_eq!((after.epoch, after.stopped), (3, None));
}

#[test]
fn ledger_chunk_before_its_opening_is_deferred() {
    let lane = LaneState::default();
    let early = ChunkLinks {
        chunk_number: at(2, 2),
        previous: Some(digest(0, 2, 1)),
        opening: None,
        digest: digest(0, 2, 2),
        exchanged_at: Timestamp::UNIX_EPOCH,
    };
    let entries = ledger(&[chunk(0, 1)]);
    assert!(matches!(
        one(&lane, &entries, &early).0,
        Judgement::Deferred { .. }
    ));
    assert!(matches!(
        one(&lane, &entries, &opening(2, Some(link(1, 9)))).0,
        Judgement::Deferred { .. }
    ));
    // In one call with its opening it is stored, in any order.
    let plan = plan(&lane, &entries, &[early, opening(2, Some(link(1, 1)))]);
    assert!(matches!(
        plan.judgements[..],
        [Judgement::Store, Judgement::OpenEpoch { .. }]
    ));
}

#[test]
fn ledger_lost_end_of_epoch_is_superseded() {
    let entries = ledger(&[chunk(0, 1), chunk(0, 4)]);
    let (_, lane) = one(&LaneState::default(), &entries, &opening(2, Some(link(1, 4))));
    assert_eq!(one(&lane, &entries, &chunk(0, 5)).0, Judgement::Superseded);
    assert_eq!(one(&lane, &entries, &chunk(0, 3)).0, Judgement::Store);
    // The other history does not stop the lane again.
    for number in 1..=5 {
        assert_eq!(
            one(&lane, &entries, &chunk(1, number)).0,
            Judgement::Superseded,
            "{number}"
        );
    }
    let (_, afresh) = one(&LaneState::default(), &entries, &opening(2, None));
    assert_eq!(one(&afresh, &entries, &chunk(0, 3)).0, Judgement::Superseded);
}

#[test]
fn ledger_lineage_skips_abandoned_epochs() {
    let lane = LaneState {
        epoch: 4,
        openings: BTreeMap::from([
            (2, Some(link(1, 7))),
            (3, Some(link(2, 2))),
            (4, Some(link(2, 5))),
        ]),
        ..LaneState::default()
    };
    assert_eq!(
        lane.end(1),
        End::At {
            link: link(1, 7),
            next: 2
        }
    );
    assert_eq!(
        lane.end(2),
        End::At {
            link: link(2, 5),
            next: 4
        }
    );
    assert_eq!(lane.end(3), End::Void { next: 4 });
    assert_eq!((lane.end(4), lane.end(5)), (End::Open, End::Unopened));
    // Openings that contradict each other end the walk too.
    let crooked = LaneState {
        openings: BTreeMap::from([(4, Some(link(9, 1)))]),
        ..lane
    };
    assert_eq!(crooked.end(1), End::Void { next: 4 });
}

#[test]
fn ledger_verified_chunk_replaces_quarantined_entry() {
    let mut entries = ledger(&[chunk(1, 2)]);
    entries
        .values_mut()
        .for_each(|entry| entry.state = EntryState::Quarantined);
    let lane = LaneState::default();
    for number in [1, 2, 3] {
        assert_eq!(
            one(&lane, &entries, &chunk(0, number)).0,
            Judgement::Store,
            "{number}"
        );
    }
}

proptest! {
    /// Redelivery in any order and any number of calls: one history never stops, and every chunk ends in the ledger
    /// once.
    #[test]
    fn ledger_one_history_is_stored_in_any_order(
        order in Just((1..=12_u64).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec(1..=12_u64, 0..8),
        size in 1..5_usize,
    ) {
        let (mut lane, mut entries) = (LaneState::default(), BTreeMap::new());
        let numbers: Vec<u64> = order.into_iter().chain(again).collect();
        let mut stored = 0;
        for call in numbers.chunks(size) {
            let chunks: Vec<ChunkLinks> = call.iter().map(|number| chunk(0, *number)).collect();
            let known = needed(&chunks);
            let seen = entries.iter().filter(|(chunk_number, _)| known.contains(chunk_number)).map(|(chunk_number, entry)| (*chunk_number, *entry)).collect();
            let plan = plan(&lane, &seen, &chunks);
            for (chunk, judgement) in chunks.iter().zip(plan.judgements) {
                match judgement {
                    Judgement::Store => {
                        stored += 1;
                        entries.insert(chunk.chunk_number, chunk.entry(EntryState::Stored));
                    }
                    other => prop_assert_eq!(other, Judgement::AlreadyStored),
                }
            }
            lane = plan.lane;
        }
        prop_assert_eq!((stored, entries.len(), lane.stopped), (12, 12, None));
    }

    /// A restored exchange: two histories that diverge at some number are never both stored.
    #[test]
    fn ledger_two_histories_never_mix(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let all: Vec<ChunkLinks> = (1..=6).flat_map(|number| [chunk(0, number), chunk(1, number)]).collect();
        let (mut lane, mut entries) = (LaneState::default(), BTreeMap::<ChunkNumber, Entry>::new());
        for index in order {
            let (judgement, after) = one(&lane, &entries, &all[index]);
            if judgement == Judgement::Store {
                prop_assert!(entries.insert(all[index].chunk_number, all[index].entry(EntryState::Stored)).is_none());
            }
            lane = after;
        }
        prop_assert!(lane.stopped.is_some());
        for (chunk_number, entry) in &entries {
            let after = entries.get(&at(1, chunk_number.number + 1));
            prop_assert!(after.is_none_or(|after| after.previous == Some(entry.digest)));
        }
    }
}

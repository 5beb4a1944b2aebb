use proptest::prelude::*;

use super::*;

fn digest(history: u8, epoch: u32, number: u64) -> Digest {
    Digest::of(&[&[history], &epoch.to_be_bytes(), &number.to_be_bytes()])
}

fn at(epoch: u32, number: u64) -> Place {
    Place { epoch, number }
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
        place: at(1, number),
        digest: digest(history, 1, number),
        previous: (number > 1).then(|| digest(history, 1, number - 1)),
        opening: None,
        exchanged_at: Timestamp::UNIX_EPOCH,
    }
}

fn opening(epoch: u32, continues: Option<Link>) -> ChunkLinks {
    ChunkLinks {
        place: at(epoch, 1),
        digest: digest(0, epoch, 1),
        previous: continues.map(|link| link.digest),
        opening: Some(continues),
        exchanged_at: Timestamp::UNIX_EPOCH,
    }
}

fn ledger(chunks: &[ChunkLinks]) -> BTreeMap<Place, Entry> {
    chunks
        .iter()
        .map(|chunk| (chunk.place, chunk.entry(EntryState::Stored)))
        .collect()
}

fn one(lane: &LaneState, entries: &BTreeMap<Place, Entry>, chunk: &ChunkLinks) -> (Judgement, LaneState) {
    let mut plan = plan(lane, entries, std::slice::from_ref(chunk));
    (plan.judgements.remove(0), plan.lane)
}

#[test]
fn what_is_new_is_stored_and_what_is_known_changes_nothing() {
    let lane = LaneState::default();
    assert_eq!(one(&lane, &ledger(&[]), &chunk(0, 1)).0, Judgement::Store);
    assert_eq!(
        one(&lane, &ledger(&[chunk(0, 1)]), &chunk(0, 1)),
        (Judgement::Already, lane.clone())
    );
    // The first contact with a lane may be in the middle of its chain.
    assert_eq!(one(&lane, &ledger(&[]), &chunk(0, 7)).0, Judgement::Store);
}

#[test]
fn a_fork_is_found_by_place_and_by_either_link_and_stops_the_lane() {
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
fn while_stopped_nothing_is_stored_and_what_is_known_is_settled() {
    let lane = LaneState {
        stopped: Some("why".into()),
        ..LaneState::default()
    };
    let entries = ledger(&[chunk(0, 1)]);
    assert_eq!(
        one(&lane, &entries, &chunk(0, 2)).0,
        Judgement::StoppedBefore { reason: "why".into() }
    );
    assert_eq!(
        one(&lane, &entries, &chunk(1, 1)).0,
        Judgement::StoppedBefore { reason: "why".into() }
    );
    assert_eq!(one(&lane, &entries, &chunk(0, 1)).0, Judgement::Already);
}

#[test]
fn an_opening_that_continues_our_entry_lifts_the_stop() {
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
fn an_opening_that_continues_another_history_stops_the_lane() {
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
    // The operator's next one may be of the epoch after.
    let (judgement, after) = one(&after, &ledger(&[chunk(0, 2)]), &opening(3, Some(link(1, 2))));
    assert!(matches!(judgement, Judgement::OpenEpoch { .. }));
    assert_eq!((after.epoch, after.stopped), (3, None));
}

#[test]
fn what_overtakes_its_opening_is_put_off() {
    let lane = LaneState::default();
    let early = ChunkLinks {
        place: at(2, 2),
        previous: Some(digest(0, 2, 1)),
        opening: None,
        digest: digest(0, 2, 2),
        exchanged_at: Timestamp::UNIX_EPOCH,
    };
    let entries = ledger(&[chunk(0, 1)]);
    assert!(matches!(one(&lane, &entries, &early).0, Judgement::Later { .. }));
    assert!(matches!(
        one(&lane, &entries, &opening(2, Some(link(1, 9)))).0,
        Judgement::Later { .. }
    ));
    // In one call with its opening it is stored, in whichever order they are given.
    let plan = plan(&lane, &entries, &[early, opening(2, Some(link(1, 1)))]);
    assert!(matches!(
        plan.judgements[..],
        [Judgement::Store, Judgement::OpenEpoch { .. }]
    ));
}

#[test]
fn the_lost_end_of_an_epoch_is_superseded_and_its_counted_part_is_not() {
    let entries = ledger(&[chunk(0, 1), chunk(0, 4)]);
    let (_, lane) = one(&LaneState::default(), &entries, &opening(2, Some(link(1, 4))));
    assert_eq!(one(&lane, &entries, &chunk(0, 5)).0, Judgement::Superseded);
    assert_eq!(one(&lane, &entries, &chunk(0, 3)).0, Judgement::Store);
    // The other history does not stop the lane a second time.
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
fn the_lineage_passes_over_epochs_that_were_left() {
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
    // Openings that contradict themselves end the walk too.
    let crooked = LaneState {
        openings: BTreeMap::from([(4, Some(link(9, 1)))]),
        ..lane
    };
    assert_eq!(crooked.end(1), End::Void { next: 4 });
}

#[test]
fn a_place_in_quarantine_proves_nothing_and_is_taken_by_the_verified_chunk() {
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
    /// Trap: redelivery in any order and any number of calls. One history never stops, and ends
    /// with every chunk in the ledger once.
    #[test]
    fn one_history_is_stored_whole_whatever_the_order(
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
            let seen = entries.iter().filter(|(place, _)| known.contains(place)).map(|(place, entry)| (*place, *entry)).collect();
            let plan = plan(&lane, &seen, &chunks);
            for (chunk, judgement) in chunks.iter().zip(plan.judgements) {
                match judgement {
                    Judgement::Store => {
                        stored += 1;
                        entries.insert(chunk.place, chunk.entry(EntryState::Stored));
                    }
                    other => prop_assert_eq!(other, Judgement::Already),
                }
            }
            lane = plan.lane;
        }
        prop_assert_eq!((stored, entries.len(), lane.stopped), (12, 12, None));
    }

    /// Trap: a restored exchange. Two histories that part at some number never both get in.
    #[test]
    fn two_histories_never_mix_beyond_the_links_that_show(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let all: Vec<ChunkLinks> = (1..=6).flat_map(|number| [chunk(0, number), chunk(1, number)]).collect();
        let (mut lane, mut entries) = (LaneState::default(), BTreeMap::<Place, Entry>::new());
        for index in order {
            let (judgement, after) = one(&lane, &entries, &all[index]);
            if judgement == Judgement::Store {
                prop_assert!(entries.insert(all[index].place, all[index].entry(EntryState::Stored)).is_none());
            }
            lane = after;
        }
        prop_assert!(lane.stopped.is_some());
        for (place, entry) in &entries {
            let after = entries.get(&at(1, place.number + 1));
            prop_assert!(after.is_none_or(|after| after.previous == Some(entry.digest)));
        }
    }
}

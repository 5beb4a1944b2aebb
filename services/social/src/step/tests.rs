use super::*;
use schemas::cursor::Scalar;

fn digest(of: &str) -> Digest {
    Digest::of(&[of.as_bytes()])
}

fn link(epoch: u32, number: u64, of: &str) -> Link {
    Link {
        epoch,
        number,
        digest: digest(of),
    }
}

fn cursor(at: i64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Int(at)]))
}

fn tail(sequence: u64, link: Link, instance: &str, at: i64) -> Option<Tail> {
    Some(Tail {
        sequence,
        link,
        instance: instance.into(),
        definition: digest("feed"),
        cursor: cursor(at),
    })
}

fn read(tail: Option<Tail>, receipt: Option<ReceiptFrontier>) -> Event {
    Event::TailRead { tail, receipt }
}

/// The leader's answer so many seconds after the start.
fn leader(sequence: u64, second: u64) -> Event {
    Event::LeaderAnswered {
        sequence,
        at: Duration::from_secs(second),
    }
}

/// Reads a tail that went backwards, and proves it twice.
fn proven(lane: Lane, event: &Event) -> (Lane, Vec<Action>) {
    let Event::TailRead { tail, .. } = event else {
        panic!("{event:?}")
    };
    let sequence = tail.as_ref().map_or(0, |tail| tail.sequence);
    let (lane, actions) = step(lane, event.clone());
    assert_eq!(actions, [Action::AskLeader]);
    let (lane, actions) = step(lane, leader(sequence, 100));
    assert_eq!(actions, [Action::ReadTail { backed_off: true }], "one proof");
    let (lane, actions) = step(lane, event.clone());
    assert_eq!(actions, [Action::AskLeader]);
    step(lane, leader(sequence, 115))
}

fn lane() -> Lane {
    step(Lane::new("me".into(), digest("feed")), Event::Begin).0
}

/// Adopted chunk 5 of epoch 1, with chunk 6 in flight.
fn in_flight() -> Lane {
    let (lane, actions) = step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(5))]);
    let (lane, actions) = step(
        lane,
        Event::Ready(PreparedChunk {
            link: link(1, 6, "six"),
            cursor: cursor(6),
        }),
    );
    assert_eq!(
        actions,
        [Action::Publish {
            expect: 50,
            backed_off: false
        }]
    );
    lane
}

fn doubt() -> Lane {
    step(in_flight(), Event::Failed(ErrorKind::Unknown, String::new())).0
}

#[test]
fn lane_empty_begins_with_number_one() {
    let (lane, actions) = step(lane(), read(None, None));
    assert_eq!(actions, [Action::ReadFrom(None)]);
    assert_eq!(
        lane.next_position(),
        Some(ChainPosition {
            epoch: 1,
            number: 1,
            previous: None
        })
    );
}

#[test]
fn lane_next_position_follows_the_chunk_in_flight() {
    let lane = in_flight();
    assert_eq!(
        lane.next_position(),
        Some(ChainPosition {
            epoch: 1,
            number: 7,
            previous: Some(digest("six"))
        })
    );
    let (same, actions) = step(
        lane.clone(),
        Event::Ready(PreparedChunk {
            link: link(1, 7, "seven"),
            cursor: None,
        }),
    );
    assert_eq!((same, actions), (lane, Vec::new()), "two chunks in flight");
}

#[test]
fn lane_lost_ack_is_recognised_by_instance_and_digest() {
    let (lane, actions) = step(doubt(), read(tail(60, link(1, 6, "six"), "me", 6), None));
    assert_eq!(actions, [Action::Stored]);
    assert_eq!(lane.last(), Some(link(1, 6, "six")));
}

#[test]
fn lane_chunk_not_stored_is_sent_again_unchanged() {
    let (_, actions) = step(doubt(), read(tail(50, link(1, 5, "five"), "other", 5), None));
    assert_eq!(
        actions,
        [Action::Publish {
            expect: 50,
            backed_off: false
        }]
    );
}

#[test]
fn lane_lost_race_adopts_the_tail_and_drops_its_chunk() {
    let (conflict, actions) = step(in_flight(), Event::Conflict);
    assert_eq!(actions, [Action::ReadTail { backed_off: false }]);
    let (lane, actions) = step(conflict, read(tail(61, link(1, 6, "theirs"), "other", 9), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(9))]);
    assert_eq!(lane.next_position().unwrap().previous, Some(digest("theirs")));
}

#[test]
fn lane_tail_behind_the_ack_stops_it_until_a_new_epoch() {
    let (lane, actions) = proven(doubt(), &read(tail(40, link(1, 4, "four"), "me", 4), None));
    let [Action::Stop(reason)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert!(reason.to_string().starts_with("exchange restored or rewritten"));
    let (lane, _) = step(lane, Event::Begin);
    let (lane, actions) = step(lane, read(tail(70, link(1, 9, "nine"), "other", 4), None));
    assert!(actions.is_empty(), "a longer tail of the same epoch is no proof");
    let (_, actions) = step(lane, read(tail(80, link(2, 1, "opening"), "operator", 3), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(3))]);
}

#[test]
fn lane_emptied_or_replaced_tail_stops_it() {
    for (tail, receipt) in [
        (None, None),
        (tail(50, link(1, 5, "another five"), "other", 5), None),
        (
            tail(50, link(1, 5, "five"), "other", 5),
            Some(ReceiptFrontier {
                epoch: 1,
                to: 6,
                head: None,
            }),
        ),
        (
            tail(50, link(1, 5, "five"), "other", 5),
            Some(ReceiptFrontier {
                epoch: 1,
                to: 5,
                head: Some(digest("another five")),
            }),
        ),
    ] {
        let (lane, _) = proven(doubt(), &read(tail, receipt));
        assert_eq!(lane.stopped(), Some(&StopReason::Restored));
    }
}

#[test]
fn lane_receipt_of_older_epoch_is_not_ahead_of_an_opening() {
    let signed = ReceiptFrontier {
        epoch: 1,
        to: 900,
        head: Some(digest("x")),
    };
    let (_, actions) = step(
        lane(),
        read(tail(3, link(2, 1, "opening"), "operator", 4), Some(signed)),
    );
    assert_eq!(actions, [Action::ReadFrom(cursor(4))]);
}

#[test]
fn lane_other_definition_stops_it_and_names_the_remedy() {
    let mut other = tail(3, link(1, 1, "one"), "me", 4).unwrap();
    other.definition = digest("old feed");
    let (lane, actions) = step(lane(), read(Some(other), None));
    let [Action::Stop(reason)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert!(
        reason.to_string().contains("feed definition changed") && reason.to_string().contains("feed rewind")
    );
    let (_, actions) = step(lane, read(tail(4, link(2, 1, "accepted"), "operator", 4), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(4))]);
}

#[test]
fn lane_full_exchange_is_retried_and_a_denial_stops_it() {
    for kind in [ErrorKind::Full, ErrorKind::Unreachable, ErrorKind::NoLeader] {
        let (_, actions) = step(in_flight(), Event::Failed(kind, String::new()));
        assert_eq!(
            actions,
            [Action::Publish {
                expect: 50,
                backed_off: true
            }]
        );
    }
    let (_, actions) = step(
        in_flight(),
        Event::Failed(ErrorKind::Denied, "permission denied".into()),
    );
    assert!(matches!(
        actions.as_slice(),
        [Action::Stop(StopReason::Exchange(_))]
    ));
}

#[test]
fn lane_lost_lease_drops_the_chunk_and_keeps_the_last_link() {
    let (lane, actions) = step(in_flight(), Event::LeaseLost);
    assert!(actions.is_empty() && lane.next_position().is_none());
    let (lane, actions) = step(lane, Event::Acked { sequence: 60 });
    assert!(actions.is_empty(), "a late answer counts for nothing");
    let (lane, _) = step(lane, Event::Begin);
    let (lane, _) = proven(lane, &read(tail(40, link(1, 4, "four"), "me", 4), None));
    assert_eq!(lane.stopped(), Some(&StopReason::Restored));
}

/// Seen on three servers: a follower that was cut off answered with an old sequence for 38 s.
#[test]
fn lane_lagging_replica_is_waited_for_and_stops_nothing() {
    let old = || read(tail(40, link(1, 4, "four"), "me", 4), None);
    let mut lane = doubt();
    for second in 0..60 {
        let (lagging, actions) = step(lane, old());
        assert_eq!(actions, [Action::AskLeader]);
        assert!(lagging.is_lagging() && lagging.next_position().is_none());
        assert_eq!(lagging.state(), "waiting for a replica that lags");
        let (again, actions) = step(lagging, leader(60, second));
        assert_eq!(actions, [Action::ReadTail { backed_off: true }]);
        lane = again;
    }
    // The replica has caught up: the chunk was stored, and its acknowledgement was lost.
    let (lane, actions) = step(lane, read(tail(60, link(1, 6, "six"), "me", 6), None));
    assert_eq!(actions, [Action::Stored]);
    assert_eq!(lane.last(), Some(link(1, 6, "six")));
}

/// A leader that is cut off answers from its past until it steps down; then the others' leader answers.
#[test]
fn lane_proofs_of_a_replaced_leader_do_not_stop_it() {
    let old = || read(tail(40, link(1, 4, "four"), "me", 4), None);
    let (mut lane, _) = step(doubt(), old());
    for second in [0, 5, 10] {
        let (again, _) = step(lane, leader(40, second));
        let (no_leader, actions) = step(again, old());
        assert_eq!(actions, [Action::AskLeader]);
        lane = no_leader;
    }
    let (lane, actions) = step(lane, Event::Failed(ErrorKind::NoLeader, String::new()));
    assert_eq!(actions, [Action::ReadTail { backed_off: true }]);
    let (lane, _) = step(lane, old());
    let (lane, actions) = step(lane, leader(60, 16));
    assert_eq!(actions, [Action::ReadTail { backed_off: true }]);
    // The proof begins again.
    let (lane, _) = step(lane, old());
    let (lane, actions) = step(lane, leader(40, 17));
    assert_eq!(actions, [Action::ReadTail { backed_off: true }]);
    assert!(lane.is_lagging());
}

/// The leader refused the chunk, and the replica that is read still has the tail that it expected.
#[test]
fn lane_refused_chunk_waits_for_the_replica_and_does_not_spin() {
    let five = || read(tail(50, link(1, 5, "five"), "other", 5), None);
    let (lane, _) = step(in_flight(), Event::Conflict);
    let (lane, actions) = step(lane, five());
    assert_eq!(
        actions,
        [Action::AskLeader],
        "sent again at once, it would be refused again"
    );
    let (lane, actions) = step(lane, leader(61, 0));
    assert_eq!(actions, [Action::ReadTail { backed_off: true }]);
    // The leader's own last sequence is the expected one after all: the refusal came from another leader.
    let (again, _) = step(lane.clone(), five());
    let (_, actions) = step(again, leader(50, 1));
    assert_eq!(
        actions,
        [Action::Publish {
            expect: 50,
            backed_off: false
        }]
    );
    let (_, actions) = step(lane, read(tail(61, link(1, 6, "theirs"), "other", 9), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(9))]);
}

#[test]
fn lane_check_by_a_lagging_replica_continues_where_it_was() {
    let (idle, _) = step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None));
    let (checking, _) = step(idle.clone(), Event::Check);
    let (lagging, actions) = step(checking, read(tail(40, link(1, 4, "four"), "other", 4), None));
    assert_eq!(actions, [Action::AskLeader]);
    let (lagging, _) = step(lagging, leader(50, 0));
    let (same, actions) = step(lagging, read(tail(50, link(1, 5, "five"), "other", 5), None));
    assert_eq!((same, actions), (idle, Vec::new()), "what was read is kept");
}

#[test]
fn lane_restored_continues_when_the_seen_chunk_is_back() {
    let signed = |head: &str| ReceiptFrontier {
        epoch: 1,
        to: 5,
        head: Some(digest(head)),
    };
    let (stopped, _) = proven(doubt(), &read(tail(40, link(1, 4, "four"), "me", 4), None));
    let begin = || step(stopped.clone(), Event::Begin).0;
    let five = || tail(50, link(1, 5, "five"), "other", 5);
    let (_, actions) = step(begin(), read(five(), Some(signed("another five"))));
    assert!(actions.is_empty(), "the receipt does not fit");
    let (_, actions) = step(
        begin(),
        read(tail(50, link(1, 5, "another five"), "other", 5), None),
    );
    assert!(actions.is_empty(), "another chunk");
    let (_, actions) = step(begin(), read(five(), Some(signed("five"))));
    assert_eq!(actions, [Action::ReadFrom(cursor(5))]);
}

/// Regression: after a restart the stop was lifted at each check, and proven again for some seconds.
#[test]
fn lane_restored_stays_stopped_after_a_restart() {
    let signed = |epoch, to| ReceiptFrontier {
        epoch,
        to,
        head: None,
    };
    let old = read(tail(40, link(3, 6, "six"), "other", 6), Some(signed(3, 7)));
    let (stopped, _) = proven(lane(), &old);
    assert_eq!(stopped.stopped(), Some(&StopReason::Restored));
    let (stopped, _) = step(stopped, Event::Begin);
    let (stopped, actions) = step(stopped, old);
    assert!(actions.is_empty(), "{actions:?}");
    assert_eq!(stopped.stopped(), Some(&StopReason::Restored));
    // A new epoch lifts it.
    let (stopped, _) = step(stopped, Event::Begin);
    let opened = read(tail(41, link(4, 1, "opening"), "operator", 6), Some(signed(3, 7)));
    let (lane, actions) = step(stopped, opened);
    assert_eq!(actions, [Action::ReadFrom(cursor(6))]);
    assert_eq!(lane.stopped(), None);
}

#[test]
fn lane_check_keeps_unchanged_lane_and_stops_restored_one() {
    let (idle, _) = step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None));
    let (checking, actions) = step(idle.clone(), Event::Check);
    assert_eq!(actions, [Action::ReadTail { backed_off: false }]);
    assert_eq!(checking.next_position(), idle.next_position());
    let (same, actions) = step(
        checking.clone(),
        read(tail(50, link(1, 5, "five"), "other", 5), None),
    );
    assert_eq!((same, actions), (idle, Vec::new()));
    // Restored to before an opening that the receiver has acknowledged.
    let signed = ReceiptFrontier {
        epoch: 2,
        to: 7,
        head: None,
    };
    let (lane, _) = proven(
        checking,
        &read(tail(50, link(1, 5, "five"), "other", 5), Some(signed)),
    );
    assert_eq!(lane.stopped(), Some(&StopReason::Restored));
}

#[test]
fn lane_changed_source_stops_it_until_a_new_epoch() {
    for lane in [
        step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None)).0,
        in_flight(),
    ] {
        let what = || Event::SourceChanged("another file".into());
        let (stopped, actions) = step(lane, what());
        let reason = StopReason::SourceChanged("another file".into());
        assert_eq!(actions, [Action::Stop(reason.clone())]);
        // A recheck does not lift the stop, and earlier reads are void.
        let (stopped, _) = step(stopped, Event::Begin);
        let (stopped, _) = step(stopped, read(tail(51, link(1, 5, "five"), "other", 5), None));
        let (stopped, actions) = step(stopped, what());
        assert_eq!((stopped.stopped(), actions), (Some(&reason), Vec::new()));
        let (_, actions) = step(
            stopped,
            read(tail(52, link(2, 1, "opening"), "operator", 5), None),
        );
        assert_eq!(actions, [Action::ReadFrom(cursor(5))]);
    }
}

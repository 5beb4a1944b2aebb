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

fn read(tail: Option<Tail>, receipt: Option<Signed>) -> Event {
    Event::TailRead { tail, receipt }
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
        Event::Ready(Offer {
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
fn an_empty_lane_begins_with_number_one() {
    let (lane, actions) = step(lane(), read(None, None));
    assert_eq!(actions, [Action::ReadFrom(None)]);
    assert_eq!(
        lane.next_place(),
        Some(Place {
            epoch: 1,
            number: 1,
            previous: None
        })
    );
}

#[test]
fn the_next_place_is_behind_the_chunk_in_flight() {
    let lane = in_flight();
    assert_eq!(
        lane.next_place(),
        Some(Place {
            epoch: 1,
            number: 7,
            previous: Some(digest("six"))
        })
    );
    let (same, actions) = step(
        lane.clone(),
        Event::Ready(Offer {
            link: link(1, 7, "seven"),
            cursor: None,
        }),
    );
    assert_eq!((same, actions), (lane, Vec::new()), "two chunks in flight");
}

#[test]
fn a_lost_acknowledgement_is_told_by_instance_and_digest() {
    let (lane, actions) = step(doubt(), read(tail(60, link(1, 6, "six"), "me", 6), None));
    assert_eq!(actions, [Action::Stored]);
    assert_eq!(lane.last(), Some(link(1, 6, "six")));
}

#[test]
fn what_was_not_stored_is_sent_again_with_the_same_expectation() {
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
fn a_lost_race_adopts_the_tail_and_drops_the_pending_chunk() {
    let (conflict, actions) = step(in_flight(), Event::Conflict);
    assert_eq!(actions, [Action::ReadTail { backed_off: false }]);
    let (lane, actions) = step(conflict, read(tail(61, link(1, 6, "theirs"), "other", 9), None));
    assert_eq!(actions, [Action::ReadFrom(cursor(9))]);
    assert_eq!(lane.next_place().unwrap().previous, Some(digest("theirs")));
}

#[test]
fn a_tail_behind_what_was_acknowledged_stops_the_lane_until_a_new_epoch() {
    let (lane, actions) = step(doubt(), read(tail(40, link(1, 4, "four"), "me", 4), None));
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
fn an_emptied_or_replaced_tail_stops_the_lane() {
    for (tail, receipt) in [
        (None, None),
        (tail(50, link(1, 5, "another five"), "other", 5), None),
        (
            tail(50, link(1, 5, "five"), "other", 5),
            Some(Signed {
                epoch: 1,
                to: 6,
                head: None,
            }),
        ),
        (
            tail(50, link(1, 5, "five"), "other", 5),
            Some(Signed {
                epoch: 1,
                to: 5,
                head: Some(digest("another five")),
            }),
        ),
    ] {
        let (lane, _) = step(doubt(), read(tail, receipt));
        assert_eq!(lane.stopped(), Some(&StopReason::Restored));
    }
}

#[test]
fn a_receipt_of_an_older_epoch_is_not_ahead_of_an_opening() {
    let signed = Signed {
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
fn another_definition_refuses_and_names_the_way_out() {
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
fn a_full_or_unreachable_exchange_is_tried_again_and_a_denial_stops() {
    for kind in [ErrorKind::Full, ErrorKind::Unreachable] {
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
fn a_lost_lease_forgets_the_chunk_in_flight_but_not_what_was_seen() {
    let (lane, actions) = step(in_flight(), Event::LeaseLost);
    assert!(actions.is_empty() && lane.next_place().is_none());
    let (lane, actions) = step(lane, Event::Acked { sequence: 60 });
    assert!(actions.is_empty(), "a late answer counts for nothing");
    let (lane, _) = step(lane, Event::Begin);
    let (lane, _) = step(lane, read(tail(40, link(1, 4, "four"), "me", 4), None));
    assert_eq!(lane.stopped(), Some(&StopReason::Restored));
}

#[test]
fn a_look_that_finds_nothing_new_drops_nothing_and_one_that_finds_a_restore_stops() {
    let (idle, _) = step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None));
    let (checking, actions) = step(idle.clone(), Event::Check);
    assert_eq!(actions, [Action::ReadTail { backed_off: false }]);
    assert_eq!(checking.next_place(), idle.next_place());
    let (same, actions) = step(
        checking.clone(),
        read(tail(50, link(1, 5, "five"), "other", 5), None),
    );
    assert_eq!((same, actions), (idle, Vec::new()));
    // Restored to before an opening that the receiver has long signed for.
    let signed = Signed {
        epoch: 2,
        to: 7,
        head: None,
    };
    let (lane, _) = step(
        checking,
        read(tail(50, link(1, 5, "five"), "other", 5), Some(signed)),
    );
    assert_eq!(lane.stopped(), Some(&StopReason::Restored));
}

#[test]
fn source_that_changed_stops_the_lane_until_a_new_epoch() {
    for lane in [
        step(lane(), read(tail(50, link(1, 5, "five"), "other", 5), None)).0,
        in_flight(),
    ] {
        let what = || Event::SourceChanged("another file".into());
        let (stopped, actions) = step(lane, what());
        let reason = StopReason::SourceChanged("another file".into());
        assert_eq!(actions, [Action::Stop(reason.clone())]);
        // Looking again lifts nothing, and what was read for it before is void.
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

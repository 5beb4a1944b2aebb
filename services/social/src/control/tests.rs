//! Which orders are accepted from the exchange, and their effect.

use bytes::Bytes;
use exchange::Stored;
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::digest::Digest;
use schemas::envelope::Envelope;

use super::*;

/// Takes the head of these messages.
fn take(
    state: &mut OrdersInForce,
    record_tracker: &RecordTracker,
    messages: &[Stored],
    key: &SigningKey,
) -> Result<(), OrdersError> {
    let head = control_head::fold(messages, &"bureau".parse().unwrap(), &[key.public().clone()]);
    state.take(head, record_tracker, at(0))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

fn order(id: &str, action: Action, expires: Option<i64>) -> Order {
    Order {
        id: id.into(),
        scope: "gate.core".into(),
        action: AnyAction::Known(action),
        actor: "li.na".into(),
        reason: "year end".into(),
        given_at: at(0),
        expires: expires.map(at),
    }
}

fn stored(sequence: u64, number: u64, orders: Vec<Order>, newest: Order, key: &SigningKey) -> Stored {
    let control = Control {
        party: "bureau".parse().unwrap(),
        number,
        previous: None,
        skips: None,
        newest,
        orders,
        at: at(0),
        key: key.public().clone(),
    };
    let envelope = Envelope::sign(&control, Vec::new(), key).unwrap();
    Stored {
        subject: "control.bureau".into(),
        sequence,
        stored_at: at(0),
        trace: None,
        bytes: Bytes::from(envelope.encode().unwrap()),
    }
}

#[test]
fn control_pause_is_obeyed_expires_and_is_audited() {
    let (key, record_tracker) = (SigningKey::generate(), RecordTracker::default());
    let mut state = OrdersInForce::default();
    assert!(!state.is_read, "unread orders are not an empty list");
    let pause = order("p", Action::Pause, Some(60));
    let record = stored(7, 1, vec![pause.clone()], pause, &key);
    take(&mut state, &record_tracker, &[record], &key).unwrap();
    let (orders, events) = state.fold("gate.core", at(1));
    assert!(orders.paused(at(1)).is_some());
    assert_eq!(events[0].action, "gate.pause.begins");
    assert!(
        state.fold("gate.core", at(2)).1.is_empty(),
        "an event is recorded once"
    );
    let (orders, events) = state.fold("gate.core", at(60));
    assert_eq!(
        (orders, events[0].action.as_str()),
        (Orders::default(), "gate.pause.ends")
    );
    assert_eq!(events[0].detail["cause"], "expired");
}

#[test]
fn control_forged_or_older_message_keeps_the_orders() {
    let (key, other, record_tracker) = (
        SigningKey::generate(),
        SigningKey::generate(),
        RecordTracker::default(),
    );
    let mut state = OrdersInForce::default();
    let (pause, resume) = (order("p", Action::Pause, None), order("r", Action::Resume, None));
    let mut messages = vec![stored(1, 1, Vec::new(), resume.clone(), &other)];
    let refused = take(&mut state, &record_tracker, &messages, &key);
    assert!(matches!(refused, Err(OrdersError::Refused(_))), "{refused:?}");
    assert!(!state.is_read, "a forged record must not open the gate");
    messages.push(stored(6, 5, vec![pause.clone()], pause, &key));
    take(&mut state, &record_tracker, &messages, &key).unwrap();
    for message in [
        stored(7, 6, Vec::new(), resume.clone(), &other),
        stored(8, 4, Vec::new(), resume.clone(), &key),
    ] {
        messages.push(message);
        let refused = take(&mut state, &record_tracker, &messages, &key);
        assert!(matches!(refused, Err(OrdersError::Refused(_))), "{refused:?}");
        assert_eq!(record_tracker.status().state, "in force");
    }
    assert!(state.fold("gate.core", at(9)).0.pause.is_some());
    messages.push(stored(9, 6, Vec::new(), resume, &key));
    take(&mut state, &record_tracker, &messages, &key).unwrap();
    let (orders, events) = state.fold("gate.core", at(9));
    assert_eq!(
        (orders, events[0].detail["cause"].as_str()),
        (Orders::default(), "order r")
    );
}

/// Restored, truncated, rewritten, or not the record that a message names.
#[test]
fn control_lost_record_is_behind_however_it_was_lost() {
    let key = SigningKey::generate();
    let pause = || order("p", Action::Pause, None);
    let record = |sequence, number, reason: &str| {
        let mut newest = pause();
        newest.reason = reason.into();
        stored(sequence, number, vec![newest.clone()], newest, &key)
    };
    let (first, second) = (record(1, 1, "first"), record(2, 2, "second"));
    let both = [first.clone(), second.clone()];
    let lost: [&[Stored]; 4] = [
        &[],
        std::slice::from_ref(&first),
        &[first.clone(), record(2, 2, "rewritten")],
        &[
            first.clone(),
            record(2, 2, "rewritten"),
            record(3, 3, "and overtaken"),
        ],
    ];
    for (case, left) in lost.into_iter().enumerate() {
        // By an agent that saw it, and by one that was started afterwards and finds it named.
        for saw_it in [true, false] {
            let (mut state, record_tracker) = (OrdersInForce::default(), RecordTracker::default());
            if saw_it {
                take(&mut state, &record_tracker, &both, &key).unwrap();
            } else {
                let digest = Envelope::decode(&second.bytes).unwrap().digest();
                record_tracker.observe(RecordRef { number: 2, digest }, || "a lease".into());
            }
            let behind = take(&mut state, &record_tracker, left, &key);
            assert!(
                matches!(behind, Err(OrdersError::Behind(_))),
                "case {case}: {behind:?}"
            );
            take(&mut state, &record_tracker, &both, &key).unwrap();
            assert_eq!(record_tracker.status().state, "in force", "case {case}");
        }
    }
    let never = RecordRef {
        number: 1,
        digest: Digest::of(&[b"another record 1"]),
    };
    let (mut state, record_tracker) = (OrdersInForce::default(), RecordTracker::default());
    record_tracker.observe(never, || "the file".into());
    assert!(matches!(
        take(&mut state, &record_tracker, &both, &key),
        Err(OrdersError::Behind(_))
    ));
}

#[test]
fn control_other_gate_and_unknown_kind_are_not_obeyed() {
    let (key, record_tracker) = (SigningKey::generate(), RecordTracker::default());
    let mut elsewhere = order("e", Action::Pause, None);
    elsewhere.scope = "gate.other".into();
    let mut later = order("l", Action::Pause, None);
    later.action = AnyAction::Other([("kind".to_owned(), "hold".into())].into());
    let mut state = OrdersInForce::default();
    let limit = order("m", Action::Limit { duty_milli: 200 }, None);
    let record = stored(1, 1, vec![elsewhere, later, limit.clone()], limit, &key);
    take(&mut state, &record_tracker, &[record], &key).unwrap();
    let (orders, events) = state.fold("gate.core", at(1));
    assert!(orders.pause.is_none() && orders.max_duty.is_some_and(|(most, _)| (most - 0.2).abs() < 1e-9));
    assert_eq!(events.len(), 1);
}

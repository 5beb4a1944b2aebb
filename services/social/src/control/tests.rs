//! What is believed of the exchange, and what follows from it.

use bytes::Bytes;
use exchange::Stored;
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::digest::Digest;
use schemas::envelope::Envelope;

use super::*;

/// Takes the head of these messages.
fn take(known: &mut Known, witness: &Witness, messages: &[Stored], key: &SigningKey) -> Result<(), Trouble> {
    let head = control_head::fold(messages, &"bureau".parse().unwrap(), &[key.public().clone()]);
    known.take(head, witness, at(0))
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
    let envelope = Envelope::seal(&control, Vec::new(), key).unwrap();
    Stored {
        subject: "control.bureau".into(),
        sequence,
        stored_at: at(0),
        bytes: Bytes::from(envelope.encode().unwrap()),
    }
}

#[test]
fn a_pause_is_obeyed_ends_by_itself_and_each_change_is_an_act() {
    let (key, witness) = (SigningKey::generate(), Witness::default());
    let mut known = Known::default();
    assert!(!known.is_read, "orders that nobody read are not none");
    let pause = order("p", Action::Pause, Some(60));
    let record = stored(7, 1, vec![pause.clone()], pause, &key);
    take(&mut known, &witness, &[record], &key).unwrap();
    let (orders, acts) = known.fold("gate.core", at(1));
    assert!(orders.paused(at(1)).is_some());
    assert_eq!(acts[0].action, "gate.pause.begins");
    assert!(
        known.fold("gate.core", at(2)).1.is_empty(),
        "an act is noted once"
    );
    let (orders, acts) = known.fold("gate.core", at(60));
    assert_eq!(
        (orders, acts[0].action.as_str()),
        (Orders::default(), "gate.pause.ends")
    );
    assert_eq!(acts[0].detail["cause"], "its time is over");
}

#[test]
fn control_forged_or_older_message_leaves_the_orders_as_they_were() {
    let (key, other, witness) = (SigningKey::generate(), SigningKey::generate(), Witness::default());
    let mut known = Known::default();
    let (pause, resume) = (order("p", Action::Pause, None), order("r", Action::Resume, None));
    let mut messages = vec![stored(1, 1, Vec::new(), resume.clone(), &other)];
    let refused = take(&mut known, &witness, &messages, &key);
    assert!(matches!(refused, Err(Trouble::Refused(_))), "{refused:?}");
    assert!(!known.is_read, "a forged record must not open the gate");
    messages.push(stored(6, 5, vec![pause.clone()], pause, &key));
    take(&mut known, &witness, &messages, &key).unwrap();
    for message in [
        stored(7, 6, Vec::new(), resume.clone(), &other),
        stored(8, 4, Vec::new(), resume.clone(), &key),
    ] {
        messages.push(message);
        let refused = take(&mut known, &witness, &messages, &key);
        assert!(matches!(refused, Err(Trouble::Refused(_))), "{refused:?}");
        assert_eq!(witness.status().state, "in force");
    }
    assert!(known.fold("gate.core", at(9)).0.pause.is_some());
    messages.push(stored(9, 6, Vec::new(), resume, &key));
    take(&mut known, &witness, &messages, &key).unwrap();
    let (orders, acts) = known.fold("gate.core", at(9));
    assert_eq!(
        (orders, acts[0].detail["cause"].as_str()),
        (Orders::default(), "order r")
    );
}

/// Restored, cut off, rewritten, or not the record that something names.
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
            let (mut known, witness) = (Known::default(), Witness::default());
            if saw_it {
                take(&mut known, &witness, &both, &key).unwrap();
            } else {
                let digest = Envelope::decode(&second.bytes).unwrap().digest();
                witness.see(Mark { number: 2, digest }, || "a lease".into());
            }
            let behind = take(&mut known, &witness, left, &key);
            assert!(
                matches!(behind, Err(Trouble::Behind(_))),
                "case {case}: {behind:?}"
            );
            take(&mut known, &witness, &both, &key).unwrap();
            assert_eq!(witness.status().state, "in force", "case {case}");
        }
    }
    let never = Mark {
        number: 1,
        digest: Digest::of(&[b"another record 1"]),
    };
    let (mut known, witness) = (Known::default(), Witness::default());
    witness.see(never, || "the file".into());
    assert!(matches!(
        take(&mut known, &witness, &both, &key),
        Err(Trouble::Behind(_))
    ));
}

#[test]
fn another_gates_order_and_a_later_kind_bind_nobody_here() {
    let (key, witness) = (SigningKey::generate(), Witness::default());
    let mut elsewhere = order("e", Action::Pause, None);
    elsewhere.scope = "gate.other".into();
    let mut later = order("l", Action::Pause, None);
    later.action = AnyAction::Other([("kind".to_owned(), "hold".into())].into());
    let mut known = Known::default();
    let limit = order("m", Action::Limit { duty_milli: 200 }, None);
    let record = stored(1, 1, vec![elsewhere, later, limit.clone()], limit, &key);
    take(&mut known, &witness, &[record], &key).unwrap();
    let (orders, acts) = known.fold("gate.core", at(1));
    assert!(orders.pause.is_none() && orders.most.is_some_and(|(most, _)| (most - 0.2).abs() < 1e-9));
    assert_eq!(acts.len(), 1);
}

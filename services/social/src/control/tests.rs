//! What is believed of the exchange, and what follows from it.

use bytes::Bytes;
use schemas::envelope::Envelope;

use super::*;

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
    let (key, bureau) = (SigningKey::generate(), "bureau".parse().unwrap());
    let trusted = [key.public().clone()];
    let mut known = Known::default();
    assert!(!known.is_read, "orders that nobody read are not none");
    let pause = order("p", Action::Pause, Some(60));
    let record = stored(7, 1, vec![pause.clone()], pause, &key);
    known.take(Some(&record), &bureau, &trusted).unwrap();
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
fn a_forged_an_older_and_a_lost_record_leave_the_orders_as_they_were() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let (bureau, trusted) = ("bureau".parse().unwrap(), [key.public().clone()]);
    let mut known = Known::default();
    let (pause, resume) = (order("p", Action::Pause, None), order("r", Action::Resume, None));
    let forged = stored(1, 1, Vec::new(), resume.clone(), &other);
    assert!(known.take(Some(&forged), &bureau, &trusted).is_err());
    assert!(!known.is_read, "a forged record must not open the gate");
    let record = stored(2, 5, vec![pause.clone()], pause, &key);
    known.take(Some(&record), &bureau, &trusted).unwrap();
    let forged = stored(3, 6, Vec::new(), resume.clone(), &other);
    assert!(known.take(Some(&forged), &bureau, &trusted).is_err());
    let old = stored(4, 4, Vec::new(), resume.clone(), &key);
    assert!(known.take(Some(&old), &bureau, &trusted).is_err());
    assert!(known.take(None, &bureau, &trusted).is_err());
    assert!(known.fold("gate.core", at(9)).0.pause.is_some());
    let resumed = stored(5, 6, Vec::new(), resume, &key);
    known.take(Some(&resumed), &bureau, &trusted).unwrap();
    let (orders, acts) = known.fold("gate.core", at(9));
    assert_eq!(
        (orders, acts[0].detail["cause"].as_str()),
        (Orders::default(), "order r")
    );
}

#[test]
fn another_gates_order_and_a_later_kind_bind_nobody_here() {
    let (key, bureau) = (SigningKey::generate(), "bureau".parse().unwrap());
    let mut elsewhere = order("e", Action::Pause, None);
    elsewhere.scope = "gate.other".into();
    let mut later = order("l", Action::Pause, None);
    later.action = AnyAction::Other([("kind".to_owned(), "hold".into())].into());
    let mut known = Known::default();
    let limit = order("m", Action::Limit { duty_milli: 200 }, None);
    let record = stored(1, 1, vec![elsewhere, later, limit.clone()], limit, &key);
    known
        .take(Some(&record), &bureau, &[key.public().clone()])
        .unwrap();
    let (orders, acts) = known.fold("gate.core", at(1));
    assert!(orders.pause.is_none() && orders.most.is_some_and(|(most, _)| (most - 0.2).abs() < 1e-9));
    assert_eq!(acts.len(), 1);
}

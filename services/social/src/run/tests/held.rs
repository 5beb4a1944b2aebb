//! Holds on the whole agent.

use schemas::control::Hold;
use schemas::person::PersonKey;
use tokio::sync::watch;

use super::*;
use crate::hold::{Holds, InForce};

fn hold(recipients: &[&str], person: Option<(&SigningKey, &str)>) -> Holds {
    Holds::Known(vec![InForce {
        id: "h1".into(),
        hold: Hold {
            recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
            feeds: Vec::new(),
            person: person.map(|(key, id)| PersonKey::of(key).unwrap().mark(id)),
        },
        actor: "li.na".into(),
        reason: "court order".into(),
        until: None,
    }])
}

fn holding(holds: Holds) -> (watch::Sender<Holds>, Holding) {
    let (sender, holds) = watch::channel(holds);
    let persons = BTreeMap::from([(FeedName::new("numbers").unwrap(), "id".to_owned())]);
    (sender, Holding { holds, persons })
}

fn ids(chunks: &[chunk::Verified]) -> Vec<i64> {
    let mut ids = Vec::new();
    for chunk in chunks {
        let (mut reader, mut row) = (chunk.rows(), Vec::new());
        while reader.next_into(&mut row).unwrap() {
            if let Value::Int(id) = row[0] {
                ids.push(id);
            }
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_person_crosses_to_nobody_it_names_and_is_counted_aloud() {
    let exchange = Arc::new(Memory::default());
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let [a, b] = [&lanes()[0], &lanes()[1]].map(Clone::clone);
    let (_holds, holding) = holding(hold(&[a.recipient.as_str()], Some((&key, "777"))));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 3_000, &reads))
        .unwrap()
        .holding(holding);
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    let rows = |lane: &Lane| {
        let chunks = exchange.chunks(lane, key.public());
        chunks
            .iter()
            .map(|chunk| chunk.manifest.totals.rows + chunk.manifest.totals.withheld)
            .sum::<u64>()
    };
    until(|| rows(&a) >= 3_000 && rows(&b) >= 3_000).await;
    let (to_a, to_b) = (
        exchange.chunks(&a, key.public()),
        exchange.chunks(&b, key.public()),
    );
    assert!(!ids(&to_a).contains(&777), "the person crossed");
    assert_eq!((ids(&to_a).len(), ids(&to_b).len()), (2_999, 3_000));
    assert_eq!(
        to_a.iter()
            .map(|chunk| chunk.manifest.totals.withheld)
            .sum::<u64>(),
        1
    );
    let last = &to_a.last().unwrap().manifest.totals.held_back["h1"];
    let first = to_a
        .iter()
        .find(|chunk| chunk.manifest.totals.withheld > 0)
        .unwrap();
    assert_eq!(
        (last.epoch, last.number, last.rows),
        (1, first.manifest.number, 1)
    );
    assert_eq!(last.cursor, first.manifest.cursor_before);
    let told = || {
        let mut lanes = view.status().lanes;
        // A time may hold any three digits.
        lanes.values_mut().for_each(|lane| lane.published_at = None);
        format!("{lanes:?}")
    };
    until(|| told().contains("withheld: 1")).await;
    assert!(!told().contains("777"), "{}", told());
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_lane_publishes_nothing_and_goes_on_where_it_stood() {
    let exchange = Arc::new(Memory::default());
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let [a, b] = [&lanes()[0], &lanes()[1]].map(Clone::clone);
    let (holds, holding) = holding(Holds::Unread("nobody read them".into()));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 20_000, &reads))
        .unwrap()
        .holding(holding);
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    let held = |lane: &Lane| {
        view.status()
            .lanes
            .get(&lane.to_string())
            .and_then(|lane| lane.held.clone())
    };
    until(|| {
        lanes()
            .iter()
            .all(|lane| held(lane).is_some_and(|why| why.contains("nobody read them")))
    })
    .await;
    assert_eq!(
        *exchange.publishes.lock().unwrap(),
        0,
        "published before orders were read"
    );
    holds.send_replace(hold(&[a.recipient.as_str()], None));
    until(|| ids(&exchange.chunks(&b, key.public())).len() >= 20_000).await;
    assert!(
        exchange.chunks(&a, key.public()).is_empty(),
        "a held lane published"
    );
    assert!(held(&a).is_some_and(|why| why.contains("li.na: court order")));
    // In the middle of things, too.
    holds.send_replace(Holds::Known(Vec::new()));
    until(|| !exchange.chunks(&a, key.public()).is_empty()).await;
    holds.send_replace(hold(&[a.recipient.as_str()], None));
    until(|| held(&a).is_some()).await;
    let before = exchange.chunks(&a, key.public()).len();
    let turns = view.status().feeds["numbers"].quanta;
    until(|| {
        exchange.chunks(&a, key.public()).len() > before || view.status().feeds["numbers"].quanta > turns + 3
    })
    .await;
    assert_eq!(
        exchange.chunks(&a, key.public()).len(),
        before,
        "a chunk that was read already was published"
    );
    holds.send_replace(Holds::Known(Vec::new()));
    all_published(&exchange, &key, 20_000).await;
    lanes()
        .iter()
        .for_each(|lane| check_chain(&exchange.chunks(lane, key.public()), 20_000));
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

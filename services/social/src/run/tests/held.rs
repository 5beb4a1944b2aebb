//! Holds in the whole agent.

use schemas::control::Hold;
use schemas::person::PersonKey;
use tokio::sync::watch;

use super::*;
use disclosure::hold::{ActiveHold, Holds};

fn hold(recipients: &[&str], person: Option<(&SigningKey, &str)>) -> Holds {
    Holds::Known(vec![ActiveHold {
        id: "h1".into(),
        hold: Hold {
            recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
            feeds: Vec::new(),
            person: person.map(|(key, id)| PersonKey::of(key).unwrap().token(id)),
        },
        actor: "li.na".into(),
        reason: "court order".into(),
        until: None,
    }])
}

fn holding(holds: Holds) -> (watch::Sender<Holds>, HoldConfig) {
    let (sender, holds) = watch::channel(holds);
    let persons = BTreeMap::from([(FeedName::new("numbers").unwrap(), "id".to_owned())]);
    (sender, HoldConfig { holds, persons })
}

fn ids(chunks: &[chunk::VerifiedChunk]) -> Vec<i64> {
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
async fn hold_person_is_withheld_from_named_recipients_and_counted() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let [a, b] = [&lanes()[0], &lanes()[1]].map(Clone::clone);
    let (_holds, holding) = holding(hold(&[a.recipient.as_str()], Some((&key, "777"))));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 3_000, &reads))
        .unwrap()
        .with_holds(holding);
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    let rows = |lane: &Lane| {
        let chunks = exchange.chunks(lane, key.public());
        chunks
            .iter()
            .map(|chunk| chunk.manifest.content.totals.rows + chunk.manifest.content.totals.withheld)
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
            .map(|chunk| chunk.manifest.content.totals.withheld)
            .sum::<u64>(),
        1
    );
    let last = &to_a.last().unwrap().manifest.content.totals.outstanding["h1"];
    let first = to_a
        .iter()
        .find(|chunk| chunk.manifest.content.totals.withheld > 0)
        .unwrap();
    assert_eq!(
        (last.epoch, last.number, last.rows),
        (1, first.manifest.number, 1)
    );
    assert_eq!(last.cursor, first.manifest.cursor_before);
    let shown = || {
        let mut lanes = view.status().lanes;
        // A time may hold any three digits.
        lanes.values_mut().for_each(|lane| lane.published_at = None);
        format!("{lanes:?}")
    };
    until(|| shown().contains("withheld: 1")).await;
    assert!(!shown().contains("777"), "{}", shown());
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocklist_persons_are_withheld_from_all_and_counted() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let [a, b] = [&lanes()[0], &lanes()[1]].map(Clone::clone);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocklist");
    let write = |persons: &[i64]| {
        let lines: String = persons.iter().map(|person| format!("PSN,{person}\n")).collect();
        let text = format!(
            "HDR,slacktide-blocklist,1,2026-01-31\n{lines}TRL,{}\n",
            persons.len()
        );
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
    };
    write(&[5]);
    let persons = Arc::new(PersonKey::of(&key).unwrap());
    let keeper = crate::blocklist::Keeper::start(path.clone(), persons).unwrap();
    let (gate, script) = Gate::scripted();
    script.close("the core is busy");
    let (_holds, holding) = holding(hold(&[a.recipient.as_str()], Some((&key, "779"))));
    let social = Social::new(parts(&exchange, &key, gate, 3_000, &reads)).unwrap();
    let social = social.with_holds(holding).with_blocklist(keeper);
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    // Replaced before anything is read: the old list kept nothing back and the new one does.
    until(|| view.status().feeds["numbers"].state == "waiting for the gate").await;
    write(&[777, 778]);
    until(|| view.status().blocklist.is_some_and(|list| list.persons == 2)).await;
    script.open();
    let crossed = |lane: &Lane| {
        let chunks = exchange.chunks(lane, key.public());
        let of = |chunk: &chunk::VerifiedChunk| {
            chunk.manifest.content.totals.rows + chunk.manifest.content.totals.withheld
        };
        chunks.iter().map(of).sum::<u64>()
    };
    until(|| crossed(&a) >= 3_000 && crossed(&b) >= 3_000).await;
    for (lane, held) in [(&a, Some(1)), (&b, None)] {
        let chunks = exchange.chunks(lane, key.public());
        let ids = ids(&chunks);
        assert!(
            !ids.contains(&777) && !ids.contains(&778),
            "{lane}: the person crossed"
        );
        assert_eq!(ids.contains(&779), held.is_none(), "{lane}");
        let back = &chunks.last().unwrap().manifest.content.totals.outstanding;
        assert_eq!(back[disclosure::blocklist::BLOCKLIST_ID].rows, 2);
        assert_eq!(back.get("h1").map(|back| back.rows), held);
    }
    until(|| {
        view.status()
            .lanes
            .values()
            .map(|lane| lane.withheld)
            .sum::<u64>()
            == 5
    })
    .await;
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_lane_publishes_nothing_and_continues_after_release() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let [a, b] = [&lanes()[0], &lanes()[1]].map(Clone::clone);
    let (holds, holding) = holding(Holds::Unread("not read yet".into()));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 20_000, &reads))
        .unwrap()
        .with_holds(holding);
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
            .all(|lane| held(lane).is_some_and(|why| why.contains("not read yet")))
    })
    .await;
    assert_eq!(
        exchange.stored_messages(Stream::Data).len(),
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
    let gate_queue = view.status().feeds["numbers"].quanta;
    until(|| {
        exchange.chunks(&a, key.public()).len() > before
            || view.status().feeds["numbers"].quanta > gate_queue + 3
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

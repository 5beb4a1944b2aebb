//! Thousands of requests of two insurers while feeds run, the business writes and the gate opens and shuts.
//!
//! `FLOW_REQUESTS` makes it as large as wanted; 10,000 is what a release is tried with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::port::Stream;
use harness::{Db, until_still};
use schemas::cursor::Scalar;
use schemas::part::Part;
use schemas::reply::{Outcome, Reply};
use schemas::request::Request;

use super::office::{INSURERS, Office, payload};
use super::wishes::{Due, Wish, wish};
use crate::gates::BY_FILE;
use crate::path::site::{PATIENCE, yielded};

/// Rows that nobody asks about, so that what is asked stays the same.
async fn business(core: Db, stop: Arc<AtomicBool>) {
    let session = core.connect().await;
    let mut next = 1_000_000_000_u64;
    while !stop.load(Ordering::Relaxed) {
        next += 20;
        let sql = format!(
            "INSERT INTO claim SELECT g, now(), 'q1', 'new', date '2027-01-01', 0.01, 'unsaid' \
             FROM generate_series({next}, {next} + 19) g; SELECT pg_sleep(0.01)"
        );
        session.batch_execute(&sql).await.unwrap();
    }
}

/// The business's load: it comes and goes.
async fn load(stop_file: std::path::PathBuf, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        for (shut, millis) in [(true, 700), (false, 2_300)] {
            if shut {
                fs::write(&stop_file, "").unwrap();
            } else {
                fs::remove_file(&stop_file).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_gets_exactly_one_outcome_and_the_answer_is_what_the_source_says() {
    let many = std::env::var("FLOW_REQUESTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(600_u32)
        / 2;
    let office = Office::start("every", 40_000, BY_FILE).await;
    let social = office.bureau().await;
    let agents = [
        office.commercial("insurer-a", "insurer-a-1"),
        office.commercial("insurer-a", "insurer-a-2"),
        office.commercial("insurer-b", "insurer-b-1"),
    ];
    for agent in &agents {
        agent
            .shows("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let disturbing = [
        tokio::spawn(business(office.core.clone(), Arc::clone(&stop))),
        tokio::spawn(load(office.file("stop"), Arc::clone(&stop))),
    ];
    let wishes: BTreeMap<&str, Vec<Wish>> = INSURERS
        .iter()
        .map(|insurer| (*insurer, (0..many).map(|n| wish(n, insurer)).collect()))
        .collect();
    // One insurer's program writes into the outbox, twice, as after a crash; the other's clerk hands in a file.
    for _ in 0..2 {
        office.a_writes(&wishes[INSURERS[0]]).await;
    }
    fs::write(office.file("requests.jsonl"), lines(&wishes[INSURERS[1]])).unwrap();
    for is_again in [false, true] {
        let (filed, told) = office
            .command(&[
                "request",
                "file",
                "--config",
                "insurer-b.toml",
                "--from",
                "requests.jsonl",
                "--actor",
                "clerk",
            ])
            .await;
        // Handed in again, some have their outcome already, and nothing is filed for them.
        let is_known = is_again && told.contains("which has its outcome");
        assert!(filed || is_known, "{told}");
    }

    office.until_stream(Stream::Confirms, 2 * many as usize).await;
    stop.store(true, Ordering::Relaxed);
    for disturbance in disturbing {
        disturbance.await.unwrap();
    }
    yielded(&social.status().await.unwrap());

    outcomes_are_due(&office, &wishes).await;
    answers_are_the_sources(&office).await;
    for insurer in INSURERS {
        until_still("the feed to be through as well", PATIENCE, async || {
            let fed = office.fed(insurer).await;
            if fed > 40_000 {
                Ok(())
            } else {
                Err(format!("{insurer} got {fed} rows"))
            }
        })
        .await;
    }
    social.stop().await;
    for agent in agents {
        agent.stop().await;
    }
}

fn lines(wishes: &[Wish]) -> String {
    let mut text = String::new();
    for wish in wishes {
        let line = serde_json::json!({
            "key": wish.key, "kind": wish.kind, "arguments": wish.arguments, "purpose": "01", "basis": wish.basis,
        });
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// One request for each key, one reply for each request, with the outcome that is due.
async fn outcomes_are_due(office: &Office, wishes: &BTreeMap<&str, Vec<Wish>>) {
    let due: BTreeMap<&str, &Wish> = wishes
        .values()
        .flatten()
        .map(|wish| (wish.key.as_str(), wish))
        .collect();
    let requests = office.stream(Stream::Requests).await;
    assert_eq!(requests.len(), due.len(), "filed twice is one request");
    let replies: BTreeMap<String, Reply> = office
        .stream(Stream::Replies)
        .await
        .iter()
        .map(payload::<Reply>)
        .map(|reply| (format!("{}.{}", reply.recipient, reply.id), reply))
        .collect();
    for stored in &requests {
        let request: Request = payload(stored);
        let wish = due[request.idempotency.as_deref().unwrap()];
        let reply = &replies[&format!("{}.{}", request.recipient, request.id)];
        match (&reply.outcome, wish.due) {
            (Outcome::Answered { .. } | Outcome::Empty, Due::Rows) => {
                assert!(
                    reply.load.is_some() && reply.read_from.is_some(),
                    "no evidence: {reply:?}"
                );
            }
            (Outcome::Refused { code, .. }, Due::Refused(wanted)) => {
                assert_eq!(code.as_str(), wanted, "{}", wish.key);
                assert!(reply.read_from.is_none(), "refused after a read: {reply:?}");
            }
            (outcome, due) => panic!("{}: {outcome:?} and not {due:?}", wish.key),
        }
    }
}

/// Each answer as a line, by request; made of the same columns by the core and by the insurer's database.
async fn answers_are_the_sources(office: &Office) {
    let core = office.core.connect().await;
    let mut stored: BTreeMap<String, String> = office.answers_of_a().await;
    stored.extend(office.answers_of_b());
    let mut rows = 0;
    for message in office.stream(Stream::Requests).await {
        let request: Request = payload(&message);
        let text = |name: &str| match &request.arguments[name] {
            Scalar::Text(text) => text.clone(),
            Scalar::Int(number) => number.to_string(),
        };
        let sql = match request.kind.as_str() {
            "claim.by_person" if request.basis == "01" => format!(
                "SELECT string_agg(concat_ws('|', id, day, amount), ',' ORDER BY id) FROM claim WHERE psn_no = '{}' \
                 AND day::text BETWEEN '{}' AND '{}'",
                text("psn_no"),
                text("from"),
                text("to")
            ),
            "claim.day" => format!(
                "SELECT concat_ws('|', day, count(*), sum(amount)) FROM claim WHERE day = '{}' GROUP BY day",
                text("day")
            ),
            "claim.over" if request.recipient.as_str() == INSURERS[0] => format!(
                "SELECT string_agg(concat_ws('|', id, day, amount), ',' ORDER BY id) FROM claim WHERE amount > {} AND id % {} = 0",
                text("amount"),
                text("each")
            ),
            _ => continue,
        };
        let key = format!("{}.{}", request.recipient, request.id);
        if matches!(wish_of(&request).due, Due::Refused(_)) {
            assert!(!stored.contains_key(&key), "rows of a refused request");
            continue;
        }
        let found = core.query_opt(&sql, &[]).await.unwrap();
        let expected: Option<String> = found.and_then(|row| row.get(0));
        assert_eq!(
            stored.remove(&key),
            expected,
            "{} of {}",
            request.kind,
            request.recipient
        );
        rows += 1;
    }
    assert!(
        rows > 10 && stored.is_empty(),
        "answers that nobody asked for: {stored:?}"
    );
    // Each part says when it was read.
    let parts = office.stream(Stream::Parts).await;
    assert!(!parts.is_empty());
    for part in parts.iter().map(payload::<Part>) {
        assert!(part.read_from <= part.read_to);
    }
}

fn wish_of(request: &Request) -> Wish {
    let key = request.idempotency.as_deref().unwrap();
    let (recipient, n) = key.rsplit_once('-').unwrap();
    wish(n.parse().unwrap(), recipient)
}

//! Thousands of requests of two insurers while feeds run, the business writes and the gate opens and closes.
//!
//! `FLOW_REQUESTS` sets the number; a release is tested with 10,000.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::port::Stream;
use harness::{Db, until_with_progress};
use schemas::cursor::Scalar;
use schemas::part::Part;
use schemas::reply::{Outcome, Reply};
use schemas::request::Request;

use super::cases::{Due, RequestCase, request_case};
use super::request_site::{INSURERS, RequestSite, payload};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{DEADLINE, assert_yielded};

/// Writes rows that no request asks for, so that the answers stay the same.
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

async fn load_core(stop_file: std::path::PathBuf, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        for (closed, millis) in [(true, 700), (false, 2_300)] {
            if closed {
                fs::write(&stop_file, "").unwrap();
            } else {
                fs::remove_file(&stop_file).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_gets_one_outcome_and_the_answer_of_the_source() {
    let many = std::env::var("FLOW_REQUESTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(600_u32)
        / 2;
    let request_site = RequestSite::start("every", 40_000, STOP_FILE_GATE).await;
    let social = request_site.bureau().await;
    let agents = [
        request_site.commercial("insurer-a", "insurer-a-1"),
        request_site.commercial("insurer-a", "insurer-a-2"),
        request_site.commercial("insurer-b", "insurer-b-1"),
    ];
    for agent in &agents {
        agent
            .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
            .await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let disturbing = [
        tokio::spawn(business(request_site.core.clone(), Arc::clone(&stop))),
        tokio::spawn(load_core(request_site.file("stop"), Arc::clone(&stop))),
    ];
    let cases: BTreeMap<&str, Vec<RequestCase>> = INSURERS
        .iter()
        .map(|insurer| (*insurer, (0..many).map(|n| request_case(n, insurer)).collect()))
        .collect();
    // One insurer's program writes into the outbox, twice, as after a crash; the other's clerk imports a file.
    for _ in 0..2 {
        request_site.write_outbox_of_a(&cases[INSURERS[0]]).await;
    }
    fs::write(
        request_site.file("requests.jsonl"),
        request_lines(&cases[INSURERS[1]]),
    )
    .unwrap();
    for is_again in [false, true] {
        let (filed, output) = request_site
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
        // Imported again, some have their outcome already, and nothing is filed for them.
        let is_known = is_again && output.contains("which has its outcome");
        assert!(filed || is_known, "{output}");
    }

    request_site
        .wait_stream(Stream::Confirms, 2 * many as usize)
        .await;
    stop.store(true, Ordering::Relaxed);
    for disturbance in disturbing {
        disturbance.await.unwrap();
    }
    assert_yielded(&social.status().await.unwrap());

    assert_outcomes(&request_site, &cases).await;
    assert_answers_equal_source(&request_site).await;
    for insurer in INSURERS {
        until_with_progress("the feed to be through as well", DEADLINE, async || {
            let rows = request_site.count_feed_rows(insurer).await;
            if rows > 40_000 {
                Ok(())
            } else {
                Err(format!("{insurer} got {rows} rows"))
            }
        })
        .await;
    }
    social.stop().await;
    for agent in agents {
        agent.stop().await;
    }
}

fn request_lines(cases: &[RequestCase]) -> String {
    let mut text = String::new();
    for request_case in cases {
        let line = serde_json::json!({
            "key": request_case.key, "kind": request_case.kind, "arguments": request_case.arguments, "purpose": "01", "basis": request_case.basis,
        });
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// Asserts one request for each key and one reply for each request, with the expected outcome.
async fn assert_outcomes(request_site: &RequestSite, cases: &BTreeMap<&str, Vec<RequestCase>>) {
    let due: BTreeMap<&str, &RequestCase> = cases
        .values()
        .flatten()
        .map(|request_case| (request_case.key.as_str(), request_case))
        .collect();
    let requests = request_site.stream(Stream::Requests).await;
    assert_eq!(requests.len(), due.len(), "filed twice is one request");
    let replies: BTreeMap<String, Reply> = request_site
        .stream(Stream::Replies)
        .await
        .iter()
        .map(payload::<Reply>)
        .map(|reply| (format!("{}.{}", reply.recipient, reply.id), reply))
        .collect();
    for stored in &requests {
        let request: Request = payload(stored);
        let request_case = due[request.idempotency.as_deref().unwrap()];
        let reply = &replies[&format!("{}.{}", request.recipient, request.id)];
        match (&reply.outcome, request_case.due) {
            (Outcome::Answered { .. } | Outcome::Empty, Due::Rows) => {
                assert!(
                    reply.load.is_some() && reply.read_from.is_some(),
                    "no evidence: {reply:?}"
                );
            }
            (Outcome::Refused { code, .. }, Due::Refused(wanted)) => {
                assert_eq!(code.as_str(), wanted, "{}", request_case.key);
                assert!(reply.read_from.is_none(), "refused after a read: {reply:?}");
            }
            (outcome, due) => panic!("{}: {outcome:?} and not {due:?}", request_case.key),
        }
    }
}

/// Asserts that each stored answer equals the rows of the core, compared as lines of the same columns.
async fn assert_answers_equal_source(request_site: &RequestSite) {
    let core = request_site.core.connect().await;
    let mut stored: BTreeMap<String, String> = request_site.answers_of_a().await;
    stored.extend(request_site.answers_of_b());
    let mut rows = 0;
    for message in request_site.stream(Stream::Requests).await {
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
        if matches!(case_of(&request).due, Due::Refused(_)) {
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
        "answers without a request: {stored:?}"
    );
    // Each part has the time of its read.
    let parts = request_site.stream(Stream::Parts).await;
    assert!(!parts.is_empty());
    for part in parts.iter().map(payload::<Part>) {
        assert!(part.content.read_from <= part.content.read_to);
    }
}

fn case_of(request: &Request) -> RequestCase {
    let key = request.idempotency.as_deref().unwrap();
    let (recipient, n) = key.rsplit_once('-').unwrap();
    request_case(n.parse().unwrap(), recipient)
}

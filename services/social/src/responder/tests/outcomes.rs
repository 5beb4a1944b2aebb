//! Each outcome, and the reads of the source for it.

use gate::Gate;
use jiff::{SignedDuration, Timestamp};
use requests::quota::Quota;
use schemas::approval::Decision;
use schemas::cursor::Scalar;
use schemas::load::GateState;
use schemas::progress::Waiting;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;
use schemas::sign::SigningKey;
use source::ErrorKind;

use super::fixture::{A, B, Fixture, kinds, name, signed, until};
use super::table_source::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_answered_empty_and_partial_are_distinct() {
    let fixture = Fixture::new(Table::of(120, &["p1", "p2"], 10));
    let agent = fixture.agent("core");
    let requests = [
        fixture.ask(A, "setl.by_person", Some("p1")).await,
        fixture.ask(A, "setl.by_person", Some("unknown")).await,
        fixture.ask(B, "setl.by_person", Some("p2")).await,
    ];
    let replies = fixture.outcomes(&requests).await;
    // Sixty rows are there, and the kind allows fifty.
    let Outcome::Partial { rows, reason, .. } = &replies[0].outcome else {
        panic!("{:?}", replies[0])
    };
    assert!(*rows == 50 && reason.contains("50 rows"), "{reason}");
    let even: Vec<i64> = (2..=100).step_by(2).collect();
    assert_eq!(fixture.ids(&requests[0], &replies[0]), even);
    assert_eq!(replies[1].outcome, Outcome::Empty);
    assert!(
        replies[1].load.is_some(),
        "that there is nothing was found out at the source"
    );
    let columns = |at: usize| -> Vec<String> {
        let parts = fixture.parts(&requests[at]);
        parts[0]
            .manifest
            .content
            .schema
            .columns
            .iter()
            .map(|c| c.name.clone())
            .collect()
    };
    assert_eq!(columns(0), ["id", "psn_no", "amount"]);
    assert_eq!(columns(2), ["id", "amount"]);
    let part = &fixture.parts(&requests[0])[0].manifest.content;
    assert_eq!(part.load.verdicts[0].state, GateState::Open);
    assert_eq!(part.totals.money["amount"], "2552.50");
    assert!(part.read_from <= part.read_to && replies[0].read_from.is_some());
    // The status is updated after the reply.
    until(|| {
        let requests = agent.view.status().requests;
        requests.is_some_and(|requests| requests.outcomes.get("partial") == Some(&2))
    })
    .await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_refused_request_reads_no_source() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    fixture.list(&["p9"]);
    let agent = fixture.agent("core");
    let table: [(&str, Option<&str>, RefusalCode); 5] = [
        ("setl.unknown", None, RefusalCode::UnknownKind),
        ("setl.by_person", None, RefusalCode::BadArgument),
        ("setl.by_person", Some(""), RefusalCode::BadArgument),
        ("setl.by_person", Some("p9"), RefusalCode::Blocked),
        ("setl.all", Some("p1"), RefusalCode::BadArgument),
    ];
    let mut requests = Vec::new();
    let mut codes = Vec::new();
    for (kind, person, code) in table {
        requests.push(fixture.ask(A, kind, person).await);
        codes.push(code);
    }
    requests.push(fixture.ask(B, "setl.all", None).await);
    codes.push(RefusalCode::NotPermitted);
    let mut other = fixture.request(A, "setl.by_person", Some("p1"));
    other.purpose = "99".to_owned();
    fixture.file(&other).await;
    requests.push(other);
    codes.push(RefusalCode::NoBasis);
    for (reply, code) in fixture.outcomes(&requests).await.iter().zip(codes) {
        let Outcome::Refused { code: last_state, .. } = &reply.outcome else {
            panic!("{reply:?}")
        };
        assert_eq!((last_state, reply.load.as_ref()), (&code, None));
    }
    assert_eq!(fixture.table.reads(), 0);
    agent.end().await;
}

/// A recipient can publish any bytes below its own name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_untrusted_or_malformed_request_is_refused() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    let agent = fixture.agent("core");
    let stranger = SigningKey::generate();
    let mut request = fixture.request(A, "setl.by_person", Some("p1"));
    request.key = stranger.public().clone();
    let (bytes, _) = signed(&request, &stranger);
    use exchange::RequestExchange;
    let exchange = &fixture.exchange;
    exchange.file_request(&name(A), &request.id, bytes).await.unwrap();
    let noise = fixture.request(A, "setl.by_person", Some("p1"));
    exchange
        .file_request(&name(A), &noise.id, bytes::Bytes::from_static(b"noise"))
        .await
        .unwrap();
    let kept = || exchange.stored_messages(exchange::port::Stream::Replies);
    until(|| kept().len() == 2).await;
    let mut codes: Vec<String> = kept()
        .iter()
        .map(|stored| {
            let envelope = schemas::envelope::Envelope::decode(&stored.bytes).unwrap();
            let reply: schemas::reply::Reply = envelope.read().unwrap();
            let Outcome::Refused { code, .. } = reply.outcome else {
                panic!("{reply:?}")
            };
            code.to_string()
        })
        .collect();
    codes.sort();
    assert_eq!(codes, ["malformed", "not_trusted"]);
    assert_eq!(fixture.table.reads(), 0);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_injection_stays_a_value() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("p1' or '1'='1")).await;
    assert_eq!(fixture.outcome(&request).await.outcome, Outcome::Empty);
    let mut named = fixture.request(A, "setl.by_person", Some("p1"));
    named.arguments.insert("x' --".to_owned(), Scalar::Int(1));
    fixture.file(&named).await;
    assert_eq!(fixture.outcome(&named).await.outcome.name(), "refused");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_deadline_at_a_closed_gate_expires_without_a_read() {
    let (gate, script) = Gate::scripted();
    script.close("the core is busy");
    let fixture = Fixture::at(Table::of(10, &["p1"], 10), gate);
    let agent = fixture.agent("core");
    let mut request = fixture.request(A, "setl.by_person", Some("p1"));
    request.deadline = Some(fixture.now() + SignedDuration::from_hours(1));
    fixture.file(&request).await;
    let other = fixture.ask(A, "setl.by_person", Some("p1")).await;
    until(|| fixture.last_state(&request) == Some(Waiting::Taken)).await;
    fixture.later(SignedDuration::from_mins(61));
    assert_eq!(fixture.outcome(&request).await.outcome, Outcome::Expired);
    assert_eq!((fixture.table.reads(), fixture.reply(&other)), (0, None));
    script.open();
    fixture.outcome(&other).await;
    assert_eq!(fixture.table.while_closed(), 0);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_cancel_during_an_answer_ends_it() {
    let (gate, script) = Gate::scripted();
    script.open();
    let fixture = Fixture::at(Table::of(5_000, &["p1"], 600), gate);
    // The core gets busy after some quanta, so that the cancel arrives during the answer.
    fixture.table.after_each(move |reads| {
        if reads == 4 {
            script.close("busy");
        }
    });
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.all", None).await;
    until(|| {
        fixture.table.reads() == 4 && matches!(fixture.last_state(&request), Some(Waiting::Answering { .. }))
    })
    .await;
    fixture.cancel(&request).await;
    let reply = fixture.outcome(&request).await;
    assert_eq!(reply.outcome, Outcome::Cancelled);
    assert!(reply.load.is_some() && reply.attempt.is_none());
    assert_eq!(fixture.table.reads(), 4);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_removed_kind_refuses_waiting_requests() {
    let (gate, script) = Gate::scripted();
    script.close("busy");
    let mut fixture = Fixture::at(Table::of(10, &["p1"], 10), gate);
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.by_person", Some("p1")).await;
    until(|| fixture.last_state(&request) == Some(Waiting::Taken)).await;
    agent.end().await;
    fixture.answering.kinds = kinds("kind = []");
    let agent = fixture.agent("core");
    let reply = fixture.outcome(&request).await;
    let Outcome::Refused { code, .. } = reply.outcome else {
        panic!("{reply:?}")
    };
    assert_eq!((code, fixture.table.reads()), (RefusalCode::UnknownKind, 0));
    script.open();
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_two_officers_must_grant_with_their_own_keys() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    let agent = fixture.agent("core");
    let request = fixture.ask(A, "setl.granted", None).await;
    let waits = |granted| Some(Waiting::WaitsForApproval { granted, needed: 2 });
    until(|| fixture.last_state(&request) == waits(0)).await;
    fixture
        .decide(&request, "li", &fixture.officers["li"], Decision::Grant)
        .await;
    until(|| fixture.last_state(&request) == waits(1)).await;
    assert_eq!(fixture.table.reads(), 0);
    // Signed with another officer's key.
    fixture
        .decide(&request, "sun", &fixture.officers["li"], Decision::Grant)
        .await;
    fixture
        .decide(&request, "wang", &fixture.officers["wang"], Decision::Grant)
        .await;
    let reply = fixture.outcome(&request).await;
    assert_eq!(fixture.ids(&request, &reply), (1..=10).collect::<Vec<_>>());
    let refused = fixture.ask(A, "setl.granted", None).await;
    fixture
        .decide(&refused, "wang", &fixture.officers["wang"], Decision::Refuse)
        .await;
    assert_eq!(fixture.outcome(&refused).await.outcome.name(), "refused");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_quota_truncates_then_refuses_with_a_retry_time() {
    let mut fixture = Fixture::new(Table::of(40, &["p1"], 10));
    let quota = Quota {
        rows_a_day: Some(60),
        ..Quota::default()
    };
    fixture.answering.quotas.insert(name(A), quota);
    let agent = fixture.agent("core");
    let first = fixture.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(fixture.outcome(&first).await.outcome.rows(), 40);
    let second = fixture.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Partial { rows, .. } = fixture.outcome(&second).await.outcome else {
        panic!("it was not cut")
    };
    assert_eq!(rows, 20);
    agent.end().await;
    // Another agent computes the same from the streams.
    let (agent, reads) = (fixture.agent("core"), fixture.table.reads());
    let third = fixture.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Refused { code, retry_at, .. } = fixture.outcome(&third).await.outcome else {
        panic!("it was not refused")
    };
    assert_eq!((code, fixture.table.reads()), (RefusalCode::Quota, reads));
    assert!(retry_at.is_some_and(|retry| retry > Timestamp::now()));
    let other = fixture.ask(B, "setl.by_person", Some("p1")).await;
    assert_eq!(fixture.outcome(&other).await.outcome.rows(), 40);
    agent.end().await;
}

/// Concurrent requests of one recipient share its remaining quota.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_concurrent_answers_share_a_quota() {
    let mut fixture = Fixture::new(Table::of(40, &["p1"], 10));
    let quota = Quota {
        rows_a_day: Some(100),
        ..Quota::default()
    };
    fixture.answering.quotas.insert(name(A), quota);
    let mut requests = Vec::new();
    for _ in 0..6 {
        requests.push(fixture.ask(A, "setl.by_person", Some("p1")).await);
    }
    let agent = fixture.agent("core");
    let rows = fixture
        .outcomes(&requests)
        .await
        .iter()
        .map(|reply| reply.outcome.rows())
        .sum::<u64>();
    assert_eq!(rows, 100);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_error_is_retried_and_a_lasting_one_fails() {
    let fixture = Fixture::new(Table::of(10, &["p1"], 10));
    fixture.table.fail(&[ErrorKind::Database]);
    let agent = fixture.agent("core");
    let first = fixture.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(fixture.outcome(&first).await.outcome.rows(), 10);
    // One retry is configured. An unreachable source is waited for and does not count as an attempt.
    fixture.table.fail(&[
        ErrorKind::Unreachable,
        ErrorKind::Database,
        ErrorKind::Unreachable,
        ErrorKind::Database,
    ]);
    let second = fixture.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Failed { reason } = fixture.outcome(&second).await.outcome else {
        panic!("it did not fail")
    };
    assert!(
        reason.contains("2 attempts") && !reason.contains("broke"),
        "{reason}"
    );
    agent.end().await;
}

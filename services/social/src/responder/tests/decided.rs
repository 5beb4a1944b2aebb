//! Each outcome, and what the source was asked for it.

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

use super::scene::{A, B, Scene, kinds, name, sealed, until};
use super::table::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_nothing_and_a_part_of_it_are_each_said() {
    let scene = Scene::new(Table::of(120, &["p1", "p2"], 10));
    let agent = scene.agent("core");
    let asked = [
        scene.ask(A, "setl.by_person", Some("p1")).await,
        scene.ask(A, "setl.by_person", Some("nobody")).await,
        scene.ask(B, "setl.by_person", Some("p2")).await,
    ];
    let replies = scene.outcomes(&asked).await;
    // Sixty rows are there, and the kind allows fifty.
    let Outcome::Partial { rows, reason, .. } = &replies[0].outcome else {
        panic!("{:?}", replies[0])
    };
    assert!(*rows == 50 && reason.contains("50 rows"), "{reason}");
    let even: Vec<i64> = (2..=100).step_by(2).collect();
    assert_eq!(scene.ids(&asked[0], &replies[0]), even);
    assert_eq!(replies[1].outcome, Outcome::Empty);
    assert!(
        replies[1].load.is_some(),
        "that there is nothing was found out at the source"
    );
    let columns = |at: usize| -> Vec<String> {
        let parts = scene.parts(&asked[at]);
        parts[0]
            .part
            .schema
            .columns
            .iter()
            .map(|c| c.name.clone())
            .collect()
    };
    assert_eq!(columns(0), ["id", "psn_no", "amount"]);
    assert_eq!(columns(2), ["id", "amount"]);
    let part = &scene.parts(&asked[0])[0].part;
    assert_eq!(part.load.verdicts[0].state, GateState::Open);
    assert_eq!(part.totals.money["amount"], "2552.50");
    assert!(part.read_from <= part.read_to && replies[0].read_from.is_some());
    // The page is written after the reply.
    until(|| {
        let requests = agent.view.status().requests;
        requests.is_some_and(|requests| requests.outcomes.get("partial") == Some(&2))
    })
    .await;
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_touches_no_source() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    scene.list(&["p9"]);
    let agent = scene.agent("core");
    let table: [(&str, Option<&str>, RefusalCode); 5] = [
        ("setl.unknown", None, RefusalCode::UnknownKind),
        ("setl.by_person", None, RefusalCode::BadArgument),
        ("setl.by_person", Some(""), RefusalCode::BadArgument),
        ("setl.by_person", Some("p9"), RefusalCode::Blocked),
        ("setl.all", Some("p1"), RefusalCode::BadArgument),
    ];
    let mut asked = Vec::new();
    let mut codes = Vec::new();
    for (kind, person, code) in table {
        asked.push(scene.ask(A, kind, person).await);
        codes.push(code);
    }
    asked.push(scene.ask(B, "setl.all", None).await);
    codes.push(RefusalCode::NotPermitted);
    let mut other = scene.request(A, "setl.by_person", Some("p1"));
    other.purpose = "99".to_owned();
    scene.file(&other).await;
    asked.push(other);
    codes.push(RefusalCode::NoBasis);
    for (reply, code) in scene.outcomes(&asked).await.iter().zip(codes) {
        let Outcome::Refused { code: told, .. } = &reply.outcome else {
            panic!("{reply:?}")
        };
        assert_eq!((told, reply.load.as_ref()), (&code, None));
    }
    assert_eq!(scene.table.reads(), 0);
    agent.end().await;
}

/// Whoever may write a subject below its own name can write anything there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_trusted_signed_or_is_no_request_gets_its_refusal() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    let agent = scene.agent("core");
    let stranger = SigningKey::generate();
    let mut request = scene.request(A, "setl.by_person", Some("p1"));
    request.key = stranger.public().clone();
    let (bytes, _) = sealed(&request, &stranger);
    use exchange::Exchange;
    let exchange = &scene.exchange;
    exchange.file_request(&name(A), &request.id, bytes).await.unwrap();
    let noise = scene.request(A, "setl.by_person", Some("p1"));
    exchange
        .file_request(&name(A), &noise.id, bytes::Bytes::from_static(b"noise"))
        .await
        .unwrap();
    let kept = || exchange.kept(exchange::port::Stream::Replies);
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
    assert_eq!(scene.table.reads(), 0);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn injections_stay_values() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("p1' or '1'='1")).await;
    assert_eq!(scene.outcome(&request).await.outcome, Outcome::Empty);
    let mut named = scene.request(A, "setl.by_person", Some("p1"));
    named.arguments.insert("x' --".to_owned(), Scalar::Int(1));
    scene.file(&named).await;
    assert_eq!(scene.outcome(&named).await.outcome.name(), "refused");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passes_while_the_gate_is_shut_is_told_and_nothing_was_read() {
    let (gate, script) = Gate::scripted();
    script.shut("the core is busy");
    let scene = Scene::at(Table::of(10, &["p1"], 10), gate);
    let agent = scene.agent("core");
    let mut request = scene.request(A, "setl.by_person", Some("p1"));
    request.deadline = Some(scene.now() + SignedDuration::from_hours(1));
    scene.file(&request).await;
    let other = scene.ask(A, "setl.by_person", Some("p1")).await;
    until(|| scene.told(&request) == Some(Waiting::Taken)).await;
    scene.later(SignedDuration::from_mins(61));
    assert_eq!(scene.outcome(&request).await.outcome, Outcome::Expired);
    assert_eq!((scene.table.reads(), scene.reply(&other)), (0, None));
    script.open();
    scene.outcome(&other).await;
    assert_eq!(scene.table.while_shut(), 0);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_in_the_middle_of_an_answer_ends_it() {
    let (gate, script) = Gate::scripted();
    script.open();
    let scene = Scene::at(Table::of(5_000, &["p1"], 600), gate);
    // The core gets busy after some quanta, so that the cancel comes in the middle.
    scene.table.after_each(move |reads| {
        if reads == 4 {
            script.shut("busy");
        }
    });
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.all", None).await;
    until(|| scene.table.reads() == 4 && matches!(scene.told(&request), Some(Waiting::Answering { .. })))
        .await;
    scene.cancel(&request).await;
    let reply = scene.outcome(&request).await;
    assert_eq!(reply.outcome, Outcome::Cancelled);
    assert!(reply.load.is_some() && reply.attempt.is_none());
    assert_eq!(scene.table.reads(), 4);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_removed_while_requests_wait_refuses_them() {
    let (gate, script) = Gate::scripted();
    script.shut("busy");
    let mut scene = Scene::at(Table::of(10, &["p1"], 10), gate);
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.by_person", Some("p1")).await;
    until(|| scene.told(&request) == Some(Waiting::Taken)).await;
    agent.end().await;
    scene.answering.kinds = kinds("kind = []");
    let agent = scene.agent("core");
    let reply = scene.outcome(&request).await;
    let Outcome::Refused { code, .. } = reply.outcome else {
        panic!("{reply:?}")
    };
    assert_eq!((code, scene.table.reads()), (RefusalCode::UnknownKind, 0));
    script.open();
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_officers_have_to_grant_it_and_only_their_own_words_count() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    let agent = scene.agent("core");
    let request = scene.ask(A, "setl.granted", None).await;
    let waits = |granted| Some(Waiting::WaitsForApproval { granted, needed: 2 });
    until(|| scene.told(&request) == waits(0)).await;
    scene
        .decide(&request, "li", &scene.officers["li"], Decision::Grant)
        .await;
    until(|| scene.told(&request) == waits(1)).await;
    assert_eq!(scene.table.reads(), 0);
    // Signed by another than who it says.
    scene
        .decide(&request, "sun", &scene.officers["li"], Decision::Grant)
        .await;
    scene
        .decide(&request, "wang", &scene.officers["wang"], Decision::Grant)
        .await;
    let reply = scene.outcome(&request).await;
    assert_eq!(scene.ids(&request, &reply), (1..=10).collect::<Vec<_>>());
    let refused = scene.ask(A, "setl.granted", None).await;
    scene
        .decide(&refused, "wang", &scene.officers["wang"], Decision::Refuse)
        .await;
    assert_eq!(scene.outcome(&refused).await.outcome.name(), "refused");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_cuts_an_answer_and_then_says_when_to_try_again() {
    let mut scene = Scene::new(Table::of(40, &["p1"], 10));
    let quota = Quota {
        rows_a_day: Some(60),
        ..Quota::default()
    };
    scene.answering.quotas.insert(name(A), quota);
    let agent = scene.agent("core");
    let first = scene.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(scene.outcome(&first).await.outcome.rows(), 40);
    let second = scene.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Partial { rows, .. } = scene.outcome(&second).await.outcome else {
        panic!("it was not cut")
    };
    assert_eq!(rows, 20);
    agent.end().await;
    // Another agent reckons the same from the streams.
    let (agent, reads) = (scene.agent("core"), scene.table.reads());
    let third = scene.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Refused { code, retry_at, .. } = scene.outcome(&third).await.outcome else {
        panic!("it was not refused")
    };
    assert_eq!((code, scene.table.reads()), (RefusalCode::Quota, reads));
    assert!(retry_at.is_some_and(|retry| retry > Timestamp::now()));
    let other = scene.ask(B, "setl.by_person", Some("p1")).await;
    assert_eq!(scene.outcome(&other).await.outcome.rows(), 40);
    agent.end().await;
}

/// Several of one recipient at once share what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_read_at_once_do_not_go_over_a_quota_together() {
    let mut scene = Scene::new(Table::of(40, &["p1"], 10));
    let quota = Quota {
        rows_a_day: Some(100),
        ..Quota::default()
    };
    scene.answering.quotas.insert(name(A), quota);
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.push(scene.ask(A, "setl.by_person", Some("p1")).await);
    }
    let agent = scene.agent("core");
    let rows = scene
        .outcomes(&asked)
        .await
        .iter()
        .map(|reply| reply.outcome.rows())
        .sum::<u64>();
    assert_eq!(rows, 100);
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_tried_again_and_a_lasting_one_is_told_as_failed() {
    let scene = Scene::new(Table::of(10, &["p1"], 10));
    scene.table.fail(&[ErrorKind::Database]);
    let agent = scene.agent("core");
    let first = scene.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(scene.outcome(&first).await.outcome.rows(), 10);
    // One retry is configured. A source that does not answer at all is nobody's fault and is waited for.
    scene.table.fail(&[
        ErrorKind::Unreachable,
        ErrorKind::Database,
        ErrorKind::Unreachable,
        ErrorKind::Database,
    ]);
    let second = scene.ask(A, "setl.by_person", Some("p1")).await;
    let Outcome::Failed { reason } = scene.outcome(&second).await.outcome else {
        panic!("it did not fail")
    };
    assert!(
        reason.contains("2 attempts") && !reason.contains("broke"),
        "{reason}"
    );
    agent.end().await;
}

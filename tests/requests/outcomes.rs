//! What becomes of requests that are wrong, too late, unwanted or very long; and that the core is not touched
//! where it need not be.

use std::fs;

use exchange::port::Stream;
use harness::{until, until_still};
use schemas::part::Part;
use serde_json::Value;

use super::office::{Office, payload, states};
use crate::gates::BY_FILE;
use crate::path::site::{Agent, PATIENCE};

const PERSON: [&str; 3] = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];

/// Texts that would do harm where they became SQL.
const INJECTIONS: [&str; 4] = [
    "'; DROP TABLE claim; --",
    "x' OR '1'='1",
    "$1) UNION SELECT 1, secret, secret, day, 1 FROM claim --",
    "\\'; SELECT pg_sleep(60); --",
];

/// A site whose gate is shut from the start, its agents at work.
async fn shut(name: &str) -> (Office, Agent, Agent) {
    let mut office = Office::start(name, 20_000, BY_FILE).await;
    office.more = "[requests.quota.insurer-b]\nopen_requests = 2\n".to_owned();
    fs::write(office.file("stop"), "").unwrap();
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    (office, social, commercial)
}

async fn untouched(office: &Office, social: &Agent) {
    let driver = social.status().await.unwrap()["driver"].clone();
    assert_eq!(
        (&driver["statements"], &driver["rows"]),
        (&Value::from(0), &Value::from(0)),
        "{driver}"
    );
    assert_eq!(office.core.number("SELECT count(*) FROM claim").await, 20_000);
}

fn code(shown: &Value) -> &str {
    let steps = shown["steps"].as_array().unwrap();
    let refused = steps.iter().find(|step| step["state"] == "refused");
    refused.and_then(|step| step["code"].as_str()).unwrap_or("none")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outside_the_policy_is_refused_before_any_read_of_the_core() {
    let (office, social, commercial) = shut("refused").await;
    let day = ["day=2026-01-01"];
    for (insurer, kind, arguments, more, wanted) in [
        ("insurer-a", "claim.none", &day[..], &[][..], "unknown_kind"),
        (
            "insurer-b",
            "claim.over",
            &["amount=1", "each=1"],
            &[],
            "not_permitted",
        ),
        ("insurer-a", "claim.day", &day, &["--basis", "99"], "no_basis"),
        ("insurer-a", "claim.day", &day, &["--purpose", "99"], "no_basis"),
        ("insurer-a", "claim.day", &["day=soon"], &[], "bad_argument"),
        ("insurer-a", "claim.day", &[], &[], "bad_argument"),
        (
            "insurer-a",
            "claim.day",
            &["day=2026-01-01", "more=1"],
            &[],
            "bad_argument",
        ),
        (
            "insurer-a",
            "claim.over",
            &["amount=much", "each=1"],
            &[],
            "bad_argument",
        ),
        (
            "insurer-a",
            "claim.over",
            &["amount=1", "each=one"],
            &[],
            "bad_argument",
        ),
        (
            "insurer-a",
            "claim.by_person",
            &["psn_no=p1", "from=2020-01-01", "to=2026-01-01"],
            &[],
            "too_broad",
        ),
    ] {
        let id = office.ask(insurer, kind, arguments, more).await;
        let shown = office.stands(insurer, &id, "refused").await;
        assert_eq!(code(&shown), wanted, "{kind} {arguments:?}: {shown}");
    }
    for injection in INJECTIONS {
        for (kind, arguments) in [
            ("claim.day", vec![format!("day={injection}")]),
            (
                "claim.over",
                vec![format!("amount={injection}"), "each=1".to_owned()],
            ),
            (
                "claim.over",
                vec!["amount=1".to_owned(), format!("each={injection}")],
            ),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let id = office.ask("insurer-a", kind, &arguments, &[]).await;
            let shown = office.stands("insurer-a", &id, "refused").await;
            assert_eq!(code(&shown), "bad_argument", "{shown}");
            assert!(
                !shown.to_string().contains(injection),
                "the refusal repeats the argument: {shown}"
            );
        }
    }
    // The third open request of insurer-b is one too many, and it is told when to try again where time helps.
    for wanted in ["taken", "taken", "refused"] {
        let id = office.ask("insurer-b", "claim.day", &day, &[]).await;
        let shown = office.stands("insurer-b", &id, wanted).await;
        assert!(wanted != "refused" || code(&shown) == "quota", "{shown}");
    }
    untouched(&office, &social).await;

    // In a text, what looks like SQL is a text: nobody is called so.
    let mut asked = Vec::new();
    for injection in INJECTIONS {
        let person = format!("psn_no={injection}");
        asked.push(
            office
                .ask(
                    "insurer-a",
                    "claim.by_person",
                    &[&person, PERSON[1], PERSON[2]],
                    &[],
                )
                .await,
        );
    }
    fs::remove_file(office.file("stop")).unwrap();
    for id in asked {
        office.stands("insurer-a", &id, "empty").await;
    }
    assert_eq!(office.core.number("SELECT count(*) FROM claim").await, 20_000);
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gate_is_shut_deadlines_pass_cancels_count_and_kinds_may_go() {
    let (mut office, social, commercial) = shut("waiting").await;
    let late = office
        .ask("insurer-a", "claim.by_person", &PERSON, &["--deadline", "2s"])
        .await;
    let unwanted = office.ask("insurer-a", "claim.by_person", &PERSON, &[]).await;
    let orphan = office
        .ask("insurer-a", "claim.over", &["amount=999", "each=1"], &[])
        .await;
    let kept = office
        .ask("insurer-a", "claim.day", &["day=2026-01-05"], &[])
        .await;
    for id in [&unwanted, &orphan, &kept] {
        office.stands("insurer-a", id, "taken").await;
        // It is reported when the request is taken, and again with its place as soon as that is known.
        until("a place in the queue", PATIENCE, async || {
            let shown = office.shown("insurer-a", id).await;
            if shown["place"].as_u64() >= Some(1) {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        })
        .await;
    }
    office.stands("insurer-a", &late, "expired").await;
    office.cancel("insurer-a", &unwanted).await;
    office.stands("insurer-a", &unwanted, "cancelled").await;
    untouched(&office, &social).await;
    // The bureau takes a kind away, and starts again.
    social.stop().await;
    office.kinds = office
        .kinds
        .replace("name = \"claim.over\"", "name = \"claim.above\"");
    let social = office.bureau().await;
    let shown = office.stands("insurer-a", &orphan, "refused").await;
    assert_eq!(code(&shown), "unknown_kind", "{shown}");
    untouched(&office, &social).await;
    // Until the new agent has read its orders, it holds what waits.
    until("the one that is kept to wait again", PATIENCE, async || {
        let shown = office.shown("insurer-a", &kept).await;
        match states(&shown).last().map(String::as_str) {
            Some("taken") => Ok(()),
            _ => Err(shown.to_string()),
        }
    })
    .await;
    fs::remove_file(office.file("stop")).unwrap();
    office.stands("insurer-a", &kept, "stored_by_insurer").await;
    // The one that expired stays so, though there would be time and slack now.
    assert!(!states(&office.shown("insurer-a", &late).await).contains(&"answered".to_owned()));
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_parts_and_a_cancelled_one_ends() {
    let rows = std::env::var("FLOW_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(120_000_u32);
    let office = Office::start("long", rows, "mode = \"open\"").await;
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-a", "insurer-a-1"),
    );
    let all = ["amount=-1", "each=1"];
    let id = office.ask("insurer-a", "claim.over", &all, &[]).await;
    until_still("the long answer to be stored", PATIENCE, async || {
        let states = states(&office.shown("insurer-a", &id).await);
        if states.contains(&"stored_by_insurer".to_owned()) {
            Ok(())
        } else {
            Err(format!(
                "{states:?}, {} parts",
                office.stream(Stream::Parts).await.len()
            ))
        }
    })
    .await;
    assert_eq!(
        office
            .store
            .number("SELECT count(*) FROM answer_claim__over")
            .await,
        i64::from(rows)
    );
    assert_eq!(
        office
            .store
            .number("SELECT count(DISTINCT id) FROM answer_claim__over")
            .await,
        i64::from(rows),
        "rows twice"
    );
    let parts: Vec<Part> = office.stream(Stream::Parts).await.iter().map(payload).collect();
    assert!(
        parts.len() > 1 && parts.iter().all(|part| !part.load.verdicts.is_empty()),
        "{} parts",
        parts.len()
    );

    let unwanted = office.ask("insurer-a", "claim.over", &all, &[]).await;
    office.stands("insurer-a", &unwanted, "answering").await;
    office.cancel("insurer-a", &unwanted).await;
    // Whichever came first is the outcome, and the only one.
    until("an outcome", PATIENCE, async || {
        let states = states(&office.shown("insurer-a", &unwanted).await);
        if states.contains(&"stored_by_insurer".to_owned()) {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    })
    .await;
    let shown = office.shown("insurer-a", &unwanted).await;
    let expected = if states(&shown).contains(&"cancelled".to_owned()) {
        rows
    } else {
        2 * rows
    };
    assert_eq!(
        office
            .store
            .number("SELECT count(*) FROM answer_claim__over")
            .await,
        i64::from(expected)
    );
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_officers_have_to_grant_where_the_kind_says_so() {
    let office = Office::start("granted", 1_000, "mode = \"open\"").await;
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-a", "insurer-a-1"),
    );
    let granted = office.ask("insurer-a", "claim.signed", &["id=7"], &[]).await;
    let refused = office.ask("insurer-a", "claim.signed", &["id=8"], &[]).await;
    for id in [&granted, &refused] {
        office.stands("insurer-a", id, "waits_for_approval").await;
    }
    let decide = async |officer: &str, verb: &str, id: &str| {
        let seed = format!("keys/{officer}/sign.seed");
        let line = [
            "approvals",
            verb,
            id,
            "--recipient",
            "insurer-a",
            "--config",
            "bureau.toml",
            "--officer",
            officer,
            "--seed-file",
            &seed,
            "--reason",
            "looked at it",
        ];
        let (done, told) = office.command(&line).await;
        assert!(done, "{told}");
    };
    decide("li_na", "grant", &granted).await;
    until("one of two", PATIENCE, async || {
        let shown = office.shown("insurer-a", &granted).await;
        let step = shown["steps"].as_array().unwrap().last().unwrap().clone();
        if step["state"] == "waits_for_approval" && step["granted"] == 1 {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    })
    .await;
    decide("wang_wei", "grant", &granted).await;
    office.stands("insurer-a", &granted, "stored_by_insurer").await;
    decide("li_na", "refuse", &refused).await;
    let shown = office.stands("insurer-a", &refused, "refused").await;
    assert_eq!(code(&shown), "not_approved");
    assert!(
        !shown.to_string().contains("looked at it"),
        "the officer's words are the bureau's: {shown}"
    );
    social.stop().await;
    commercial.stop().await;
}

//! Requests that are invalid, too late, cancelled or very long; and the core is not read where it need not be.

use std::fs;

use exchange::port::Stream;
use harness::{until, until_with_progress};
use schemas::part::Part;
use serde_json::Value;

use super::request_site::{RequestSite, payload, states};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{Agent, DEADLINE};

const PERSON: [&str; 3] = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];

/// Texts that would do harm if they became SQL.
const INJECTIONS: [&str; 4] = [
    "'; DROP TABLE claim; --",
    "x' OR '1'='1",
    "$1) UNION SELECT 1, secret, secret, day, 1 FROM claim --",
    "\\'; SELECT pg_sleep(60); --",
];

/// Starts a site whose gate is closed from the start, with running agents.
async fn start_with_closed_gate(name: &str) -> (RequestSite, Agent, Agent) {
    let mut request_site = RequestSite::start(name, 20_000, STOP_FILE_GATE).await;
    request_site.more = "[requests.quota.insurer-b]\nopen_requests = 2\n".to_owned();
    fs::write(request_site.file("stop"), "").unwrap();
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    (request_site, social, commercial)
}

async fn assert_core_untouched(request_site: &RequestSite, social: &Agent) {
    let driver = social.status().await.unwrap()["driver"].clone();
    assert_eq!(
        (&driver["statements"], &driver["rows"]),
        (&Value::from(0), &Value::from(0)),
        "{driver}"
    );
    assert_eq!(
        request_site.core.number("SELECT count(*) FROM claim").await,
        20_000
    );
}

fn code(shown: &Value) -> &str {
    let steps = shown["steps"].as_array().unwrap();
    let refused = steps.iter().find(|step| step["state"] == "refused");
    refused.and_then(|step| step["code"].as_str()).unwrap_or("none")
}

#[tokio::test(flavor = "multi_thread")]
async fn request_outside_the_policy_is_refused_before_any_read() {
    let (request_site, social, commercial) = start_with_closed_gate("refused").await;
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
        let id = request_site.ask(insurer, kind, arguments, more).await;
        let shown = request_site.wait_state(insurer, &id, "refused").await;
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
            let id = request_site.ask("insurer-a", kind, &arguments, &[]).await;
            let shown = request_site.wait_state("insurer-a", &id, "refused").await;
            assert_eq!(code(&shown), "bad_argument", "{shown}");
            assert!(
                !shown.to_string().contains(injection),
                "the refusal repeats the argument: {shown}"
            );
        }
    }
    // The third open request of insurer-b exceeds the limit. The refusal states when to try again, where time helps.
    for wanted in ["taken", "taken", "refused"] {
        let id = request_site.ask("insurer-b", "claim.day", &day, &[]).await;
        let shown = request_site.wait_state("insurer-b", &id, wanted).await;
        assert!(wanted != "refused" || code(&shown) == "quota", "{shown}");
    }
    assert_core_untouched(&request_site, &social).await;

    // SQL in a text argument stays text: no person has that name.
    let mut asked = Vec::new();
    for injection in INJECTIONS {
        let person = format!("psn_no={injection}");
        asked.push(
            request_site
                .ask(
                    "insurer-a",
                    "claim.by_person",
                    &[&person, PERSON[1], PERSON[2]],
                    &[],
                )
                .await,
        );
    }
    fs::remove_file(request_site.file("stop")).unwrap();
    for id in asked {
        request_site.wait_state("insurer-a", &id, "empty").await;
    }
    assert_eq!(
        request_site.core.number("SELECT count(*) FROM claim").await,
        20_000
    );
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_while_gate_closed_can_expire_or_be_cancelled() {
    let (mut request_site, social, commercial) = start_with_closed_gate("waiting").await;
    let late = request_site
        .ask("insurer-a", "claim.by_person", &PERSON, &["--deadline", "2s"])
        .await;
    let unwanted = request_site
        .ask("insurer-a", "claim.by_person", &PERSON, &[])
        .await;
    let orphan = request_site
        .ask("insurer-a", "claim.over", &["amount=999", "each=1"], &[])
        .await;
    let kept = request_site
        .ask("insurer-a", "claim.day", &["day=2026-01-05"], &[])
        .await;
    for id in [&unwanted, &orphan, &kept] {
        request_site.wait_state("insurer-a", id, "taken").await;
        // Reported when the request is accepted, and again with its position as soon as it is known.
        until("a place in the queue", DEADLINE, async || {
            let shown = request_site.show_request("insurer-a", id).await;
            if shown["place"].as_u64() >= Some(1) {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        })
        .await;
    }
    request_site.wait_state("insurer-a", &late, "expired").await;
    request_site.cancel("insurer-a", &unwanted).await;
    request_site.wait_state("insurer-a", &unwanted, "cancelled").await;
    assert_core_untouched(&request_site, &social).await;
    // The bureau removes a kind and restarts.
    social.stop().await;
    request_site.kinds = request_site
        .kinds
        .replace("name = \"claim.over\"", "name = \"claim.above\"");
    let social = request_site.bureau().await;
    let shown = request_site.wait_state("insurer-a", &orphan, "refused").await;
    assert_eq!(code(&shown), "unknown_kind", "{shown}");
    assert_core_untouched(&request_site, &social).await;
    // Until the new agent has read its orders, it holds the waiting requests.
    until("the one that is kept to wait again", DEADLINE, async || {
        let shown = request_site.show_request("insurer-a", &kept).await;
        match states(&shown).last().map(String::as_str) {
            Some("taken") => Ok(()),
            _ => Err(shown.to_string()),
        }
    })
    .await;
    fs::remove_file(request_site.file("stop")).unwrap();
    request_site
        .wait_state("insurer-a", &kept, "stored_by_insurer")
        .await;
    // The expired request stays expired, although there would be time and slack now.
    assert!(!states(&request_site.show_request("insurer-a", &late).await).contains(&"answered".to_owned()));
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_long_answer_has_parts_and_can_be_cancelled() {
    let rows = std::env::var("FLOW_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(120_000_u32);
    let request_site = RequestSite::start("long", rows, "mode = \"open\"").await;
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-a", "insurer-a-1"),
    );
    let all = ["amount=-1", "each=1"];
    let id = request_site.ask("insurer-a", "claim.over", &all, &[]).await;
    until_with_progress("the long answer to be stored", DEADLINE, async || {
        let states = states(&request_site.show_request("insurer-a", &id).await);
        if states.contains(&"stored_by_insurer".to_owned()) {
            Ok(())
        } else {
            Err(format!(
                "{states:?}, {} parts",
                request_site.stream(Stream::Parts).await.len()
            ))
        }
    })
    .await;
    assert_eq!(
        request_site
            .store
            .number("SELECT count(*) FROM answer_claim__over")
            .await,
        i64::from(rows)
    );
    assert_eq!(
        request_site
            .store
            .number("SELECT count(DISTINCT id) FROM answer_claim__over")
            .await,
        i64::from(rows),
        "rows twice"
    );
    let parts: Vec<Part> = request_site
        .stream(Stream::Parts)
        .await
        .iter()
        .map(payload)
        .collect();
    assert!(
        parts.len() > 1 && parts.iter().all(|part| !part.content.load.verdicts.is_empty()),
        "{} parts",
        parts.len()
    );

    let unwanted = request_site.ask("insurer-a", "claim.over", &all, &[]).await;
    request_site.wait_state("insurer-a", &unwanted, "answering").await;
    request_site.cancel("insurer-a", &unwanted).await;
    // Whichever was first is the outcome, and the only one.
    until("an outcome", DEADLINE, async || {
        let states = states(&request_site.show_request("insurer-a", &unwanted).await);
        if states.contains(&"stored_by_insurer".to_owned()) {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    })
    .await;
    let shown = request_site.show_request("insurer-a", &unwanted).await;
    let expected = if states(&shown).contains(&"cancelled".to_owned()) {
        rows
    } else {
        2 * rows
    };
    assert_eq!(
        request_site
            .store
            .number("SELECT count(*) FROM answer_claim__over")
            .await,
        i64::from(expected)
    );
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_kind_with_two_approvals_needs_two_officers() {
    let request_site = RequestSite::start("granted", 1_000, "mode = \"open\"").await;
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-a", "insurer-a-1"),
    );
    let granted = request_site
        .ask("insurer-a", "claim.signed", &["id=7"], &[])
        .await;
    let refused = request_site
        .ask("insurer-a", "claim.signed", &["id=8"], &[])
        .await;
    for id in [&granted, &refused] {
        request_site
            .wait_state("insurer-a", id, "waits_for_approval")
            .await;
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
        let (done, output) = request_site.command(&line).await;
        assert!(done, "{output}");
    };
    decide("li_na", "grant", &granted).await;
    until("one of two", DEADLINE, async || {
        let shown = request_site.show_request("insurer-a", &granted).await;
        let step = shown["steps"].as_array().unwrap().last().unwrap().clone();
        if step["state"] == "waits_for_approval" && step["granted"] == 1 {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    })
    .await;
    decide("wang_wei", "grant", &granted).await;
    request_site
        .wait_state("insurer-a", &granted, "stored_by_insurer")
        .await;
    decide("li_na", "refuse", &refused).await;
    let shown = request_site.wait_state("insurer-a", &refused, "refused").await;
    assert_eq!(code(&shown), "not_approved");
    assert!(
        !shown.to_string().contains("looked at it"),
        "the officer's words are the bureau's: {shown}"
    );
    social.stop().await;
    commercial.stop().await;
}

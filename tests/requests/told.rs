//! How a request stands is told from the streams alone, and how long each of its steps took.

use std::fs;

use harness::until;
use jiff::Timestamp;
use serde_json::Value;

use super::office::{Office, states};
use crate::gates::BY_FILE;
use crate::path::site::PATIENCE;

fn at(shown: &Value, state: &str) -> Timestamp {
    let steps = shown["steps"].as_array().unwrap();
    let step = steps
        .iter()
        .find(|step| step["state"] == state)
        .unwrap_or_else(|| panic!("never {state}: {shown}"));
    step["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_request_shows_each_step_once_and_without_local_files() {
    let office = Office::start("split", 20_000, "mode = \"open\"").await;
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-b", "insurer-b-1"),
    );
    commercial
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let arguments = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    for _ in 0..5 {
        let id = office.ask("insurer-b", "claim.by_person", &arguments, &[]).await;
        let shown = office.stands("insurer-b", &id, "stored_by_insurer").await;
        // Where the answer takes its time, the bureau tells that it has taken the request.
        let mut steps = states(&shown);
        steps.retain(|state| !["taken", "answering"].contains(&state.as_str()));
        assert_eq!(
            steps,
            ["filed", "stored", "answered", "delivered", "stored_by_insurer"],
            "{shown}"
        );
        assert!(at(&shown, "filed") <= at(&shown, "stored_by_insurer"), "{shown}");
    }

    // Without any local file of either agent but its configuration and keys, it is told the same.
    let id = office
        .ask("insurer-b", "claim.day", &["day=2026-01-03"], &[])
        .await;
    let before = office.stands("insurer-b", &id, "stored_by_insurer").await;
    social.stop().await;
    commercial.stop().await;
    office.forget_local_files();
    assert_eq!(office.shown("insurer-b", &id).await["steps"], before["steps"]);
}

/// One kind whose answers are always cut off, beside the usual ones.
const FEW: &str = r#"
[[kind]]
name = "claim.few"
sql = "SELECT id FROM claim"
order = ["id"]
anonymous = true
feeds = ["claim"]
most_rows = 5
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id"]
"#;

/// A request in each state, told again when every local file of both agents is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_every_state_is_told_from_the_streams_alone() {
    let mut office = Office::start("every_state", 120_000, BY_FILE).await;
    office.kinds.push_str(FEW);
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let person = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    let nobody = ["psn_no=nobody", "from=2026-01-01", "to=2026-12-31"];
    let mut wanted = Vec::new();
    for (kind, arguments, more, state) in [
        ("claim.by_person", &person[..], &[][..], "stored_by_insurer"),
        ("claim.by_person", &nobody, &[], "empty"),
        ("claim.few", &[], &[], "partial"),
        ("claim.none", &[], &[], "refused"),
        ("claim.signed", &["id=7"], &[], "waits_for_approval"),
    ] {
        let id = office.ask("insurer-a", kind, arguments, more).await;
        office.stands("insurer-a", &id, state).await;
        wanted.push((id, state));
    }
    // A long answer stands still in the middle, and what comes behind it waits.
    let long = office
        .ask("insurer-a", "claim.over", &["amount=-1", "each=1"], &[])
        .await;
    until("parts of the long answer", PATIENCE, async || {
        let status = social.status().await.unwrap_or_default();
        status.pointer("/requests/answering").and_then(Value::as_u64) >= Some(1)
    })
    .await;
    fs::write(office.file("stop"), "").unwrap();
    let waits = office.ask("insurer-a", "claim.by_person", &person, &[]).await;
    let late = office
        .ask("insurer-a", "claim.by_person", &person, &["--deadline", "1s"])
        .await;
    let unwanted = office.ask("insurer-a", "claim.by_person", &person, &[]).await;
    office.stands("insurer-a", &unwanted, "taken").await;
    office.cancel("insurer-a", &unwanted).await;
    let held = office
        .ask("insurer-b", "claim.day", &["day=2026-01-03"], &[])
        .await;
    let hold = [
        "hold",
        "add",
        "--recipient",
        "insurer-b",
        "--actor",
        "li.na",
        "--reason",
        "contract",
        "--config",
        "bureau.toml",
    ];
    let (well, told) = office.command(&hold).await;
    assert!(well, "{told}");
    office.stands("insurer-b", &held, "held").await;
    for (id, state) in [
        (long, "answering"),
        (waits, "taken"),
        (late, "expired"),
        (unwanted, "cancelled"),
    ] {
        office.stands("insurer-a", &id, state).await;
        wanted.push((id, state));
    }
    social.stop().await;
    let stored = office.ask("insurer-a", "claim.by_person", &person, &[]).await;
    wanted.push((stored, "stored"));
    // Outcomes that were given are delivered before the insurer's agent goes, too.
    for (id, state) in &wanted {
        if ["empty", "partial", "refused", "expired", "cancelled"].contains(state) {
            office.stands("insurer-a", id, "stored_by_insurer").await;
        }
    }
    commercial.stop().await;
    let mut before = Vec::new();
    for (id, _) in &wanted {
        before.push(office.shown("insurer-a", id).await);
    }
    office.store.execute("DROP SCHEMA slacktide CASCADE").await;
    office.forget_local_files();
    for ((id, state), before) in wanted.iter().zip(before) {
        let after = office.shown("insurer-a", id).await;
        assert_eq!(after["steps"], before["steps"], "{state}");
        assert!(
            states(&after).iter().any(|known| known == state),
            "{state}: {after}"
        );
        if *state == "taken" {
            assert!(after["place"].as_u64() >= Some(1), "{after}");
        }
    }
    assert!(states(&office.shown("insurer-b", &held).await).contains(&"held".to_owned()));
}

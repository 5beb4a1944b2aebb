//! The state of a request, read from the streams alone, and the duration of each of its steps.

use std::fs;

use harness::until;
use jiff::Timestamp;
use serde_json::Value;

use super::request_site::{RequestSite, states};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::DEADLINE;

fn time_of(shown: &Value, state: &str) -> Timestamp {
    let steps = shown["steps"].as_array().unwrap();
    let step = steps
        .iter()
        .find(|step| step["state"] == state)
        .unwrap_or_else(|| panic!("never {state}: {shown}"));
    step["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_status_shows_each_step_once_without_local_files() {
    let request_site = RequestSite::start("split", 20_000, "mode = \"open\"").await;
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-b", "insurer-b-1"),
    );
    commercial
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let arguments = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    for _ in 0..5 {
        let id = request_site
            .ask("insurer-b", "claim.by_person", &arguments, &[])
            .await;
        let shown = request_site
            .wait_state("insurer-b", &id, "stored_by_insurer")
            .await;
        // If the answer takes time, the bureau reports that it has accepted the request.
        let mut steps = states(&shown);
        steps.retain(|state| !["taken", "answering"].contains(&state.as_str()));
        assert_eq!(
            steps,
            ["filed", "stored", "answered", "delivered", "stored_by_insurer"],
            "{shown}"
        );
        assert!(
            time_of(&shown, "filed") <= time_of(&shown, "stored_by_insurer"),
            "{shown}"
        );
    }

    // Without any local file of either agent except for configuration and keys, the output is the same.
    let id = request_site
        .ask("insurer-b", "claim.day", &["day=2026-01-03"], &[])
        .await;
    let before = request_site
        .wait_state("insurer-b", &id, "stored_by_insurer")
        .await;
    social.stop().await;
    commercial.stop().await;
    request_site.remove_local_files();
    assert_eq!(
        request_site.show_request("insurer-b", &id).await["steps"],
        before["steps"]
    );
}

/// One kind whose answers are always truncated, in addition to the usual ones.
const FEW: &str = r#"
[[kind]]
name = "claim.few"
sql = "SELECT id FROM claim"
order = ["id"]
anonymous = true
feeds = ["claim"]
max_rows = 5
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id"]
"#;

/// A request in each state, shown again when every local file of both agents is gone.
#[tokio::test(flavor = "multi_thread")]
async fn request_status_of_every_state_is_read_from_streams() {
    let mut request_site = RequestSite::start("every_state", 120_000, STOP_FILE_GATE).await;
    request_site.kinds.push_str(FEW);
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let person = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    let unknown_person = ["psn_no=unknown", "from=2026-01-01", "to=2026-12-31"];
    let mut wanted = Vec::new();
    for (kind, arguments, more, state) in [
        ("claim.by_person", &person[..], &[][..], "stored_by_insurer"),
        ("claim.by_person", &unknown_person, &[], "empty"),
        ("claim.few", &[], &[], "partial"),
        ("claim.none", &[], &[], "refused"),
        ("claim.signed", &["id=7"], &[], "waits_for_approval"),
    ] {
        let id = request_site.ask("insurer-a", kind, arguments, more).await;
        request_site.wait_state("insurer-a", &id, state).await;
        wanted.push((id, state));
    }
    // A long answer is stopped in the middle, and the next request waits.
    let long = request_site
        .ask("insurer-a", "claim.over", &["amount=-1", "each=1"], &[])
        .await;
    until("parts of the long answer", DEADLINE, async || {
        let status = social.status().await.unwrap_or_default();
        status.pointer("/requests/answering").and_then(Value::as_u64) >= Some(1)
    })
    .await;
    fs::write(request_site.file("stop"), "").unwrap();
    let waits = request_site
        .ask("insurer-a", "claim.by_person", &person, &[])
        .await;
    let late = request_site
        .ask("insurer-a", "claim.by_person", &person, &["--deadline", "1s"])
        .await;
    let unwanted = request_site
        .ask("insurer-a", "claim.by_person", &person, &[])
        .await;
    request_site.wait_state("insurer-a", &unwanted, "taken").await;
    request_site.cancel("insurer-a", &unwanted).await;
    let held = request_site
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
    let (is_ok, output) = request_site.command(&hold).await;
    assert!(is_ok, "{output}");
    request_site.wait_state("insurer-b", &held, "held").await;
    for (id, state) in [
        (long, "answering"),
        (waits, "taken"),
        (late, "expired"),
        (unwanted, "cancelled"),
    ] {
        request_site.wait_state("insurer-a", &id, state).await;
        wanted.push((id, state));
    }
    social.stop().await;
    let stored = request_site
        .ask("insurer-a", "claim.by_person", &person, &[])
        .await;
    wanted.push((stored, "stored"));
    // Outcomes are delivered before the insurer's agent stops.
    for (id, state) in &wanted {
        if ["empty", "partial", "refused", "expired", "cancelled"].contains(state) {
            request_site
                .wait_state("insurer-a", id, "stored_by_insurer")
                .await;
        }
    }
    commercial.stop().await;
    let mut before = Vec::new();
    for (id, _) in &wanted {
        before.push(request_site.show_request("insurer-a", id).await);
    }
    request_site.store.execute("DROP SCHEMA slacktide CASCADE").await;
    request_site.remove_local_files();
    for ((id, state), before) in wanted.iter().zip(before) {
        let after = request_site.show_request("insurer-a", id).await;
        assert_eq!(after["steps"], before["steps"], "{state}");
        assert!(
            states(&after).iter().any(|known| known == state),
            "{state}: {after}"
        );
        if *state == "taken" {
            assert!(after["place"].as_u64() >= Some(1), "{after}");
        }
    }
    assert!(states(&request_site.show_request("insurer-b", &held).await).contains(&"held".to_owned()));
}

//! Operators' orders, and what the agent shows of them.

use std::fs;

use nats::{JetStream, Options};
use schemas::name::PartyName;
use serde_json::Value;

use super::site::{Agent, Site};

pub(super) const HOLD_POINTER: &str = "/lanes/insurer-a.claim/held";
pub(super) const WHO: [&str; 6] = [
    "--config",
    "social.toml",
    "--actor",
    "li.na",
    "--reason",
    "year end",
];

pub(super) async fn connect(site: &Site, user: &str) -> JetStream {
    let seed = fs::read_to_string(site.file(&format!("keys/{user}/connect.seed"))).unwrap();
    JetStream::connect(Options::command(site.nats.url(), user, seed))
        .await
        .unwrap()
}

pub(super) async fn give_order(site: &Site, words: &[&str]) -> String {
    let (is_done, output) = site.command(&[words, &WHO].concat()).await;
    assert!(is_done, "{words:?}: {output}");
    output
}

pub(super) fn party(name: &str) -> PartyName {
    PartyName::new(name).unwrap()
}

pub(super) async fn wait_gate_reason(agent: &Agent, kind: &str) {
    agent
        .wait_status(kind, "/gate/reason_kind", |found| found == kind)
        .await;
}

pub(super) async fn wait_hold(agent: &Agent, reason: Option<&str>) {
    let is_as_wanted = |held: &Value| match reason {
        None => held.is_null(),
        Some(reason) => held.as_str().is_some_and(|held| held.contains(reason)),
    };
    agent
        .wait_status(reason.unwrap_or("no hold"), HOLD_POINTER, is_as_wanted)
        .await;
}

/// Returns the id of the hold in force with this reason.
pub(super) async fn hold_id(site: &Site, reason: &str) -> String {
    let (_, listed) = site
        .command_stdout(&["hold", "list", "--json", "--config", "social.toml"])
        .await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let holds = listed["items"].as_array().unwrap();
    let held = holds
        .iter()
        .find(|one| one["state"] == "in_force" && one["order"]["reason"] == reason);
    held.unwrap_or_else(|| panic!("no hold for {reason}: {listed}"))["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(super) async fn add_hold(site: &Site, reason: &str) {
    let words = [
        "hold",
        "add",
        "--feed",
        "claim",
        "--actor",
        "li.na",
        "--config",
        "social.toml",
        "--reason",
        reason,
    ];
    let (is_done, output) = site.command(&words).await;
    assert!(is_done, "{output}");
}

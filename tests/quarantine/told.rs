//! What the commands print.

use serde_json::Value;

use crate::path::site::Site;

/// The gate of these tests.
pub(crate) const OPEN: &str = "mode = \"open\"";

/// Runs a command with `--json`: whether it went well, and what it said.
pub(crate) async fn json(site: &Site, arguments: &[&str]) -> (bool, Value) {
    let (well, told) = site.command(&[arguments, &["--json"]].concat()).await;
    let (from, to) = (told.find('{'), told.rfind('}'));
    let found = from
        .zip(to)
        .and_then(|(from, to)| serde_json::from_str(&told[from..=to]).ok());
    (
        well,
        found.unwrap_or_else(|| panic!("{arguments:?} printed no JSON:\n{told}")),
    )
}

/// What is in quarantine by this configuration.
pub(crate) async fn list(site: &Site, config: &str) -> Vec<Value> {
    let (well, told) = json(site, &["quarantine", "list", "--config", config]).await;
    assert!(well, "{told}");
    told["entries"].as_array().expect("a list").clone()
}

/// The ids of a kind.
pub(crate) fn ids(entries: &[Value], kind: &str) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| entry["kind"] == kind)
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The actions in the audit chains, in their order.
pub(crate) async fn actions(site: &Site) -> Vec<String> {
    let replay = ["audit", "replay", "--stream", "audit", "--config", "auditor.toml"];
    let (well, told) = site.command(&replay).await;
    assert!(well, "{told}");
    told.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some(line.pointer("/payload/action")?.as_str()?.to_owned()))
        .collect()
}

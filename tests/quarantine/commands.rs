//! Output of the commands.

use serde_json::Value;

use crate::pipeline::site::Site;

pub(crate) const OPEN: &str = "mode = \"open\"";

/// Runs a command with `--json`. Returns whether it succeeded, and its output.
pub(crate) async fn json(site: &Site, arguments: &[&str]) -> (bool, Value) {
    let (is_ok, output) = site.command(&[arguments, &["--json"]].concat()).await;
    let (from, to) = (output.find('{'), output.rfind('}'));
    let found = from
        .zip(to)
        .and_then(|(from, to)| serde_json::from_str(&output[from..=to]).ok());
    (
        is_ok,
        found.unwrap_or_else(|| panic!("{arguments:?} printed no JSON:\n{output}")),
    )
}

/// Returns the quarantine entries that this configuration shows.
pub(crate) async fn list(site: &Site, config: &str) -> Vec<Value> {
    let (is_ok, output) = json(site, &["quarantine", "list", "--config", config]).await;
    assert!(is_ok, "{output}");
    output["items"].as_array().expect("a list").clone()
}

pub(crate) fn ids(entries: &[Value], kind: &str) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| entry["kind"] == kind)
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the actions in the audit chains, in order.
pub(crate) async fn actions(site: &Site) -> Vec<String> {
    let replay = ["audit", "replay", "--stream", "audit", "--config", "auditor.toml"];
    let (is_ok, output) = site.command(&replay).await;
    assert!(is_ok, "{output}");
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some(line.pointer("/payload/action")?.as_str()?.to_owned()))
        .collect()
}

//! The auditor's file and commands, for the tests of this folder.

use std::fs;

use serde_json::Value;

use crate::requests::request_site::{INSURERS, RequestSite};

/// Writes the auditor's file with the keys of all.
pub(super) fn write_auditor(site: &RequestSite) {
    let key = |user: &str| format!("\"{}\"", site.sign_pub(user));
    let insurers = INSURERS.map(key).join(", ");
    let officers = ["li_na", "wang_wei"].map(key).join(", ");
    let text = format!(
        "[exchange]\nurl = \"{}\"\nuser = \"auditor\"\nseed = {{ file = \"keys/auditor/connect.seed\" }}\n\
         [signing]\nseed = {{ file = \"keys/auditor/sign.seed\" }}\n\
         [trust]\nchunks = [{bureau}]\nreceipts = [{insurers}]\nentries = [{bureau}, {insurers}]\nofficers = [{officers}]\n",
        site.nats.url(),
        bureau = key("bureau"),
    );
    fs::write(site.file("auditor.toml"), text).unwrap();
}

/// Runs a command and returns its exit code and its JSON.
pub(super) async fn run(site: &RequestSite, arguments: &[&str]) -> (Option<i32>, Value) {
    let done = site.run_command(arguments).await;
    let report = serde_json::from_str(&done.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}{}", done.stdout, done.stderr));
    (done.status.code(), report)
}

//! `gate explain`, `gate watch` and the recorded samples of a running agent.

use std::fs;

use serde_json::Value;

use super::site::Site;

const GATE: &str = "interval = \"50ms\"\nread_timeout = \"60s\"\nstale_after = \"60s\"\n\
                    hold = \"200ms\"\ngood_samples = 2\n\
                    [gate.record]\ndir = \"samples\"\n\
                    [gate.signals.host_cpu]\nenabled = false\n[gate.signals.memory]\nenabled = false\n\
                    [gate.signals.stop_file]\npath = \"stop\"";

#[tokio::test(flavor = "multi_thread")]
async fn gate_commands_explain_watch_and_record_samples() {
    let site = Site::start("gate_commands", 2_000, GATE).await;
    let ask = ["gate", "explain", "--config", "social.toml"];
    fs::write(site.file("stop"), "").unwrap();
    let social = site.social("social");
    social
        .wait_status("the stop file to close the gate", "/gate/reason_kind", |kind| {
            kind == "over_limit"
        })
        .await;
    let (is_ok, output) = site.command(&ask).await;
    assert!(is_ok && output.contains("The gate is closed since"), "{output}");
    assert!(output.contains("stop_file"), "{output}");
    let (_, output) = site.command(&[&ask[..], &["--json"]].concat()).await;
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output["gate"]["reason_kind"], "over_limit");

    let more = async |than: u64| {
        let many = move |samples: &Value| samples.as_u64() > Some(than);
        let samples = social.wait_status("more samples", "/gate/samples", many).await;
        samples.as_u64().unwrap()
    };
    let closed = more(20).await;
    fs::remove_file(site.file("stop")).unwrap();
    social
        .wait_status("the gate to open", "/gate/state", |state| state != "closed")
        .await;
    more(closed + 20).await;
    let (is_ok, output) = site.command(&ask).await;
    assert!(is_ok && output.contains("Work may take"), "{output}");
    social.stop().await;

    // No agent answers: reported with its own exit code.
    let (is_ok, output) = site.command(&ask).await;
    assert!(!is_ok && output.contains("no agent answers"), "{output}");
    let (is_ok, output) = site
        .command(&[
            "gate",
            "simulate",
            "--policy",
            "social.toml",
            "--samples",
            "samples",
            "--json",
        ])
        .await;
    assert!(is_ok, "{output}");
    let output: Value = serde_json::from_str(&output).unwrap();
    assert!(output["samples"].as_u64() > Some(5), "{output}");
    assert_eq!(output["not_recorded"], serde_json::json!([]), "{output}");
    assert!(output["recorded"]["openings"].as_u64() >= Some(1), "{output}");
    let forecast = ["gate", "forecast", "--samples", "samples", "--rows", "1000"];
    let (is_ok, output) = site.command(&forecast).await;
    assert!(is_ok && output.contains("too little history"), "{output}");
}

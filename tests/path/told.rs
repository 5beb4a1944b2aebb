//! What `gate explain` and `gate watch` tell of a running agent, and what it recorded.

use std::fs;

use serde_json::Value;

use super::site::Site;

const GATE: &str = "interval = \"50ms\"\nread_timeout = \"60s\"\nstale_after = \"60s\"\n\
                    hold = \"200ms\"\ngood_samples = 2\n\
                    [gate.record]\ndir = \"samples\"\n\
                    [gate.signals.host_cpu]\nenabled = false\n[gate.signals.memory]\nenabled = false\n\
                    [gate.signals.stop_file]\npath = \"stop\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gate_is_explained_and_watched_and_its_samples_are_recorded() {
    let site = Site::start("told", 2_000, GATE).await;
    let ask = ["gate", "explain", "--config", "social.toml"];
    fs::write(site.file("stop"), "").unwrap();
    let social = site.social("social");
    social
        .shows("the stop file to shut the gate", "/gate/reason_kind", |kind| {
            kind == "over_limit"
        })
        .await;
    let (went_well, told) = site.command(&ask).await;
    assert!(went_well && told.contains("The gate is shut since"), "{told}");
    assert!(told.contains("stop_file"), "{told}");
    let (_, told) = site.command(&[&ask[..], &["--json"]].concat()).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["gate"]["reason_kind"], "over_limit");

    let more = async |than: u64| {
        let many = move |samples: &Value| samples.as_u64() > Some(than);
        let samples = social.shows("more samples", "/gate/samples", many).await;
        samples.as_u64().unwrap()
    };
    let shut = more(20).await;
    fs::remove_file(site.file("stop")).unwrap();
    social
        .shows("the gate to open", "/gate/state", |state| state != "shut")
        .await;
    more(shut + 20).await;
    let (went_well, told) = site.command(&ask).await;
    assert!(went_well && told.contains("Work may take"), "{told}");
    social.stop().await;

    // Nobody answers: said, with its own exit code.
    let (went_well, told) = site.command(&ask).await;
    assert!(!went_well && told.contains("no agent answers"), "{told}");
    let (went_well, told) = site
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
    assert!(went_well, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["samples"].as_u64() > Some(5), "{told}");
    assert_eq!(told["not_recorded"], serde_json::json!([]), "{told}");
    assert!(told["recorded"]["openings"].as_u64() >= Some(1), "{told}");
    let forecast = ["gate", "forecast", "--samples", "samples", "--rows", "1000"];
    let (went_well, told) = site.command(&forecast).await;
    assert!(went_well && told.contains("too little history"), "{told}");
}

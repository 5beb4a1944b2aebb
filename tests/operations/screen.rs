//! Each state of a lane, as either side sees it.

use std::fs;

use harness::{Proxy, until};
use serde_json::Value;

use super::commands::{WHO, read_lane, screen, text_contains, wait_lane_state};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{Agent, DEADLINE, Site};

const BUREAU: &str = "social.toml";
const INSURER: &str = "poller.toml";

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_lane_state_and_reason_on_both_sides() {
    let mut site = Site::start("operate_screen", 6_000, STOP_FILE_GATE).await;
    let to_store = site.store_behind_a_proxy().await;
    // Many small chunks, and no poller that acknowledges them.
    let social = site.social_with("social", |text| {
        text.replace("quantum_rows = 2000", "quantum_rows = 10\nclose_after = \"1ms\"")
    });
    social
        .wait_status("chunks", "/lanes/insurer-a.claim/number", |number| {
            number.as_u64() >= Some(60)
        })
        .await;
    let lane = wait_lane_state(&site, BUREAU, "other_side_behind", 9).await;
    assert!(
        text_contains(&lane, "why", "no receipt yet") && text_contains(&lane, "remedy", "receiver"),
        "{lane}"
    );

    let poller = site.poller("poller");
    site.wait_until_equal().await;
    for config in [BUREAU, INSURER] {
        // The last receipt may be in transit.
        until("a receipt for every chunk", DEADLINE, async || {
            let lane = wait_lane_state(&site, config, "caught_up", 0).await;
            if lane["lag_chunks"] == 0 {
                Ok(())
            } else {
                Err(lane.to_string())
            }
        })
        .await;
    }
    assert_feed_screens(&site).await;

    assert_waiting_and_held(&site).await;
    assert_unreachable(&mut site, &to_store).await;

    assert_stopped_at_the_bureau(&site, social).await;

    poller.stop().await;
    let output = ["status", "--json", "--config", INSURER, "--feed", "claim"];
    let (code, output) = site.command_stdout(&output).await;
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (code, &output["lanes"][0]["state"]),
        (Some(9), &"not_running".into()),
        "{output}"
    );
    // Without the page the lanes are unknown, and that is shown.
    let lines = screen(&site, INSURER).await.join("\n");
    assert!(
        lines.contains("not running") && lines.contains("--feed"),
        "{lines}"
    );
}

async fn assert_feed_screens(site: &Site) {
    let (code, output) = site
        .command_stdout(&["feed", "list", "--json", "--config", BUREAU])
        .await;
    let output: Value = serde_json::from_str(&output).unwrap();
    let feed = &output["items"][0];
    assert_eq!((code, &feed["feed"]), (Some(0), &"claim".into()), "{output}");
    assert_eq!(feed["lanes"][0]["state"], "caught_up", "{output}");
    let (_, list) = site.command_stdout(&["feed", "list", "--config", BUREAU]).await;
    assert!(list.contains("claim") && list.contains("caught up"), "{list}");
    let (code, show) = site
        .command_stdout(&["feed", "show", "claim", "--config", BUREAU])
        .await;
    assert_eq!(code, Some(0), "{show}");
    for part in [
        "updated_at, id",
        "amount decimal",
        "tombstone   deleted",
        "to insurer-a: caught up",
        "0 chunks behind",
    ] {
        assert!(show.contains(part), "no {part:?} in\n{show}");
    }
    let (code, _) = site
        .command_stdout(&["feed", "show", "clam", "--config", BUREAU])
        .await;
    assert_eq!(code, Some(2));
}

async fn assert_waiting_and_held(site: &Site) {
    fs::write(site.file("stop"), "").unwrap();
    let lane = wait_lane_state(site, BUREAU, "waiting_for_slack", 0).await;
    assert!(text_contains(&lane, "why", "stop_file"), "{lane}");
    fs::remove_file(site.file("stop")).unwrap();
    wait_lane_state(site, BUREAU, "caught_up", 0).await;

    let hold = [
        "hold",
        "add",
        "--feed",
        "claim",
        "--reason",
        "objection 17",
        "--config",
        BUREAU,
    ];
    let (is_ok, output) = site.command(&[&hold[..], &WHO].concat()).await;
    assert!(is_ok, "{output}");
    let lane = wait_lane_state(site, BUREAU, "held", 0).await;
    assert!(text_contains(&lane, "why", "li.na: objection 17"), "{lane}");
    // The insurer sees the stop, and not the reason.
    let lane = wait_lane_state(site, INSURER, "held", 0).await;
    assert_eq!(lane["why"], "held by the bureau", "{lane}");
    let lines = screen(site, BUREAU).await.join("\n");
    assert!(
        lines.contains("objection 17") && lines.contains("held"),
        "{lines}"
    );
    let (_, holds) = site
        .command_stdout(&["hold", "list", "--json", "--config", BUREAU])
        .await;
    let holds: Value = serde_json::from_str(&holds).unwrap();
    let id = holds["items"][0]["id"].as_str().unwrap().to_owned();
    let release = [
        "hold",
        "release",
        &id[..6],
        "--reason",
        "withdrawn",
        "--config",
        BUREAU,
    ];
    let (is_ok, output) = site.command(&[&release[..], &WHO].concat()).await;
    assert!(is_ok, "{output}");
    for config in [BUREAU, INSURER] {
        wait_lane_state(site, config, "caught_up", 0).await;
    }
}

async fn assert_unreachable(site: &mut Site, to_store: &Proxy) {
    site.nats.stop().await;
    for config in [BUREAU, INSURER] {
        let (code, output) = site
            .command_stdout(&["status", "--json", "--config", config])
            .await;
        let output: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(code, Some(5), "{output}");
        assert!(!output["exchange"]["error"].is_null(), "{output}");
    }
    wait_lane_state(site, BUREAU, "unknown", 5).await;
    site.nats.restart().await;
    for config in [BUREAU, INSURER] {
        wait_lane_state(site, config, "caught_up", 0).await;
    }

    to_store.disconnect();
    let lane = wait_lane_state(site, INSURER, "behind", 9).await;
    assert!(
        text_contains(&lane, "why", "the store") && text_contains(&lane, "remedy", "nothing is lost"),
        "{lane}"
    );
    to_store.restore();
    wait_lane_state(site, INSURER, "caught_up", 0).await;
}

/// A stop that only the bureau's agent detects, and what both operators see.
async fn assert_stopped_at_the_bureau(site: &Site, social: Agent) {
    social.stop().await;
    let social = site.social_with("social", |text| {
        text.replace("money = [\"amount\"]", "money = []")
    });
    let lane = wait_lane_state(site, BUREAU, "stopped", 9).await;
    assert!(text_contains(&lane, "remedy", "--accept"), "{lane}");
    let why = social.wait_page("/healthz", 503).await;
    assert!(why.contains("lane insurer-a.claim"), "{why}");
    let (code, _) = site.command_stdout(&["health", "--config", BUREAU]).await;
    assert_eq!(code, Some(9));
    let lane = wait_lane_state(site, INSURER, "stopped", 9).await;
    assert_eq!(
        lane["why"], "at the bureau: the feed's definition changed",
        "{lane}"
    );
    let lines = screen(site, INSURER).await.join("\n");
    assert!(
        lines.contains("stopped") && lines.contains("ask the bureau's operator"),
        "{lines}"
    );

    let rewind = [
        "feed",
        "rewind",
        "claim",
        "--recipient",
        "insurer-a",
        "--accept",
        "--reason",
        "agreed",
    ];
    let (is_ok, output) = site
        .command(&[&rewind[..], &WHO, &["--config", BUREAU]].concat())
        .await;
    assert!(is_ok, "{output}");
    for config in [BUREAU, INSURER] {
        until(&format!("{config} to continue"), DEADLINE, async || {
            let (code, lane) = read_lane(site, config).await;
            if code == Some(0) {
                Ok(())
            } else {
                Err(lane.to_string())
            }
        })
        .await;
    }
    social.wait_page("/healthz", 200).await;
    social.stop().await;
}

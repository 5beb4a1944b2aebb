//! Each state of a lane, as either side sees it.

use std::fs;

use harness::{Proxy, until};
use serde_json::Value;

use super::told::{WHO, has, lane as lane_now, screen, shows};
use crate::gates::BY_FILE;
use crate::path::site::{Agent, PATIENCE, Site};

const BUREAU: &str = "social.toml";
const INSURER: &str = "poller.toml";

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_see_how_a_lane_stands_and_why() {
    let mut site = Site::start("operate_screen", 6_000, BY_FILE).await;
    let to_store = site.store_behind_a_proxy().await;
    // Many small chunks and nobody who signs for them.
    let social = site.social_with("social", |text| {
        text.replace("quantum_rows = 2000", "quantum_rows = 10\nclose_after = \"1ms\"")
    });
    social
        .shows("chunks", "/lanes/insurer-a.claim/number", |number| {
            number.as_u64() >= Some(60)
        })
        .await;
    let lane = shows(&site, BUREAU, "other_side_behind", 9).await;
    assert!(
        has(&lane, "why", "no receipt yet") && has(&lane, "to_do", "receiver"),
        "{lane}"
    );

    let poller = site.poller("poller");
    site.agree().await;
    for config in [BUREAU, INSURER] {
        // The last receipt may be on its way still.
        until("a receipt for every chunk", PATIENCE, async || {
            let lane = shows(&site, config, "caught_up", 0).await;
            if lane["lag_chunks"] == 0 {
                Ok(())
            } else {
                Err(lane.to_string())
            }
        })
        .await;
    }
    feeds(&site).await;

    waits_and_holds(&site).await;
    away(&mut site, &to_store).await;

    stopped_at_the_bureau(&site, social).await;

    poller.stop().await;
    let told = ["status", "--json", "--config", INSURER, "--feed", "claim"];
    let (code, told) = site.asked(&told).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &told["lanes"][0]["state"]),
        (Some(9), &"not_running".into()),
        "{told}"
    );
    // Without a page nobody knows the lanes, and it is said.
    let lines = screen(&site, INSURER).await.join("\n");
    assert!(
        lines.contains("not running") && lines.contains("--feed"),
        "{lines}"
    );
}

async fn feeds(site: &Site) {
    let (code, told) = site.asked(&["feed", "list", "--json", "--config", BUREAU]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let feed = &told["feeds"][0];
    assert_eq!((code, &feed["name"]), (Some(0), &"claim".into()), "{told}");
    assert_eq!(feed["recipients"][0]["state"], "caught_up", "{told}");
    let (_, list) = site.asked(&["feed", "list", "--config", BUREAU]).await;
    assert!(list.contains("claim") && list.contains("caught up"), "{list}");
    let (code, show) = site.asked(&["feed", "show", "claim", "--config", BUREAU]).await;
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
    let (code, _) = site.asked(&["feed", "show", "clam", "--config", BUREAU]).await;
    assert_eq!(code, Some(2));
}

async fn waits_and_holds(site: &Site) {
    fs::write(site.file("stop"), "").unwrap();
    let lane = shows(site, BUREAU, "waiting_for_slack", 0).await;
    assert!(has(&lane, "why", "stop_file"), "{lane}");
    fs::remove_file(site.file("stop")).unwrap();
    shows(site, BUREAU, "caught_up", 0).await;

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
    let (well, told) = site.command(&[&hold[..], &WHO].concat()).await;
    assert!(well, "{told}");
    let lane = shows(site, BUREAU, "held", 0).await;
    assert!(has(&lane, "why", "li.na: objection 17"), "{lane}");
    // The insurer learns that, and not why.
    let lane = shows(site, INSURER, "held", 0).await;
    assert_eq!(lane["why"], "held by the bureau", "{lane}");
    let lines = screen(site, BUREAU).await.join("\n");
    assert!(
        lines.contains("objection 17") && lines.contains("held"),
        "{lines}"
    );
    let (_, holds) = site.asked(&["hold", "list", "--json", "--config", BUREAU]).await;
    let holds: Value = serde_json::from_str(&holds).unwrap();
    let id = holds["in_force"][0]["order"]["id"].as_str().unwrap().to_owned();
    let release = [
        "hold",
        "release",
        &id[..6],
        "--reason",
        "withdrawn",
        "--config",
        BUREAU,
    ];
    let (well, told) = site.command(&[&release[..], &WHO].concat()).await;
    assert!(well, "{told}");
    for config in [BUREAU, INSURER] {
        shows(site, config, "caught_up", 0).await;
    }
}

async fn away(site: &mut Site, to_store: &Proxy) {
    site.nats.stop().await;
    for config in [BUREAU, INSURER] {
        let (code, told) = site.asked(&["status", "--json", "--config", config]).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(code, Some(5), "{told}");
        assert!(!told["exchange"]["trouble"].is_null(), "{told}");
    }
    shows(site, BUREAU, "unknown", 5).await;
    site.nats.restart().await;
    for config in [BUREAU, INSURER] {
        shows(site, config, "caught_up", 0).await;
    }

    to_store.cut();
    let lane = shows(site, INSURER, "behind", 9).await;
    assert!(
        has(&lane, "why", "the store") && has(&lane, "to_do", "nothing is lost"),
        "{lane}"
    );
    to_store.heal();
    shows(site, INSURER, "caught_up", 0).await;
}

/// A stop that only the bureau's agent knows of, and what both sides' operators see of it.
async fn stopped_at_the_bureau(site: &Site, social: Agent) {
    social.stop().await;
    let social = site.social_with("social", |text| {
        text.replace("money = [\"amount\"]", "money = []")
    });
    let lane = shows(site, BUREAU, "stopped", 9).await;
    assert!(has(&lane, "to_do", "--accept"), "{lane}");
    let why = social.answers("/healthz", 503).await;
    assert!(why.contains("lane insurer-a.claim"), "{why}");
    let (code, _) = site.asked(&["health", "--config", BUREAU]).await;
    assert_eq!(code, Some(9));
    let lane = shows(site, INSURER, "stopped", 9).await;
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
    let (well, told) = site
        .command(&[&rewind[..], &WHO, &["--config", BUREAU]].concat())
        .await;
    assert!(well, "{told}");
    for config in [BUREAU, INSURER] {
        until(&format!("{config} to go on"), PATIENCE, async || {
            let (code, lane) = lane_now(site, config).await;
            if code == Some(0) {
                Ok(())
            } else {
                Err(lane.to_string())
            }
        })
        .await;
    }
    social.answers("/healthz", 200).await;
    social.stop().await;
}

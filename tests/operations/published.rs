//! The status that the agents publish at the exchange: who reads it, what it holds, and an exchange without a place for it.

use std::fs;
use std::time::Duration;

use exchange::{Error, ErrorKind, StatusExchange};
use harness::until;
use nats::topology::Admin;
use nats::{JetStream, Options};
use schemas::name::PartyName;
use schemas::status_report::WatchNote;
use serde_json::Value;

use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{DEADLINE, Site};

/// Values that no report may hold, next to keys and passwords of the site.
const PLANTED: [&str; 2] = ["PLANTED-PERSON-NAME", "PLANTED-MEMO"];

async fn connect(site: &Site, user: &str) -> JetStream {
    let seed = fs::read_to_string(site.file(&format!("keys/{user}/connect.seed"))).unwrap();
    JetStream::connect(Options::command(site.nats.url(), user, seed.trim()))
        .await
        .unwrap()
}

fn party(name: &str) -> PartyName {
    PartyName::new(name).unwrap()
}

/// Waits until `status --published` lists this many agents, all of them current.
async fn published(site: &Site, config: &str, count: usize) -> Value {
    until("published reports", DEADLINE, async || {
        let words = ["status", "--published", "--json", "--config", config];
        let (code, output) = site.command_stdout(&words).await;
        let report: Value = serde_json::from_str(&output).unwrap_or_default();
        let agents = report["agents"].as_array().map_or(0, Vec::len);
        if code == Some(0) && agents == count {
            Ok(report)
        } else {
            Err(format!("{code:?}: {output}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn published_status_is_the_agents_own_and_fast_if_watched() {
    let site = Site::start("operate_published", 300, STOP_FILE_GATE).await;
    let [name, memo] = PLANTED;
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, amount, memo) VALUES (9001, '{name}', 1.00, '{memo}')"
        ))
        .await;
    let social = site.social("social");
    let poller = site.poller("poller");
    site.wait_until_equal().await;

    // Both sides read their own, and the auditor reads both.
    let own = published(&site, "social.toml", 1).await;
    let agent = &own["agents"][0];
    assert_eq!(
        (&agent["party"], &agent["role"]),
        (&"bureau".into(), &"social".into())
    );
    assert_eq!(agent["next_within_ms"], 15_000);
    let running = social.status().await.unwrap();
    for pointer in ["/instance", "/gate/policy/loaded_at"] {
        assert!(running.pointer(pointer).is_some(), "{pointer}: {running}");
        assert_eq!(
            agent["page"].pointer(pointer),
            running.pointer(pointer),
            "{pointer}"
        );
    }
    let insurers = published(&site, "poller.toml", 1).await;
    assert_eq!(insurers["agents"][0]["role"], "commercial");
    published(&site, "auditor.toml", 2).await;

    // Faster while an operator watches: the promise of the next report changes.
    let bureau = connect(&site, "bureau").await;
    let until_then = jiff::Timestamp::now() + Duration::from_secs(240);
    let note = WatchNote { until: until_then }.encode();
    bureau.publish_watch(&party("bureau"), note.into()).await.unwrap();
    social
        .wait_status("a watch", "/published/is_watched", |watched| *watched == true)
        .await;
    until("a report that promises the next one soon", DEADLINE, async || {
        let report = published(&site, "social.toml", 1).await;
        match &report["agents"][0]["next_within_ms"] {
            soon if *soon == 3_000 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    assert_eq!(poller.status().await.unwrap()["published"]["is_watched"], false);

    // The gate's history has been recorded since the start, with the rows.
    until("rows in the history", DEADLINE, async || {
        let report = published(&site, "social.toml", 1).await;
        let history = report["agents"][0]["history"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let sum = |name: &str| {
            history
                .iter()
                .filter_map(|bucket| bucket[name].as_u64())
                .sum::<u64>()
        };
        if sum("rows") >= 301 && sum("open_ms") + sum("limited_ms") > 0 {
            Ok(())
        } else {
            Err(format!("{history:?}"))
        }
    })
    .await;

    assert_private(&site, &bureau).await;
    social.stop().await;
    poller.stop().await;
}

/// Asserts that another party cannot read it, and that no report holds what must stay private.
async fn assert_private(site: &Site, bureau: &JetStream) {
    let insurer = connect(site, "insurer-a").await;
    let denied: Error = insurer.statuses(&party("bureau")).await.unwrap_err();
    assert_eq!(denied.kind, ErrorKind::Denied, "{denied}");

    let mut secrets: Vec<String> = PLANTED.map(str::to_owned).into();
    for user in ["bureau", "insurer-a"] {
        for seed in ["connect.seed", "sign.seed"] {
            let file = site.file(&format!("keys/{user}/{seed}"));
            secrets.push(fs::read_to_string(file).unwrap().trim().to_owned());
        }
    }
    secrets.push(site.core.url_as(&site.reader));
    secrets.push(site.store.url.clone());
    let mut bytes = Vec::new();
    for (exchange, name) in [(bureau, "bureau"), (&insurer, "insurer-a")] {
        for stored in exchange.statuses(&party(name)).await.unwrap() {
            bytes.extend_from_slice(&stored.bytes);
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("insurer-a.claim"), "{text}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in a published report");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn published_status_without_stream_does_not_stop_the_agent() {
    let site = Site::start("operate_no_status", 50, STOP_FILE_GATE).await;
    let admin = Admin::new(connect(&site, "admin").await);
    let deleted = admin
        .api("STREAM.DELETE.STATUS_bureau", &serde_json::json!({}))
        .await;
    assert!(deleted.is_ok(), "{deleted:?}");
    let social = site.social("social");
    let poller = site.poller("poller");
    let error = social
        .wait_status("an error", "/published/error", Value::is_string)
        .await;
    assert!(
        error.as_str().unwrap().contains("slacktide exchange apply"),
        "{error}"
    );
    // Its work does not depend on it, and no operator has to act for it.
    site.wait_until_equal().await;
    assert_eq!(social.wait_page("/healthz", 200).await, "ok\n");
    let (_, screen) = site.command_stdout(&["status", "--config", "social.toml"]).await;
    assert!(screen.contains("status not published"), "{screen}");
    let (_, found) = site.command_stdout(&["doctor", "--config", "social.toml"]).await;
    let finding = found.lines().find(|line| line.contains("published status"));
    assert!(finding.is_some_and(|line| line.contains("warn")), "{found}");
    let logged = social.process.stderr();
    assert_eq!(logged.matches("status not published").count(), 1, "{logged}");

    let (applied, output) = site
        .command(&["exchange", "apply", "--yes", "--config", "admin.toml"])
        .await;
    assert!(applied, "{output}");
    social
        .wait_status("a report", "/published/reports", |reports| {
            reports.as_u64() >= Some(1)
        })
        .await;
    social
        .wait_status("no error", "/published/error", Value::is_null)
        .await;
    social.stop().await;
    poller.stop().await;
}

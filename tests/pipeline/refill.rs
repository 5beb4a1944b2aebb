//! A store is restored, replaced, truncated or duplicated, while everything runs.

use std::fs;

use harness::{Postgres, until, until_with_progress};
use rusqlite::Connection;
use serde_json::Value;

use super::site::{Agent, DEADLINE, Site};

const LANE: &str = "/lanes/insurer-a.claim";

const OPEN: &str = "mode = \"open\"";

async fn refill(site: &Site, words: &[&str], config: &str) -> String {
    let command = [&["feed", "refill", "claim"][..], words, &["--config", config]].concat();
    let (is_done, output) = site.command(&command).await;
    assert!(is_done, "{output}");
    output
}

/// Accepts the store of this configuration in place of the one that signed the receipts.
async fn accept(site: &Site, reason: &str, config: &str) {
    let words = [
        "store", "accept", "--actor", "li.na", "--reason", reason, "--config", config,
    ];
    let (is_done, output) = site.command(&words).await;
    assert!(is_done, "{output}");
}

/// Waits until a lane is unverified for this reason, on the page and on the screen.
async fn wait_unverified(site: &Site, poller: &Agent, code: &str, config: &str) {
    let pointer = format!("{LANE}/unverified/{code}/remedy");
    let remedy = poller.wait_status(code, &pointer, Value::is_string).await;
    assert!(
        remedy.as_str().unwrap().contains("slacktide feed refill claim"),
        "{remedy}"
    );
    poller.wait_page("/healthz", 503).await;
    let (_, screen) = site.command(&["status", "--config", config]).await;
    assert!(!screen.contains("caught up"), "{screen}");
}

async fn wait_verified(poller: &Agent) {
    let pointer = format!("{LANE}/unverified");
    poller
        .wait_status("the lane to be verified", &pointer, Value::is_null)
        .await;
}

async fn wait_all_acknowledged(poller: &Agent) {
    until("every chunk to be acknowledged", DEADLINE, async || {
        let status = poller.status().await.unwrap_or_default();
        let lane = status.pointer(LANE).cloned().unwrap_or_default();
        let is_done = lane["frontier"].as_u64() > Some(0) && lane["frontier"] == lane["receipted"];
        if is_done { Ok(()) } else { Err(lane.to_string()) }
    })
    .await;
}

async fn insert(site: &Site, from: u32, count: u32) {
    let to = from + count - 1;
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, amount) SELECT g, 'later', 1.25 FROM generate_series({from}, {to}) g"
        ))
        .await;
}

/// The restore drill: the store is restored from a backup while the exchange and the agents run.
#[tokio::test(flavor = "multi_thread")]
async fn store_restored_is_detected_and_refilled() {
    let site = Site::start("restored_store", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("before"));
    site.wait_until_equal().await;
    poller.stop().await;
    let (admin, name) = (Postgres::shared().await.admin(), site.store.name().to_owned());
    admin
        .execute(&format!("CREATE DATABASE \"{name}_backup\" TEMPLATE \"{name}\""))
        .await;
    let poller = site.poller("poller");
    for part in 0..5 {
        insert(&site, 100_001 + part * 1_000, 900).await;
        site.wait_until_equal().await;
    }
    // Updates and deletes in chunks that the backup does not hold.
    site.core
        .execute("UPDATE claim SET name = 'changed', updated_at = now() WHERE id % 7 = 0")
        .await;
    site.core
        .execute("UPDATE claim SET deleted = true, updated_at = now() WHERE id % 11 = 0")
        .await;
    site.wait_until_equal().await;
    wait_all_acknowledged(&poller).await;

    admin
        .execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"))
        .await;
    admin
        .execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{name}_backup\""))
        .await;
    wait_unverified(&site, &poller, "store_behind", "poller.toml").await;
    until("the bureau to see it", DEADLINE, async || {
        let (_, screen) = site.command(&["status", "--config", "social.toml"]).await;
        let is_seen = screen.contains("the store is behind its own receipts");
        if is_seen { Ok(()) } else { Err(screen) }
    })
    .await;
    // Chunks that arrive now are stored, and the store stays behind.
    insert(&site, 200_001, 500).await;
    let output = refill(&site, &[], "poller.toml").await;
    assert!(output.contains("stored again"), "{output}");
    site.wait_until_equal().await;
    wait_verified(&poller).await;
    wait_all_acknowledged(&poller).await;
    site.assert_ledger_gapless().await;
    site.assert_evidence_valid().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// The rows are gone, and the ledger has every chunk.
#[tokio::test(flavor = "multi_thread")]
async fn table_truncated_or_dropped_is_detected_and_refilled() {
    let site = Site::start("truncated", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    insert(&site, 100_001, 900).await;
    site.wait_until_equal().await;
    for statement in [
        "TRUNCATE claim",
        "DELETE FROM claim WHERE id % 3 = 0",
        "DROP TABLE claim",
    ] {
        site.store.execute(statement).await;
        wait_unverified(&site, &poller, "rows_differ", "poller.toml").await;
        if statement.starts_with("TRUNCATE") {
            // Updates of missing rows count as new rows until everything is stored again.
            site.core
                .execute("UPDATE claim SET name = 'again', updated_at = now() WHERE id % 5 = 0")
                .await;
        }
        refill(&site, &["--from", "start"], "poller.toml").await;
        site.wait_until_equal().await;
        wait_verified(&poller).await;
    }
    // Rows that others changed keep their chunk number: a refill stores the original values.
    site.store.execute("UPDATE claim SET name = 'forged'").await;
    refill(&site, &["--from", "chunk:1.1"], "poller.toml").await;
    site.wait_until_equal().await;
    wait_all_acknowledged(&poller).await;
    site.assert_ledger_gapless().await;
    site.assert_evidence_valid().await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// A copy of the credentials with another database fetches nothing, until an operator accepts it in place of the first one.
#[tokio::test(flavor = "multi_thread")]
async fn second_store_fetches_nothing_until_it_is_accepted() {
    let mut site = Site::start("second", 1_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    wait_all_acknowledged(&poller).await;
    let path = site.file("other.db");
    site.links.store = Some(format!("kind = \"sqlite\"\npath = \"{}\"", path.display()));
    let other = site.poller("other");
    let names_both = |value: &Value| {
        value
            .as_str()
            .is_some_and(|why| why.contains("slacktide store accept"))
    };
    other
        .wait_status("the other store to stop", "/other_store", names_both)
        .await;
    other.wait_page("/healthz", 503).await;
    insert(&site, 100_001, 900).await;
    site.wait_until_equal().await;
    wait_all_acknowledged(&poller).await;
    let status = other.status().await.unwrap();
    assert_eq!(status["fetched"], 0, "{status}");

    accept(&site, "moved to another host", "other.toml").await;
    wait_unverified(&site, &other, "store_behind", "other.toml").await;
    poller
        .wait_status("the first store to stop", "/other_store", names_both)
        .await;
    refill(&site, &["--from", "start"], "other.toml").await;
    insert(&site, 200_001, 300).await;
    wait_equal(&site, &path).await;
    wait_verified(&other).await;
    for agent in [social, poller, other] {
        agent.stop().await;
    }
}

/// Waits until core and SQLite file hold the same rows.
async fn wait_equal(site: &Site, path: &std::path::Path) {
    until_with_progress("core and file to agree", DEADLINE, async || {
        let sum = "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || coalesce(sum(length(name)), 0) FROM claim";
        let core: String = site.core.query(&format!("{sum} WHERE NOT deleted")).await[0].get(0);
        let read = || Connection::open(path)?.query_row(sum, [], |row| row.get::<_, String>(0));
        let store = read().map_err(|error| error.to_string())?;
        if core == store {
            Ok(())
        } else {
            Err(format!("core {core}, store {store}"))
        }
    })
    .await;
}

/// The store's file is replaced under the running agent: by an older copy, then by nothing.
#[tokio::test(flavor = "multi_thread")]
async fn store_file_replaced_is_detected_and_refilled() {
    let mut site = Site::start("replaced", 1_000, OPEN).await;
    let path = site.file("store.db");
    site.links.store = Some(format!("kind = \"sqlite\"\npath = \"{}\"", path.display()));
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_equal(&site, &path).await;
    let copy = site.file("copy.db");
    Connection::open(&path)
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    insert(&site, 100_001, 900).await;
    wait_equal(&site, &path).await;
    wait_all_acknowledged(&poller).await;

    let remove = || {
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(site.file(&format!("store.db{end}")));
        }
    };
    remove();
    fs::rename(&copy, &path).unwrap();
    wait_unverified(&site, &poller, "store_behind", "poller.toml").await;
    insert(&site, 200_001, 300).await;
    refill(&site, &[], "poller.toml").await;
    wait_equal(&site, &path).await;
    wait_verified(&poller).await;
    wait_all_acknowledged(&poller).await;

    fs::remove_file(&path).unwrap();
    remove();
    let names_both = |value: &Value| {
        value
            .as_str()
            .is_some_and(|why| why.contains("slacktide store accept"))
    };
    poller
        .wait_status("a new file to stop", "/other_store", names_both)
        .await;
    insert(&site, 300_001, 300).await;
    accept(&site, "the file is lost", "poller.toml").await;
    poller
        .wait_status("the new file to be accepted", "/other_store", Value::is_null)
        .await;
    refill(&site, &["--from", "start"], "poller.toml").await;
    wait_equal(&site, &path).await;
    wait_verified(&poller).await;
    for agent in [social, poller] {
        agent.stop().await;
    }
}

/// A new epoch can continue from any chunk that the exchange keeps.
#[tokio::test(flavor = "multi_thread")]
async fn epoch_continues_from_any_chunk() {
    let site = Site::start("anychunk", 3_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    for part in 0..3 {
        insert(&site, 100_001 + part * 1_000, 500).await;
        site.wait_until_equal().await;
    }
    let last = "SELECT max(number) FROM slacktide.ledger WHERE epoch = 1";
    assert!(site.store.number(last).await > 3);
    site.store.execute("DELETE FROM claim WHERE id > 100000").await;
    let words = [
        "feed",
        "rewind",
        "claim",
        "--recipient",
        "insurer-a",
        "--from",
        "chunk:1.2",
    ];
    let why = ["--actor", "li.na", "--reason", "lost", "--config", "social.toml"];
    let (is_done, output) = site.command(&[&words[..], &why].concat()).await;
    assert!(is_done, "{output}");
    site.wait_until_equal().await;
    wait_all_acknowledged(&poller).await;
    site.assert_evidence_valid().await;
    let unknown = [
        "feed",
        "rewind",
        "claim",
        "--recipient",
        "insurer-a",
        "--from",
        "chunk:1.999",
    ];
    let (is_done, output) = site.command(&[&unknown[..], &why].concat()).await;
    assert!(
        !is_done && output.contains("does not keep chunk 1.999"),
        "{output}"
    );
    for agent in [social, poller] {
        agent.stop().await;
    }
}

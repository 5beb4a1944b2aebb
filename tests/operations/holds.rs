//! Holds of operators: in force across restarts and takeovers until they are released.

use harness::until;
use serde_json::Value;

use super::commands::WHO;
use crate::pipeline::site::{Agent, DEADLINE, Site};

/// Two feeds over the core's table; only one declares the person of its rows.
const FEEDS: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, deleted, name, amount, memo FROM claim\"\n\
    cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\nmoney = [\"amount\"]\n\
    tombstone = \"deleted\"\nperson = \"name\"\nrecipients = [\"insurer-a\"]\n\
    [[feed]]\nname = \"visit\"\nsql = \"SELECT id, updated_at, amount FROM claim\"\ncursor = [\"updated_at\", \"id\"]\n\
    cursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\nrecipients = [\"insurer-a\"]\n";

const CLAIM: &str = "/lanes/insurer-a.claim/held";
const VISIT: &str = "/lanes/insurer-a.visit/held";

async fn hold(site: &Site, words: &[&str]) -> (bool, String) {
    let tail = ["--config", "first.toml"];
    site.command(&[&["hold"], words, &WHO, &tail].concat()).await
}

/// Returns the id of the one hold in force.
async fn hold_id(site: &Site) -> String {
    let list = ["hold", "list", "--json", "--config", "first.toml"];
    let (_, output) = site.command_stdout(&list).await;
    let output: Value = serde_json::from_str(&output).unwrap();
    let items = output["items"].as_array().unwrap().iter();
    let in_force: Vec<&Value> = items.filter(|hold| hold["state"] == "in_force").collect();
    assert_eq!(in_force.len(), 1, "{output}");
    in_force[0]["id"].as_str().unwrap().to_owned()
}

async fn release(site: &Site) -> String {
    let (is_ok, output) = hold(
        site,
        &["release", &hold_id(site).await, "--reason", "it is settled"],
    )
    .await;
    assert!(is_ok, "{output}");
    output
}

async fn wait_held(agent: &Agent, pointer: &str, who_and_why: &str) {
    agent
        .wait_status("the hold", pointer, |held| {
            held.as_str().is_some_and(|held| held.contains(who_and_why))
        })
        .await;
}

async fn change_rows(site: &Site, from: i64) {
    let sql = format!(
        "INSERT INTO claim (id, name, amount) SELECT {from} + g, 'newcomer ' || g, 1.00 FROM generate_series(1, 50) g"
    );
    site.core.execute(&sql).await;
}

/// Waits for the rows of a feed at the store.
async fn wait_visit_rows(site: &Site, wanted: i64) {
    until("the other feed to continue", DEADLINE, async || {
        let found = site.store.number("SELECT count(*) FROM visit").await;
        if found == wanted {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_of_feed_and_recipient_survives_restart_and_takeover() {
    let mut site = Site::start("operate_hold", 200, "mode = \"open\"").await;
    site.links.feeds = Some(FEEDS.to_owned());
    let first = site.social("first");
    first
        .wait_status("the first to hold the lease", "/lease/held", |held| held == true)
        .await;
    let (second, poller) = (site.social("second"), site.poller("poller"));
    site.wait_until_equal().await;

    let (is_ok, output) = hold(&site, &["add", "--feed", "clam", "--reason", "typing"]).await;
    assert!(!is_ok && output.contains("no feed clam"), "{output}");
    let (is_ok, output) = hold(&site, &["add", "--feed", "claim", "--reason", "court order 3"]).await;
    assert!(
        is_ok && output.contains("claim") && output.contains("li.na: court order 3"),
        "{output}"
    );
    wait_held(&first, CLAIM, "li.na: court order 3").await;
    let claims = "SELECT count(*) FROM claim";
    change_rows(&site, 10_000).await;
    wait_visit_rows(&site, 250).await;

    // Another process that did not see the order, and one that was started afterwards.
    first.stop().await;
    second
        .wait_status("the takeover", "/lease/held", |held| held == true)
        .await;
    wait_held(&second, CLAIM, "court order 3").await;
    change_rows(&site, 20_000).await;
    wait_visit_rows(&site, 300).await;
    second.stop().await;
    let first = site.social("first");
    change_rows(&site, 30_000).await;
    wait_visit_rows(&site, 350).await;
    wait_held(&first, CLAIM, "court order 3").await;
    assert_eq!(site.store.number(claims).await, 200, "a held feed went on");
    first
        .wait_status("the other feed to be free", VISIT, Value::is_null)
        .await;

    let output = release(&site).await;
    assert!(!output.contains("were withheld"), "{output}");
    site.wait_until_equal().await;

    let (is_ok, output) = hold(
        &site,
        &["add", "--recipient", "insurer-a", "--reason", "contract 4"],
    )
    .await;
    assert!(is_ok, "{output}");
    wait_held(&first, CLAIM, "contract 4").await;
    wait_held(&first, VISIT, "contract 4").await;
    release(&site).await;
    for pointer in [CLAIM, VISIT] {
        first.wait_status("the release", pointer, Value::is_null).await;
    }
    change_rows(&site, 40_000).await;
    site.wait_until_equal().await;
    wait_visit_rows(&site, 400).await;
    site.assert_evidence_valid().await;
    first.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_of_a_person_withholds_rows_until_release() {
    let mut site = Site::start("operate_person", 200, "mode = \"open\"").await;
    site.links.feeds = Some(FEEDS.to_owned());
    let (mut first, poller) = (site.social("first"), site.poller("poller"));
    site.wait_until_equal().await;
    let person = "person 7";
    let (is_ok, output) = hold(&site, &["add", "--person", person, "--reason", "about person 7"]).await;
    assert!(!is_ok && output.contains("names the person"), "{output}");
    let (is_ok, output) = hold(
        &site,
        &[
            "add",
            "--person",
            person,
            "--feed",
            "visit",
            "--reason",
            "objection 9",
        ],
    )
    .await;
    assert!(
        !is_ok && output.contains("does not define a person column"),
        "{output}"
    );
    let (is_ok, hold_output) = hold(&site, &["add", "--person", person, "--reason", "objection 9"]).await;
    assert!(
        is_ok && hold_output.contains("feed visit names no person column"),
        "{hold_output}"
    );
    until("the agent to apply the hold", DEADLINE, async || {
        first.process.stderr().contains("hold.begins")
    })
    .await;

    let change = |who: &str, amount: &str| {
        format!("UPDATE claim SET amount = {amount}, updated_at = now() WHERE name = '{who}'")
    };
    site.core.execute(&change(person, "777.77")).await;
    site.core.execute(&change("person 8", "888.88")).await;
    let at_store = async |amount: &str| {
        let sql = format!("SELECT count(*) FROM claim WHERE amount = {amount}");
        site.store.number(&sql).await
    };
    until("the others' rows", DEADLINE, async || {
        at_store("888.88").await == 1
    })
    .await;
    let withheld = "/lanes/insurer-a.claim/withheld";
    first
        .wait_status("a withheld row", withheld, |rows| *rows == 1)
        .await;

    // A crash loses no hold: its start is recorded in the chunks.
    first.process.kill9();
    let first = site.social("first");
    site.core.execute(&change("person 9", "999.99")).await;
    until("the others' rows", DEADLINE, async || {
        at_store("999.99").await == 1
    })
    .await;
    assert_eq!(at_store("777.77").await, 0, "the person's row was sent");

    let list = ["hold", "list", "--config", "first.toml"];
    let (_, listed) = site.command(&list).await;
    assert!(
        listed.contains("a person (") && listed.contains("1 rows withheld so far"),
        "{listed}"
    );
    let released = release(&site).await;
    assert!(released.contains("1 rows were withheld"), "{released}");
    let way = released
        .lines()
        .find_map(|line| line.trim().strip_prefix("slacktide "))
        .expect("a command that sends them");
    let way: Vec<&str> = way
        .split(' ')
        .map(|word| match word {
            "NAME" => "li.na",
            "TEXT" => "released",
            word => word,
        })
        .collect();
    let (is_ok, output) = site.command(&way).await;
    assert!(is_ok, "{output}");
    site.wait_until_equal().await;
    assert_eq!(at_store("777.77").await, 1);
    // No person is named outside the rows.
    let status = first.page("/status").await.unwrap().body;
    for text in [&hold_output, &listed, &released, &status, &first.process.stderr()] {
        assert!(!text.contains(person), "the person is named in {text}");
    }
    site.assert_evidence_valid().await;
    first.stop().await;
    poller.stop().await;
}

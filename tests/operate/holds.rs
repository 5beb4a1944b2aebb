//! What operators keep back: in force across restarts and takeovers, and let go again.

use harness::until;
use serde_json::Value;

use super::told::WHO;
use crate::path::site::{Agent, PATIENCE, Site};

/// Two feeds over the core's table; only one says who its rows are about.
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

/// The id of the one hold in force.
async fn id(site: &Site) -> String {
    let list = ["hold", "list", "--json", "--config", "first.toml"];
    let (_, told) = site.asked(&list).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["in_force"].as_array().map(Vec::len), Some(1), "{told}");
    told["in_force"][0]["order"]["id"].as_str().unwrap().to_owned()
}

async fn release(site: &Site) -> String {
    let (well, told) = hold(site, &["release", &id(site).await, "--reason", "it is settled"]).await;
    assert!(well, "{told}");
    told
}

async fn is_held(agent: &Agent, pointer: &str, who_and_why: &str) {
    agent
        .shows("the hold", pointer, |held| {
            held.as_str().is_some_and(|held| held.contains(who_and_why))
        })
        .await;
}

async fn work(site: &Site, from: i64) {
    let sql = format!(
        "INSERT INTO claim (id, name, amount) SELECT {from} + g, 'newcomer ' || g, 1.00 FROM generate_series(1, 50) g"
    );
    site.core.execute(&sql).await;
}

/// Waits for the rows that a feed has at the store.
async fn visits(site: &Site, wanted: i64) {
    until("the other feed to go on", PATIENCE, async || {
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
async fn a_held_feed_and_recipient_stand_still_across_restart_and_takeover_until_released() {
    let mut site = Site::start("operate_hold", 200, "mode = \"open\"").await;
    site.links.feeds = Some(FEEDS.to_owned());
    let first = site.social("first");
    first
        .shows("the first to hold the lease", "/lease/held", |held| held == true)
        .await;
    let (second, poller) = (site.social("second"), site.poller("poller"));
    site.agree().await;

    let (well, told) = hold(&site, &["add", "--feed", "clam", "--reason", "typing"]).await;
    assert!(!well && told.contains("no feed clam"), "{told}");
    let (well, told) = hold(&site, &["add", "--feed", "claim", "--reason", "court order 3"]).await;
    assert!(
        well && told.contains("claim") && told.contains("li.na: court order 3"),
        "{told}"
    );
    is_held(&first, CLAIM, "li.na: court order 3").await;
    let claims = "SELECT count(*) FROM claim";
    work(&site, 10_000).await;
    visits(&site, 250).await;

    // Another process, that never saw it given; and one that was started afterwards.
    first.stop().await;
    second
        .shows("the takeover", "/lease/held", |held| held == true)
        .await;
    is_held(&second, CLAIM, "court order 3").await;
    work(&site, 20_000).await;
    visits(&site, 300).await;
    second.stop().await;
    let first = site.social("first");
    work(&site, 30_000).await;
    visits(&site, 350).await;
    is_held(&first, CLAIM, "court order 3").await;
    assert_eq!(site.store.number(claims).await, 200, "a held feed went on");
    first
        .shows("the other feed to be free", VISIT, Value::is_null)
        .await;

    let told = release(&site).await;
    assert!(!told.contains("were kept back"), "{told}");
    site.agree().await;

    let (well, told) = hold(
        &site,
        &["add", "--recipient", "insurer-a", "--reason", "contract 4"],
    )
    .await;
    assert!(well, "{told}");
    is_held(&first, CLAIM, "contract 4").await;
    is_held(&first, VISIT, "contract 4").await;
    release(&site).await;
    for pointer in [CLAIM, VISIT] {
        first.shows("the release", pointer, Value::is_null).await;
    }
    work(&site, 40_000).await;
    site.agree().await;
    visits(&site, 400).await;
    site.evidence_holds().await;
    first.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_rows_stay_back_and_can_follow_after_the_release() {
    let mut site = Site::start("operate_person", 200, "mode = \"open\"").await;
    site.links.feeds = Some(FEEDS.to_owned());
    let (mut first, poller) = (site.social("first"), site.poller("poller"));
    site.agree().await;
    let person = "person 7";
    let (well, told) = hold(&site, &["add", "--person", person, "--reason", "about person 7"]).await;
    assert!(!well && told.contains("names the person"), "{told}");
    let (well, told) = hold(
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
    assert!(!well && told.contains("which column names a person"), "{told}");
    let (well, said) = hold(&site, &["add", "--person", person, "--reason", "objection 9"]).await;
    assert!(
        well && said.contains("feed visit names no person column"),
        "{said}"
    );
    until("the agent to note that it obeys", PATIENCE, async || {
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
    until("the others' rows", PATIENCE, async || {
        at_store("888.88").await == 1
    })
    .await;
    let withheld = "/lanes/insurer-a.claim/withheld";
    first.shows("a row kept back", withheld, |rows| *rows == 1).await;

    // A crash forgets nothing: where it began is in the chunks.
    first.process.kill9();
    let first = site.social("first");
    site.core.execute(&change("person 9", "999.99")).await;
    until("the others' rows", PATIENCE, async || {
        at_store("999.99").await == 1
    })
    .await;
    assert_eq!(at_store("777.77").await, 0, "the person's row was sent");

    let list = ["hold", "list", "--config", "first.toml"];
    let (_, listed) = site.command(&list).await;
    assert!(
        listed.contains("a person (") && listed.contains("1 rows kept back so far"),
        "{listed}"
    );
    let released = release(&site).await;
    assert!(released.contains("1 rows were kept back"), "{released}");
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
    let (well, told) = site.command(&way).await;
    assert!(well, "{told}");
    site.agree().await;
    assert_eq!(at_store("777.77").await, 1);
    // Nobody is named anywhere but in the rows.
    let status = first.page("/status").await.unwrap().body;
    for text in [&said, &listed, &released, &status, &first.process.stderr()] {
        assert!(!text.contains(person), "the person is named in {text}");
    }
    site.evidence_holds().await;
    first.stop().await;
    poller.stop().await;
}

//! What masks and the block list hide is nowhere: not at the exchange, not at the insurer, in no log and on no page.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::until;

use super::site::{Agent, PATIENCE, Site};
use crate::gates::BY_FILE;

const FEED: &str = "[blocklist]\npath = \"lists/blocklist\"\n[masking]\nkey = { file = \"keys/masking.key\" }\n\
     [[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, deleted, name, amount, memo, md5(name) AS code FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\ntombstone = \"deleted\"\nperson = \"name\"\nrecipients = [\"insurer-a\"]\n\
     [feed.masks.insurer-a]\nname = \"token\"\nmemo = \"drop\"\ncode = { prefix = 2 }\n";

const ROWS: u32 = 300;

fn write(site: &Site, day: &str, persons: &[u32], counted: usize) {
    let lines: String = persons
        .iter()
        .map(|person| format!("PSN,person {person}\n"))
        .collect();
    let text = format!("HDR,slacktide-blocklist,1,{day}\n{lines}TRL,{counted}\n");
    fs::write(site.file("withdrawn.csv"), text).unwrap();
}

async fn import(site: &Site) -> (bool, String) {
    let words = [
        "blocklist",
        "import",
        "--config",
        "social.toml",
        "--actor",
        "li.na",
    ];
    site.command(&[&words[..], &["--reason", "consents of January", "withdrawn.csv"]].concat())
        .await
}

async fn stored(site: &Site, rows: i64) {
    until("the rows at the store", PATIENCE, async || {
        let store = site.store.connect().await;
        let found = store.query("SELECT count(*) FROM claim", &[]).await;
        let found: i64 = found.map_err(|error| error.to_string())?[0].get(0);
        if found == rows {
            Ok(())
        } else {
            Err(format!("{found} rows"))
        }
    })
    .await;
}

/// All that could hold what is denied, with where it comes from.
async fn everywhere(site: &Site, agents: [&Agent; 2]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for words in [
        &["audit", "replay"][..],
        &["audit", "replay", "--rows"],
        &["audit", "replay", "--stream", "audit"],
    ] {
        let (done, told) = site
            .command(&[words, &["--config", "auditor.toml"]].concat())
            .await;
        assert!(done, "{told}");
        found.push((words.join(" "), told));
    }
    for words in [
        &["status"][..],
        &["feed", "show", "claim"],
        &["blocklist", "show"],
        &["blocklist", "show", "--json"],
    ] {
        let (_, told) = site
            .command(&[words, &["--config", "social.toml"]].concat())
            .await;
        found.push((words.join(" "), told));
    }
    for table in [
        "claim",
        "slacktide.ledger",
        "slacktide.quarantine",
        "slacktide.lanes",
    ] {
        let all = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        let rows = site.store.query(&all).await;
        found.push((table.to_owned(), rows[0].get(0)));
    }
    for agent in agents {
        found.push(("log".to_owned(), agent.process.stderr()));
        for page in ["/status", "/metrics"] {
            found.push((page.to_owned(), agent.page(page).await.unwrap().body));
        }
    }
    found.push(("the exchange's log".to_owned(), site.nats.log()));
    let before = found.len();
    for folder in [site.file(""), site.nats.store()] {
        files(&folder, &mut found);
    }
    let is_there = |end: &str| found[before..].iter().any(|(path, _)| path.ends_with(end));
    assert!(
        is_there(".blk") && is_there("lists/blocklist"),
        "the streams' files are not searched"
    );
    found
}

/// Every file as its bytes stand: the streams', the agents', the list that is kept. Bodies are
/// compressed there; what is in them was unpacked above.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("withdrawn.csv") {
            // The server may take an index away while we look.
            let Ok(bytes) = fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

/// While the list's file is none, nobody can tell who was on it: nothing is read, and the reason is shown.
async fn damaged(site: &Site, social: &Agent) {
    let path = site.file("lists/blocklist");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    social
        .shows("the lane held", "/lanes/insurer-a.claim/held", |held| {
            held.as_str()
                .is_some_and(|why| why.contains("is damaged") && why.contains("blocklist import"))
        })
        .await;
    site.core
        .execute(
            "INSERT INTO claim SELECT g, now(), false, 'person ' || g, 1, repeat(md5(g::text), 6) \
             FROM generate_series(303, 303) g",
        )
        .await;
    fs::write(&path, whole).unwrap();
    stored(site, i64::from(ROWS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_or_masked_value_is_nowhere_and_a_new_list_is_taken_up() {
    let mut site = Site::start("hidden", ROWS, BY_FILE).await;
    site.links.feeds = Some(FEED.to_owned());
    let secret = site.file("keys/masking.key");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();

    // Without the list that is configured, nobody starts.
    let mut early = site.social("social");
    let status = early.process.wait_exit(PATIENCE).await;
    assert_eq!(status.code(), Some(2), "{}", early.process.stderr());
    assert!(early.process.stderr().contains("the agent does not start"));

    // A list that was cut short is not taken.
    write(&site, "2026-01-31", &[7, 11], 3);
    let (done, told) = import(&site).await;
    assert!(
        !done && told.contains("the trailer counts 3") && !told.contains("person 7"),
        "{told}"
    );
    write(&site, "2026-01-31", &[7, 11], 2);
    let (done, told) = import(&site).await;
    assert!(done && told.contains("2 persons, of 2026-01-31"), "{told}");

    let preview = [
        "masking",
        "preview",
        "--config",
        "social.toml",
        "--feed",
        "claim",
        "--recipient",
        "insurer-a",
    ];
    let (code, shown) = site
        .asked(&[&preview[..], &["--rows", "20", "--json"]].concat())
        .await;
    assert_eq!(code, Some(0), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["rows"].as_array().unwrap().len(), 18);
    assert_eq!(
        (&shown["withheld"], &shown["not_sent"][0]),
        (&2.into(), &"memo".into())
    );
    assert_eq!(shown["rows"][0]["name"].as_str().unwrap().len(), 32);
    assert!(!shown.to_string().contains("person 1"));

    let (social, poller) = (site.social("social"), site.poller("poller"));
    stored(&site, i64::from(ROWS) - 2).await;
    social
        .shows("what was kept back", "/lanes/insurer-a.claim/withheld", |rows| {
            *rows == 2
        })
        .await;

    // A new list, while the agent runs.
    write(&site, "2026-02-01", &[7, 11, 301], 3);
    let (done, told) = import(&site).await;
    assert!(done && told.contains("before: 2 persons"), "{told}");
    social
        .shows("the new list in force", "/blocklist/persons", |persons| {
            *persons == 3
        })
        .await;
    site.core
        .execute(
            "INSERT INTO claim SELECT g, now(), false, 'person ' || g, 1, repeat(md5(g::text), 6) \
             FROM generate_series(301, 302) g",
        )
        .await;
    stored(&site, i64::from(ROWS) - 1).await;
    let ids = "SELECT count(*) FROM claim WHERE id IN (7, 11, 301)";
    assert_eq!(site.store.number(ids).await, 0, "a person on the list crossed");
    let same = "SELECT count(DISTINCT name) FROM claim WHERE length(name) = 32 AND length(code) = 2";
    assert_eq!(
        site.store.number(same).await,
        i64::from(ROWS) - 1,
        "a token for each person"
    );

    damaged(&site, &social).await;

    let memos: Vec<String> = site
        .core
        .query("SELECT md5(id::text) FROM claim")
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    let codes: Vec<String> = site
        .core
        .query("SELECT md5(name) FROM claim")
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    for (place, text) in everywhere(&site, [&social, &poller]).await {
        for person in 1..=ROWS + 3 {
            assert!(
                !text.contains(&format!("person {person}")),
                "a person is in {place}"
            );
        }
        for value in memos.iter().chain(&codes) {
            assert!(!text.contains(value.as_str()), "a masked value is in {place}");
        }
    }
    let (_, told) = site.command(&["status", "--config", "social.toml"]).await;
    assert!(told.contains("the block list kept 3 rows back"), "{told}");
    let (_, acts) = site
        .command(&["audit", "replay", "--stream", "audit", "--config", "auditor.toml"])
        .await;
    assert!(
        acts.contains("blocklist.import") && acts.contains("consents of January"),
        "{acts}"
    );
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}

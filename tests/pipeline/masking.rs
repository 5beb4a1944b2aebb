//! Values hidden by masks and the block list are nowhere: not at the exchange, not at the insurer, in no log and on no page.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::until;

use super::site::{Agent, DEADLINE, Site};
use crate::gate_config::STOP_FILE_GATE;

pub(super) const FEED: &str = "[blocklist]\npath = \"lists/blocklist\"\n[masking]\nkey = { file = \"keys/masking.key\" }\n\
     [[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, deleted, name, amount, memo, md5(name) AS code FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\ntombstone = \"deleted\"\nperson = \"name\"\nrecipients = [\"insurer-a\"]\n\
     [feed.masks.insurer-a]\nname = \"token\"\nmemo = \"drop\"\ncode = { prefix = 2 }\n";

const ROWS: u32 = 300;

pub(super) fn write_list(site: &Site, day: &str, persons: &[u32], counted: usize) {
    let lines: String = persons
        .iter()
        .map(|person| format!("PSN,person {person}\n"))
        .collect();
    let text = format!("HDR,slacktide-blocklist,1,{day}\n{lines}TRL,{counted}\n");
    fs::write(site.file("withdrawn.csv"), text).unwrap();
}

pub(super) async fn import(site: &Site) -> (bool, String) {
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

pub(super) async fn wait_stored_rows(site: &Site, rows: i64) {
    until("the rows at the store", DEADLINE, async || {
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

/// Collects everything that could hold a denied value, with its source.
async fn collect_everything(site: &Site, agents: [&Agent; 2]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for words in [
        &["audit", "replay"][..],
        &["audit", "replay", "--rows"],
        &["audit", "replay", "--stream", "audit"],
    ] {
        let (done, output) = site
            .command(&[words, &["--config", "auditor.toml"]].concat())
            .await;
        assert!(done, "{output}");
        found.push((words.join(" "), output));
    }
    for words in [
        &["status"][..],
        &["feed", "show", "claim"],
        &["blocklist", "show"],
        &["blocklist", "show", "--json"],
    ] {
        let (_, output) = site
            .command(&[words, &["--config", "social.toml"]].concat())
            .await;
        found.push((words.join(" "), output));
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
        collect_files(&folder, &mut found);
    }
    let is_there = |end: &str| found[before..].iter().any(|(path, _)| path.ends_with(end));
    assert!(
        is_there(".blk") && is_there("lists/blocklist"),
        "the streams' files are not searched"
    );
    found
}

/// Collects every file as raw bytes: the streams, the agents' files, the stored list. Bodies are compressed in them; they were
/// unpacked above.
fn collect_files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_files(&path, found);
        } else if !path.ends_with("withdrawn.csv") {
            // The server may remove an index file during the search.
            let Ok(bytes) = fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

/// Damages the list's file: the listed persons are unknown, so nothing is read, and the reason is shown.
async fn assert_damaged_list_stops_reads(site: &Site, social: &Agent) {
    let path = site.file("lists/blocklist");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    social
        .wait_status("the lane held", "/lanes/insurer-a.claim/held", |held| {
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
    wait_stored_rows(site, i64::from(ROWS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_denied_or_masked_value_is_nowhere_and_is_reloaded() {
    let mut site = Site::start("hidden", ROWS, STOP_FILE_GATE).await;
    site.links.feeds = Some(FEED.to_owned());
    let secret = site.file("keys/masking.key");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();

    // Without the configured list the agent does not start.
    let mut early = site.social("social");
    let status = early.process.wait_exit(DEADLINE).await;
    assert_eq!(status.code(), Some(2), "{}", early.process.stderr());
    assert!(early.process.stderr().contains("the agent does not start"));

    // A truncated list is refused.
    write_list(&site, "2026-01-31", &[7, 11], 3);
    let (done, output) = import(&site).await;
    assert!(
        !done && output.contains("the trailer counts 3") && !output.contains("person 7"),
        "{output}"
    );
    write_list(&site, "2026-01-31", &[7, 11], 2);
    let (done, output) = import(&site).await;
    assert!(done && output.contains("2 persons, of 2026-01-31"), "{output}");

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
        .command_stdout(&[&preview[..], &["--rows", "20", "--json"]].concat())
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
    wait_stored_rows(&site, i64::from(ROWS) - 2).await;
    social
        .wait_status("the withheld rows", "/lanes/insurer-a.claim/withheld", |rows| {
            *rows == 2
        })
        .await;

    // A new list, while the agent runs.
    write_list(&site, "2026-02-01", &[7, 11, 301], 3);
    let (done, output) = import(&site).await;
    assert!(done && output.contains("before: 2 persons"), "{output}");
    social
        .wait_status("the new list in force", "/blocklist/persons", |persons| {
            *persons == 3
        })
        .await;
    site.core
        .execute(
            "INSERT INTO claim SELECT g, now(), false, 'person ' || g, 1, repeat(md5(g::text), 6) \
             FROM generate_series(301, 302) g",
        )
        .await;
    wait_stored_rows(&site, i64::from(ROWS) - 1).await;
    let ids = "SELECT count(*) FROM claim WHERE id IN (7, 11, 301)";
    assert_eq!(site.store.number(ids).await, 0, "a person on the list crossed");
    let same = "SELECT count(DISTINCT name) FROM claim WHERE length(name) = 32 AND length(code) = 2";
    assert_eq!(
        site.store.number(same).await,
        i64::from(ROWS) - 1,
        "a token for each person"
    );

    assert_damaged_list_stops_reads(&site, &social).await;

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
    for (place, text) in collect_everything(&site, [&social, &poller]).await {
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
    let (_, output) = site.command(&["status", "--config", "social.toml"]).await;
    assert!(output.contains("the block list withholds 3 rows"), "{output}");
    let (_, entries) = site
        .command(&["audit", "replay", "--stream", "audit", "--config", "auditor.toml"])
        .await;
    assert!(
        entries.contains("blocklist.import") && entries.contains("consents of January"),
        "{entries}"
    );
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

//! SQLite on both sides.

use harness::until;
use rusqlite::Connection;

use super::output::{AgentOutput, MARKER};
use crate::pipeline::site::{DEADLINE, Links, Site};

const CORE: &str = "
    CREATE TABLE claim (id INTEGER PRIMARY KEY, updated_at TEXT NOT NULL, name TEXT);
    CREATE VIEW failing AS SELECT id, updated_at, json_extract('{}', name) AS name FROM claim;
    WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 30)
    INSERT INTO claim SELECT id, strftime('%Y-%m-%d %H:%M:%f', '2026-01-01 00:00:00.125', '+' || id || ' minutes'), '$.' || id FROM n;";

/// A trigger with its own message, a check that shows its expression, and a unique index over names.
const STORE: &str = "
    CREATE TRIGGER loud BEFORE INSERT ON claim WHEN new.id = 11 BEGIN SELECT RAISE(ABORT, new.name); END;
    ALTER TABLE claim ADD COLUMN checked TEXT CHECK (id <> 12 OR name <> '$marker12');
    CREATE UNIQUE INDEX once ON claim (name) WHERE id IN (13, 14);";

const FEEDS: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, name FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\n\
     recipients = [\"insurer-a\"]\n\
     [[feed]]\nname = \"failing\"\nsql = \"SELECT id, updated_at, name FROM failing\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\n\
     types = { name = \"text\" }\nrecipients = [\"insurer-a\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_messages_with_a_value_are_not_recorded() {
    let mut site = Site::start("messages_sqlite", 1, "mode = \"open\"").await;
    site.links = Links {
        feeds: Some(FEEDS.to_owned()),
        store: Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned()),
        env: vec![("SLACKTIDE_LOG".into(), "trace".into())],
        ..Links::default()
    };
    let open = |name: &str| {
        let database = Connection::open(site.file(name)).unwrap();
        database.busy_timeout(DEADLINE).unwrap();
        database
    };
    let planted = |sql: &str| sql.replace("$marker", MARKER);
    open("core.db").execute_batch(CORE).unwrap();
    let to_sqlite = |text: String| {
        let url = format!(
            "kind = \"postgres\"\nurl = {{ value = \"{}\" }}",
            site.core.url_as(&site.reader)
        );
        assert!(text.contains(&url), "{text}");
        text.replace(&url, "kind = \"sqlite\"\npath = \"core.db\"")
    };
    let (social, poller) = (site.social_with("social", to_sqlite), site.poller("poller"));
    let number = |sql: &str| {
        let found = open("store.db").query_row(sql, [], |row| row.get::<_, i64>(0));
        found.unwrap_or(-1)
    };
    let reach = async |what: &str, sql: &str, wanted: i64| {
        until(what, DEADLINE, async || {
            let now = number(sql);
            if now == wanted { Ok(()) } else { Err(now) }
        })
        .await;
    };
    reach("all rows", "SELECT count(*) FROM claim", 30).await;
    open("store.db").execute_batch(&planted(STORE)).unwrap();
    let changed = format!(
        "UPDATE claim SET name = '{MARKER}' || CASE WHEN id IN (13, 14) THEN '' ELSE id END, \
         updated_at = strftime('%Y-%m-%d %H:%M:%f', '2026-02-01 00:00:00.125', '+' || id || ' minutes') WHERE id BETWEEN 11 AND 20"
    );
    open("core.db").execute_batch(&changed).unwrap();
    reach(
        "rows in quarantine",
        "SELECT count(*) FROM slacktide_quarantine",
        3,
    )
    .await;
    until("the feed that fails on the status page", DEADLINE, async || {
        let page = social.page("/status").await.ok_or("no answer")?.body;
        if page.contains("the statement failed (SQLite 1)") {
            Ok(())
        } else {
            Err(page)
        }
    })
    .await;

    let output = AgentOutput::collect(&site, &[&social, &poller]).await;
    for reason in [
        "a trigger raised an error (SQLite 1811)",
        "a check constraint is violated (SQLite 275)",
        "a unique constraint is violated (SQLite 2067): claim.name",
    ] {
        output.assert_contains("quarantine list --config poller.toml", reason);
    }
    output.assert_contains("stream data", "\"feed\":\"claim\"");
    output.assert_no_marker();
    social.stop().await;
    poller.stop().await;
}

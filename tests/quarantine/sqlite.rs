//! The same commands over a SQLite store.

use harness::until;
use rusqlite::Connection;

use super::commands::{OPEN, ids, list};
use crate::pipeline::site::{DEADLINE, Site};

/// A constraint of the store's owner, until it is dropped.
const RULE: &str = "CREATE TRIGGER small BEFORE INSERT ON claim WHEN CAST(new.amount AS REAL) >= 5000 \
     BEGIN SELECT RAISE(ABORT, 'too much'); END";

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_rows_of_a_sqlite_store_are_retried() {
    let mut site = Site::start("quarantine_sqlite", 300, OPEN).await;
    site.links.store = Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned());
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let open = || {
        let store = Connection::open(site.file("store.db")).unwrap();
        store.busy_timeout(DEADLINE).unwrap();
        store
    };
    let number = |sql: &str| {
        open()
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap_or(-1)
    };
    let reach = async |what: &str, sql: &str, wanted: i64| {
        until(what, DEADLINE, async || {
            let now = number(sql);
            if now == wanted { Ok(()) } else { Err(now) }
        })
        .await;
    };
    reach("all rows", "SELECT count(*) FROM claim", 300).await;
    open().execute_batch(RULE).unwrap();
    site.core
        .execute("UPDATE claim SET amount = 7000, updated_at = now() WHERE id <= 20")
        .await;
    reach(
        "rows in quarantine",
        "SELECT count(*) FROM slacktide_quarantine WHERE ended IS NULL",
        20,
    )
    .await;
    let retry = [
        "quarantine",
        "retry",
        "--all",
        "--reason",
        "rule dropped",
        "--config",
        "poller.toml",
    ];
    let (is_ok, output) = site.command(&retry).await;
    assert!(!is_ok && output.contains("stays"), "{output}");
    let id = ids(&list(&site, "poller.toml").await, "row").remove(0);
    let why = ["--actor", "li.na", "--reason", "not wanted"];
    let discard = ["quarantine", "discard", &id, "--config", "poller.toml"];
    let (is_ok, output) = site.command(&[discard.as_slice(), &why].concat()).await;
    assert!(is_ok, "{output}");
    open().execute_batch("DROP TRIGGER small").unwrap();
    let (is_ok, output) = site.command(&retry).await;
    assert!(is_ok && output.contains("released"), "{output}");
    assert_eq!(
        number("SELECT count(*) FROM claim WHERE CAST(amount AS REAL) = 7000"),
        19
    );
    assert!(list(&site, "poller.toml").await.is_empty());
    social.stop().await;
    poller.stop().await;
}

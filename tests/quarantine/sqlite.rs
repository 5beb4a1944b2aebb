//! The same commands over a SQLite store.

use harness::until;
use rusqlite::Connection;

use super::told::{OPEN, ids, list};
use crate::path::site::{PATIENCE, Site};

/// A rule of the store's owner, until it is dropped.
const RULE: &str = "CREATE TRIGGER small BEFORE INSERT ON claim WHEN CAST(new.amount AS REAL) >= 5000 \
     BEGIN SELECT RAISE(ABORT, 'too much'); END";

#[tokio::test(flavor = "multi_thread")]
async fn rows_leave_the_quarantine_of_a_sqlite_store() {
    let mut site = Site::start("quarantine_sqlite", 300, OPEN).await;
    site.links.store = Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned());
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let open = || {
        let store = Connection::open(site.file("store.db")).unwrap();
        store.busy_timeout(PATIENCE).unwrap();
        store
    };
    let number = |sql: &str| {
        open()
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap_or(-1)
    };
    let reach = async |what: &str, sql: &str, wanted: i64| {
        until(what, PATIENCE, async || {
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
    let (well, told) = site.command(&retry).await;
    assert!(!well && told.contains("stays"), "{told}");
    let id = ids(&list(&site, "poller.toml").await, "row").remove(0);
    let why = ["--actor", "li.na", "--reason", "not wanted"];
    let discard = ["quarantine", "discard", &id, "--config", "poller.toml"];
    let (well, told) = site.command(&[discard.as_slice(), &why].concat()).await;
    assert!(well, "{told}");
    open().execute_batch("DROP TRIGGER small").unwrap();
    let (well, told) = site.command(&retry).await;
    assert!(well && told.contains("released"), "{told}");
    assert_eq!(
        number("SELECT count(*) FROM claim WHERE CAST(amount AS REAL) = 7000"),
        19
    );
    assert!(list(&site, "poller.toml").await.is_empty());
    social.stop().await;
    poller.stop().await;
}

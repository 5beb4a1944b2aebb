//! A feed with the name of one of the insurer's tables.

use super::{site, store, wait_claim_rows, wait_not_stopped};
use crate::schema_change::databases::{Kind, lane, wait_stopped};

/// A table of the insurer's own program that would fit the feed in every way.
const THEIRS: &str = "CREATE TABLE payments (id BIGINT PRIMARY KEY, updated_at TIMESTAMPTZ, name TEXT, deleted BOOLEAN, \
     note TEXT); INSERT INTO payments (id, name, note) VALUES (1, 'theirs', 'kept'), (77, 'theirs', 'kept')";

const ROWS: &str = "SELECT id || '|' || name || '|' || coalesce(note, '-') FROM payments ORDER BY id";

async fn assert_unchanged(kind: Kind, name: &str) {
    let mut site = site(kind, name, &[("payments", "deleted, name")]).await;
    kind.execute(&site, THEIRS).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_claim_rows(kind, &site).await;
    let words = [
        "did not create",
        "table = \"payments\" under [store.feed.payments]",
    ];
    wait_stopped(&site, "poller.toml", "payments", &words).await;
    // The bureau sees that its lane is stopped, and nothing of the insurer's database.
    wait_stopped(
        &site,
        "social.toml",
        "payments",
        &["at the receiver", "feed payments"],
    )
    .await;
    let seen = lane(&site, "social.toml", "payments").await.to_string();
    for hidden in ["did not create", "public", "store.feed"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    assert_eq!(kind.lines(&site, ROWS).await, ["1|theirs|kept", "77|theirs|kept"]);
    let altered = kind
        .lines(&site, "SELECT CAST(_slacktide_epoch AS text) FROM payments")
        .await;
    assert!(
        altered[0].contains("_slacktide_epoch"),
        "their table was altered: {altered:?}"
    );

    // The insurer's operator configures that this table is meant.
    poller.stop().await;
    let named = "\n[store.feed.payments]\ntable = \"payments\"";
    site.links.store = Some(store(kind, &site) + named);
    let poller = site.poller("poller");
    let adopted = [
        "1|person 1|kept",
        "2|person 2|-",
        "3|person 3|-",
        "77|theirs|kept",
    ];
    kind.wait_lines(&site, "the adopted table", ROWS, &adopted).await;
    for config in ["poller.toml", "social.toml"] {
        wait_not_stopped(&site, config, "payments").await;
    }
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_existing_table_is_left_unchanged() {
    assert_unchanged(Kind::Postgres, "names_table_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_existing_table_is_left_unchanged() {
    assert_unchanged(Kind::Sqlite, "names_table_sqlite").await;
}

//! Feeds and columns with names that the store or the database reserves.

use super::{assert_metric_refused, bookkeeping_table, site, store, wait_claim_rows, wait_not_stopped};
use crate::schema_change::databases::{Kind, wait_stopped};

/// The columns of the outbox, as the insurer's programs fill them: a forged request.
const OUTBOX: &str = "'forged ' || id AS idempotency, 'setl.by_person' AS kind, '{}' AS arguments, '01' AS purpose, \
     '01' AS basis";

async fn assert_creates_nothing(kind: Kind, name: &str) {
    let feeds = [
        ("slacktide_outbox", OUTBOX),
        ("slacktide_requests", "'insurer-a' AS recipient, deleted"),
        ("sqlite_sequence", "name"),
        ("pg_class", "name"),
    ];
    let mut site = site(kind, name, &feeds).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_claim_rows(kind, &site).await;
    for (feed, _) in feeds {
        let remedy = format!("table = \"…\" under [store.feed.{feed}]");
        wait_stopped(&site, "poller.toml", feed, &["reserved", &remedy]).await;
        wait_stopped(&site, "social.toml", feed, &["at the receiver", feed]).await;
    }
    for table in ["outbox", "requests"] {
        let count = format!(
            "SELECT CAST(count(*) AS text) FROM {}",
            bookkeeping_table(kind, table)
        );
        assert_eq!(kind.lines(&site, &count).await, ["0"], "{table}");
    }
    let requests = poller.status().await.unwrap_or_default()["requests"]["taken"].clone();
    assert_eq!(requests.as_u64().unwrap_or(0), 0, "a forged request was filed");

    // The configuration cannot name these tables either.
    let good = std::fs::read_to_string(site.file("poller.toml")).unwrap();
    for (key, name) in [
        ("schema", "slacktide"),
        ("table", "slacktide_outbox"),
        ("history", "main.slacktide_requests"),
    ] {
        let text = good.replace(
            "[poll]",
            &format!("[store.feed.claim]\n{key} = \"{name}\"\n[poll]"),
        );
        std::fs::write(site.file("wrong.toml"), text).unwrap();
        let (is_ok, output) = site.command(&["config", "check", "--config", "wrong.toml"]).await;
        assert!(
            !is_ok && output.contains(&format!("store.feed.claim.{key}")),
            "{key}: {output}"
        );
    }

    // With another table name it is a feed like others.
    poller.stop().await;
    let named = "\n[store.feed.slacktide_outbox]\ntable = \"from_the_bureau\"";
    site.links.store = Some(store(kind, &site) + named);
    let poller = site.poller("poller");
    let rows = "SELECT idempotency FROM from_the_bureau ORDER BY id";
    let wanted = ["forged 1", "forged 2", "forged 3"];
    kind.wait_lines(&site, "the feed under another name", rows, &wanted)
        .await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_feed_with_a_reserved_name_creates_nothing() {
    assert_creates_nothing(Kind::Postgres, "names_reserved_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_feed_with_a_reserved_name_creates_nothing() {
    assert_creates_nothing(Kind::Sqlite, "names_reserved_sqlite").await;
}

/// Asserts that a chunk that no retry can store is shown on every surface, on both sides.
async fn assert_shown(kind: Kind, name: &str) {
    let mut site = site(kind, name, &[("epochs", "7 AS _slacktide_epoch")]).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_claim_rows(kind, &site).await;
    let words = ["\"_slacktide_epoch\"", "columns = {", "[store.feed.epochs]"];
    wait_stopped(&site, "poller.toml", "epochs", &words).await;
    wait_stopped(
        &site,
        "social.toml",
        "epochs",
        &["at the receiver", "\"_slacktide_epoch\""],
    )
    .await;
    let page = poller.wait_page("/healthz", 503).await;
    assert!(
        page.contains("_slacktide_epoch") && page.contains("[store.feed.epochs]"),
        "{page}"
    );
    social
        .wait_status(
            "the receiver's stop",
            "/lanes/insurer-a.epochs/receiver_stopped",
            |why| why.as_str().is_some_and(|why| why.contains("_slacktide_epoch")),
        )
        .await;
    assert_metric_refused(&poller, "epochs", 1).await;
    assert_metric_refused(&poller, "claim", 0).await;
    let (_, output) = site.command(&["doctor", "--config", "poller.toml"]).await;
    assert!(
        output.contains("_slacktide_epoch") && output.contains("[store.feed.epochs]"),
        "{output}"
    );
    let log = poller.process.stderr();
    let lines = log
        .lines()
        .filter(|line| line.contains("waits for an operator") && line.contains("_slacktide_epoch"));
    assert_eq!(lines.count(), 1, "{log}");

    poller.stop().await;
    let named = "\n[store.feed.epochs]\ncolumns = { _slacktide_epoch = \"their_epoch\" }";
    site.links.store = Some(store(kind, &site) + named);
    let poller = site.poller("poller");
    let rows = "SELECT CAST(their_epoch AS text) FROM epochs";
    kind.wait_lines(&site, "the column under another name", rows, &["7", "7", "7"])
        .await;
    wait_not_stopped(&site, "social.toml", "epochs").await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_reserved_column_is_shown_on_both_sides() {
    assert_shown(Kind::Postgres, "names_column_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_reserved_column_is_shown_on_both_sides() {
    assert_shown(Kind::Sqlite, "names_column_sqlite").await;
}

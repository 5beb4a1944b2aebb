//! Feeds and columns that are called like what the store or the database keeps for itself.

use super::{claim_goes_on, metric_is_refused, own, site, store, until_not_stopped};
use crate::change::ends::{Kind, stopped};

/// The columns of the outbox, as the insurer's programs fill them: a request that nobody there asked for.
const OUTBOX: &str = "'forged ' || id AS idempotency, 'setl.by_person' AS kind, '{}' AS arguments, '01' AS purpose, \
     '01' AS basis";

async fn makes_nothing(kind: Kind, name: &str) {
    let feeds = [
        ("slacktide_outbox", OUTBOX),
        ("slacktide_requests", "'insurer-a' AS recipient, deleted"),
        ("sqlite_sequence", "name"),
        ("pg_class", "name"),
    ];
    let mut site = site(kind, name, &feeds).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    claim_goes_on(kind, &site).await;
    for (feed, _) in feeds {
        let remedy = format!("table = \"…\" under [store.feed.{feed}]");
        stopped(&site, "poller.toml", feed, &["reserved", &remedy]).await;
        stopped(&site, "social.toml", feed, &["at the receiver", feed]).await;
    }
    for table in ["outbox", "requests"] {
        let count = format!("SELECT CAST(count(*) AS text) FROM {}", own(kind, table));
        assert_eq!(kind.lines(&site, &count).await, ["0"], "{table}");
    }
    let requests = poller.status().await.unwrap_or_default()["requests"]["taken"].clone();
    assert_eq!(requests.as_u64().unwrap_or(0), 0, "a forged request was filed");

    // Nor does the configuration reach there.
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
        let (well, told) = site.command(&["config", "check", "--config", "wrong.toml"]).await;
        assert!(
            !well && told.contains(&format!("store.feed.claim.{key}")),
            "{key}: {told}"
        );
    }

    // Under a table of its own it is a feed like others.
    poller.stop().await;
    let named = "\n[store.feed.slacktide_outbox]\ntable = \"from_the_bureau\"";
    site.links.store = Some(store(kind, &site) + named);
    let poller = site.poller("poller");
    let rows = "SELECT idempotency FROM from_the_bureau ORDER BY id";
    let wanted = ["forged 1", "forged 2", "forged 3"];
    kind.reaches(&site, "the feed under another name", rows, &wanted)
        .await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_feed_with_a_reserved_name_makes_nothing() {
    makes_nothing(Kind::Postgres, "names_reserved_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_feed_with_a_reserved_name_makes_nothing() {
    makes_nothing(Kind::Sqlite, "names_reserved_sqlite").await;
}

/// A chunk that no repetition stores is shown wherever an operator looks, on both sides.
async fn is_shown(kind: Kind, name: &str) {
    let mut site = site(kind, name, &[("epochs", "7 AS _slacktide_epoch")]).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    claim_goes_on(kind, &site).await;
    let words = ["\"_slacktide_epoch\"", "columns = {", "[store.feed.epochs]"];
    stopped(&site, "poller.toml", "epochs", &words).await;
    stopped(
        &site,
        "social.toml",
        "epochs",
        &["at the receiver", "\"_slacktide_epoch\""],
    )
    .await;
    let page = poller.answers("/healthz", 503).await;
    assert!(
        page.contains("_slacktide_epoch") && page.contains("[store.feed.epochs]"),
        "{page}"
    );
    social
        .shows(
            "the receiver's word",
            "/lanes/insurer-a.epochs/receiver_stopped",
            |why| why.as_str().is_some_and(|why| why.contains("_slacktide_epoch")),
        )
        .await;
    metric_is_refused(&poller, "epochs", 1).await;
    metric_is_refused(&poller, "claim", 0).await;
    let (_, told) = site.command(&["doctor", "--config", "poller.toml"]).await;
    assert!(
        told.contains("_slacktide_epoch") && told.contains("[store.feed.epochs]"),
        "{told}"
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
    kind.reaches(&site, "the column under another name", rows, &["7", "7", "7"])
        .await;
    until_not_stopped(&site, "social.toml", "epochs").await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_postgres_reserved_column_is_shown_on_both_sides() {
    is_shown(Kind::Postgres, "names_column_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_sqlite_reserved_column_is_shown_on_both_sides() {
    is_shown(Kind::Sqlite, "names_column_sqlite").await;
}

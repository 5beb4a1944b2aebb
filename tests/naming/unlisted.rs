//! The insurer's list of feeds: other lanes wait at the exchange, and are shown.

use super::{assert_metric_refused, bookkeeping_table, site, wait_claim_rows};
use crate::schema_change::databases::{Kind, wait_stopped};

async fn assert_waits(kind: Kind, name: &str) {
    let mut site = site(kind, name, &[("unwanted", "name")]).await;
    site.links.only = Some("[\"claim\"]".to_owned());
    let (social, poller) = (site.social("social"), site.poller("poller"));
    wait_claim_rows(kind, &site).await;
    let words = ["unwanted", "not in feeds of [commercial]", "add it there"];
    wait_stopped(&site, "poller.toml", "unwanted", &words).await;
    wait_stopped(
        &site,
        "social.toml",
        "unwanted",
        &["at the receiver", "has not listed"],
    )
    .await;
    let (_, output) = site.command(&["doctor", "--config", "poller.toml"]).await;
    assert!(
        output.contains("unwanted") && output.contains("[commercial]"),
        "{output}"
    );
    let page = poller.wait_page("/healthz", 503).await;
    assert!(page.contains("unwanted"), "{page}");
    assert_metric_refused(&poller, "unwanted", 1).await;
    let stored = format!(
        "SELECT CAST(count(*) AS text) FROM {} WHERE feed = 'unwanted'",
        bookkeeping_table(kind, "ledger")
    );
    assert_eq!(kind.lines(&site, &stored).await, ["0"]);
    let none = kind.lines(&site, "SELECT name FROM unwanted").await;
    assert!(none[0].contains("unwanted"), "a table was made: {none:?}");

    // Nothing was lost: waiting chunks are stored once the feed is listed.
    poller.stop().await;
    site.links.only = Some("[\"claim\", \"unwanted\"]".to_owned());
    let poller = site.poller("poller");
    let rows = "SELECT name FROM unwanted ORDER BY id";
    kind.wait_lines(
        &site,
        "the listed feed",
        rows,
        &["person 1", "person 2", "person 3"],
    )
    .await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poller_unlisted_feed_waits_and_is_shown_in_postgres() {
    assert_waits(Kind::Postgres, "names_listed_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poller_unlisted_feed_waits_and_is_shown_in_sqlite() {
    assert_waits(Kind::Sqlite, "names_listed_sqlite").await;
}

//! The insurer's list of feeds: lanes outside of it wait at the exchange, and are shown.

use super::{claim_goes_on, metric_is_refused, own, site};
use crate::change::ends::{Kind, stopped};

async fn waits(kind: Kind, name: &str) {
    let mut site = site(kind, name, &[("unwanted", "name")]).await;
    site.links.only = Some("[\"claim\"]".to_owned());
    let (social, poller) = (site.social("social"), site.poller("poller"));
    claim_goes_on(kind, &site).await;
    let words = ["unwanted", "not in feeds of [commercial]", "add it there"];
    stopped(&site, "poller.toml", "unwanted", &words).await;
    stopped(
        &site,
        "social.toml",
        "unwanted",
        &["at the receiver", "has not listed"],
    )
    .await;
    let (_, told) = site.command(&["doctor", "--config", "poller.toml"]).await;
    assert!(
        told.contains("unwanted") && told.contains("[commercial]"),
        "{told}"
    );
    let page = poller.answers("/healthz", 503).await;
    assert!(page.contains("unwanted"), "{page}");
    metric_is_refused(&poller, "unwanted", 1).await;
    let stored = format!(
        "SELECT CAST(count(*) AS text) FROM {} WHERE feed = 'unwanted'",
        own(kind, "ledger")
    );
    assert_eq!(kind.lines(&site, &stored).await, ["0"]);
    let none = kind.lines(&site, "SELECT name FROM unwanted").await;
    assert!(none[0].contains("unwanted"), "a table was made: {none:?}");

    // Nothing was lost: what waited is stored once it is listed.
    poller.stop().await;
    site.links.only = Some("[\"claim\", \"unwanted\"]".to_owned());
    let poller = site.poller("poller");
    let rows = "SELECT name FROM unwanted ORDER BY id";
    kind.reaches(
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
    waits(Kind::Postgres, "names_listed_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poller_unlisted_feed_waits_and_is_shown_in_sqlite() {
    waits(Kind::Sqlite, "names_listed_sqlite").await;
}

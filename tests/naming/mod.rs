//! Names that the bureau chooses, at a receiver of either kind: none of them reaches a table of the insurer's or the
//! store's bookkeeping, and both sides see which lane waits and why.
//!
//! - `answers` a kind of request whose table is the insurer's own
//! - `tables` a feed that is called like a table of the insurer's
//! - `reserved` feeds that are called like the bookkeeping, and a column
//! - `listed` the insurer's list of feeds

mod answers;
mod listed;
mod reserved;
mod tables;

use std::fmt::Write as _;

use harness::until;

use crate::change::ends::{Kind, OPEN, feed, lane, may_read};
use crate::path::site::{Agent, PATIENCE, Site};

/// What a store of each kind is written as.
fn store(kind: Kind, site: &Site) -> String {
    match kind {
        Kind::Postgres => format!("kind = \"postgres\"\nurl = {{ value = \"{}\" }}", site.store.url),
        Kind::Sqlite => "kind = \"sqlite\"\npath = \"store.db\"".to_owned(),
    }
}

/// A table of the bookkeeping.
fn own(kind: Kind, table: &str) -> String {
    match kind {
        Kind::Postgres => format!("slacktide.{table}"),
        Kind::Sqlite => format!("slacktide_{table}"),
    }
}

/// A site with feeds of these names, and columns behind `id` and `updated_at`, beside the feed `claim`.
async fn site(kind: Kind, name: &str, feeds: &[(&str, &str)]) -> Site {
    let mut site = Site::start(name, 3, OPEN).await;
    let mut text = feed(
        "claim",
        "SELECT id, updated_at, deleted, name FROM claim",
        "id",
        true,
    );
    for (name, columns) in feeds {
        let sql = format!("SELECT id, updated_at, {columns} FROM claim");
        write!(text, "{}", feed(name, &sql, "id", false)).unwrap();
    }
    may_read(&site).await;
    site.links.feeds = Some(text);
    site.links.store = Some(store(kind, &site));
    site
}

/// The feed `claim` goes on, whatever waits beside it.
async fn claim_goes_on(kind: Kind, site: &Site) {
    let rows = "SELECT name FROM claim ORDER BY id";
    let wanted = ["person 1", "person 2", "person 3"];
    kind.reaches(site, "another feed to go on", rows, &wanted).await;
}

/// Waits until a lane that was stopped is not any more, as the agent of this configuration shows it.
async fn until_not_stopped(site: &Site, config: &str, feed: &str) {
    until("the lane to go on", PATIENCE, async || {
        let lane = lane(site, config, feed).await;
        if lane["state"] == "stopped" {
            Err(lane.to_string())
        } else {
            Ok(())
        }
    })
    .await;
}

/// Compares the metric that counts a lane as refused.
async fn metric_is_refused(poller: &Agent, feed: &str, wanted: u8) {
    let page = poller.page("/metrics").await;
    let metrics = page.map(|page| page.body).unwrap_or_default();
    let line = format!("slacktide_lane_refused{{lane=\"insurer-a.{feed}\"}} {wanted}");
    assert!(metrics.contains(&line), "{metrics}");
}

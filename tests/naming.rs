//! Names that the bureau chooses, at a receiver of either kind: none of them reaches a table of the insurer or of the store's
//! bookkeeping, and both sides see which lane waits and why.
//!
//! - `answer_tables` a kind of request whose table is the insurer's own
//! - `tables` a feed with the name of one of the insurer's tables
//! - `reserved` feeds with names of the bookkeeping, and a reserved column
//! - `unlisted` the insurer's list of feeds

mod answer_tables;
mod reserved;
mod tables;
mod unlisted;

use std::fmt::Write as _;

use harness::until;

use crate::pipeline::site::{Agent, DEADLINE, Site};
use crate::schema_change::databases::{Kind, OPEN, feed, grant_select, lane};

/// Returns the body of `[store]` for a kind.
fn store(kind: Kind, site: &Site) -> String {
    match kind {
        Kind::Postgres => format!("kind = \"postgres\"\nurl = {{ value = \"{}\" }}", site.store.url),
        Kind::Sqlite => "kind = \"sqlite\"\npath = \"store.db\"".to_owned(),
    }
}

/// Returns the name of a table of the bookkeeping.
fn bookkeeping_table(kind: Kind, table: &str) -> String {
    match kind {
        Kind::Postgres => format!("slacktide.{table}"),
        Kind::Sqlite => format!("slacktide_{table}"),
    }
}

/// Starts a site with feeds of these names and columns after `id` and `updated_at`, in addition to the feed `claim`.
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
    grant_select(&site).await;
    site.links.feeds = Some(text);
    site.links.store = Some(store(kind, &site));
    site
}

/// Waits until the feed `claim` has its rows, whichever other lane waits.
async fn wait_claim_rows(kind: Kind, site: &Site) {
    let rows = "SELECT name FROM claim ORDER BY id";
    let wanted = ["person 1", "person 2", "person 3"];
    kind.wait_lines(site, "another feed to continue", rows, &wanted)
        .await;
}

/// Waits until a lane is no longer stopped, as the agent of this configuration shows it.
async fn wait_not_stopped(site: &Site, config: &str, feed: &str) {
    until("the lane to continue", DEADLINE, async || {
        let lane = lane(site, config, feed).await;
        if lane["state"] == "stopped" {
            Err(lane.to_string())
        } else {
            Ok(())
        }
    })
    .await;
}

/// Asserts the metric that counts a lane as refused.
async fn assert_metric_refused(poller: &Agent, feed: &str, wanted: u8) {
    let page = poller.page("/metrics").await;
    let metrics = page.map(|page| page.body).unwrap_or_default();
    let line = format!("slacktide_lane_refused{{lane=\"insurer-a.{feed}\"}} {wanted}");
    assert!(metrics.contains(&line), "{metrics}");
}

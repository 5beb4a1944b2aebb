//! Both databases of a site, and what is read there.

use std::fmt::Write as _;

use harness::until;
use rusqlite::Connection;
use serde_json::Value;

use crate::path::site::{PATIENCE, Site};

/// The gate of these tests.
pub(crate) const OPEN: &str = "mode = \"open\"";

/// Which database the receiver has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    /// Lines of one text column. An error is told as a line, so that a wait can go on.
    pub(crate) async fn lines(self, site: &Site, sql: &str) -> Vec<String> {
        match self {
            Self::Postgres => match site.store.connect().await.query(sql, &[]).await {
                Ok(rows) => rows
                    .iter()
                    .map(|row| row.try_get(0).unwrap_or_else(|error| error.to_string()))
                    .collect(),
                Err(error) => vec![format!("{error:?}")],
            },
            Self::Sqlite => sqlite(site, sql).unwrap_or_else(|error| vec![error.to_string()]),
        }
    }

    pub(crate) async fn execute(self, site: &Site, sql: &str) {
        match self {
            Self::Postgres => site.store.execute(sql).await,
            Self::Sqlite => {
                let store = Connection::open(site.file("store.db")).unwrap();
                store.busy_timeout(PATIENCE).unwrap();
                store.execute_batch(sql).unwrap();
            }
        }
    }

    /// Waits until the store's lines are these.
    pub(crate) async fn reaches(self, site: &Site, what: &str, sql: &str, wanted: &[&str]) {
        until(what, PATIENCE, async || {
            let now = self.lines(site, sql).await;
            if now == wanted {
                Ok(())
            } else {
                Err(now.join("\n"))
            }
        })
        .await;
    }
}

fn sqlite(site: &Site, sql: &str) -> rusqlite::Result<Vec<String>> {
    let store = Connection::open(site.file("store.db"))?;
    store.busy_timeout(PATIENCE)?;
    let mut statement = store.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// A feed over a table with `id` and `updated_at`.
pub(crate) fn feed(name: &str, sql: &str, key: &str, tombstone: bool) -> String {
    let mut text = format!(
        "[[feed]]\nname = \"{name}\"\nsql = \"{sql}\"\ncursor = [\"updated_at\", \"id\"]\n\
         cursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"{key}\"]\nrecipients = [\"insurer-a\"]\n"
    );
    if tombstone {
        writeln!(text, "tombstone = \"deleted\"").unwrap();
    }
    text
}

/// The site's reader may read the tables that were made since.
pub(crate) async fn may_read(site: &Site) {
    let grant = format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{}\"",
        site.reader
    );
    site.core.execute(&grant).await;
}

/// A lane in `slacktide status --json`.
pub(crate) async fn lane(site: &Site, config: &str, feed: &str) -> Value {
    let (_, told) = site.asked(&["status", "--json", "--config", config]).await;
    let status: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
    lanes
        .into_iter()
        .find(|lane| lane["feed"] == feed)
        .unwrap_or_default()
}

/// Waits until status says that a lane is stopped, with all these words.
pub(crate) async fn stopped(site: &Site, config: &str, feed: &str, words: &[&str]) {
    until(&format!("{feed} to be stopped"), PATIENCE, async || {
        let lane = lane(site, config, feed).await;
        let told = format!("{}\n{}", lane["why"], lane["to_do"]).replace('\\', "");
        if lane["state"] == "stopped" && words.iter().all(|word| told.contains(word)) {
            Ok(())
        } else {
            Err(lane.to_string())
        }
    })
    .await;
}

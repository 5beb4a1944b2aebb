//! The databases of a site, and reads from them.

use std::fmt::Write as _;

use harness::until;
use rusqlite::Connection;
use serde_json::Value;

use crate::pipeline::site::{DEADLINE, Site};

pub(crate) const OPEN: &str = "mode = \"open\"";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    /// Returns the rows of one text column. An error is returned as a line, so that a wait can continue.
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
                store.busy_timeout(DEADLINE).unwrap();
                store.execute_batch(sql).unwrap();
            }
        }
    }

    /// Waits until the store returns these lines.
    pub(crate) async fn wait_lines(self, site: &Site, what: &str, sql: &str, wanted: &[&str]) {
        until(what, DEADLINE, async || {
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
    store.busy_timeout(DEADLINE)?;
    let mut statement = store.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Returns a feed over a table with `id` and `updated_at`.
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

/// Grants the site's reader SELECT on all tables.
pub(crate) async fn grant_select(site: &Site) {
    let grant = format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{}\"",
        site.reader
    );
    site.core.execute(&grant).await;
}

pub(crate) async fn lane(site: &Site, config: &str, feed: &str) -> Value {
    let (_, output) = site
        .command_stdout(&["status", "--json", "--config", config])
        .await;
    let status: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
    let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
    lanes
        .into_iter()
        .find(|lane| lane["feed"] == feed)
        .unwrap_or_default()
}

/// Waits until status shows the lane as stopped, with all these words.
pub(crate) async fn wait_stopped(site: &Site, config: &str, feed: &str, count_accept_lines: &[&str]) {
    until(&format!("{feed} to be stopped"), DEADLINE, async || {
        let lane = lane(site, config, feed).await;
        let output = format!("{}\n{}", lane["why"], lane["remedy"]).replace('\\', "");
        if lane["state"] == "stopped" && count_accept_lines.iter().all(|word| output.contains(word)) {
            Ok(())
        } else {
            Err(lane.to_string())
        }
    })
    .await;
}

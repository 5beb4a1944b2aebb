//! The core's table, and the comparison of core and store by plain SQL.

use super::site::{SOON, Site};
use harness::{Db, until_with_progress};
use std::collections::BTreeMap;

/// The compared columns, each as text.
const ROW: &str =
    "concat_ws('|', name, amount, memo, to_char(updated_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS'))";

/// Creates the table with this many rows, readable by the site's reader.
pub(super) async fn create(site: &Site, rows: i64) {
    site.core
        .execute(&format!(
            "CREATE TABLE claim (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), \
             deleted boolean NOT NULL DEFAULT false, name text, amount numeric(16,2), memo text); \
             INSERT INTO claim SELECT g, timestamptz '2026-01-01' + g * interval '1 ms', false, 'person ' || g, \
             (g % 100000) / 100.0, repeat(md5(g::text), 6) FROM generate_series(1, {rows}) g; \
             CREATE INDEX ON claim (updated_at, id); GRANT SELECT ON claim TO {}; ANALYZE claim",
            site.reader
        ))
        .await;
}

/// Adds rows `from..=to` in one transaction.
pub(super) async fn add(core: &Db, from: i64, to: i64) {
    core.execute(&format!(
        "INSERT INTO claim (id, name, amount, memo) SELECT g, 'new', 1.10, 'm' FROM generate_series({from}, {to}) g"
    ))
    .await;
}

/// Waits until the store equals the core, then compares row by row and checks the ledger's order.
pub(super) async fn wait_until_equal(site: &Site) {
    let sum = |table: &str| {
        format!(
            "SELECT count(*), coalesce(sum(amount), 0)::text, coalesce(sum(hashtextextended(id || {ROW}, 0)), 0)::text FROM {table}"
        )
    };
    until_with_progress("core and store to be equal", SOON, async || {
        let wanted = totals(&site.core, &sum("claim WHERE NOT deleted")).await;
        let stored = totals(&site.insurer, &sum("claim")).await;
        if wanted.is_some() && wanted == stored {
            Ok(())
        } else {
            Err(format!("core {wanted:?}, store {stored:?}"))
        }
    })
    .await;
    let wanted = rows(&site.core, "WHERE NOT deleted").await;
    let stored = rows(&site.insurer, "").await;
    let missing = wanted.keys().filter(|id| !stored.contains_key(id)).count();
    let strange = stored.keys().filter(|id| !wanted.contains_key(id)).count();
    let doubled = stored.values().filter(|held| held.len() > 1).count();
    let differing = wanted
        .iter()
        .filter(|(id, row)| stored.get(id).is_some_and(|held| held != *row))
        .count();
    assert_eq!(
        (missing, strange, doubled, differing),
        (0, 0, 0, 0),
        "missing, strange, doubled, differing"
    );
    // Numbers run from 1 without a gap in each epoch.
    let holes = site.insurer.number(
        "SELECT count(*) FROM (SELECT epoch FROM slacktide.ledger WHERE state <> 'superseded' GROUP BY feed, epoch \
         HAVING count(*) <> max(number) OR min(number) <> 1) holes",
    );
    assert_eq!(holes.await, 0, "epochs with a hole in the ledger");
}

async fn totals(db: &Db, sql: &str) -> Option<(i64, String, String)> {
    // The store's table exists only after the first chunk.
    let row = db.connect().await.query_one(sql, &[]).await.ok()?;
    Some((row.get(0), row.get(1), row.get(2)))
}

async fn rows(db: &Db, filter: &str) -> BTreeMap<i64, Vec<String>> {
    let mut all: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in db.query(&format!("SELECT id, {ROW} FROM claim {filter}")).await {
        all.entry(row.get(0)).or_default().push(row.get(1));
    }
    all
}

//! The oracle: reads the tables of core and store by SQL of its own and compares them. It uses no part of the product.

use std::collections::BTreeMap;

use harness::Db;
use tokio_postgres::SimpleQueryMessage;

/// Columns of a row as text, without the key.
type Values = Vec<Option<String>>;
/// A row: its key and its values.
type Row = (String, Values);

const COLUMNS: &str = "id, updated_at, name, amount, memo";

/// Most differences that a message lists.
const MOST_LISTED: usize = 10;

/// Compares both tables. Returns the number of equal rows.
///
/// # Errors
/// Rows that are missing at the store, that only the store has, that it has twice, or that differ.
pub(super) async fn compare(core: &Db, store: &Db) -> Result<usize, String> {
    let core = read(
        core,
        &format!("SELECT {COLUMNS} FROM claim WHERE NOT deleted ORDER BY id"),
    )
    .await;
    let store = read(store, &format!("SELECT {COLUMNS} FROM claim ORDER BY id")).await;
    let differences = differences(&core, &store);
    if differences.is_empty() {
        return Ok(core.len());
    }
    Err(format!(
        "{} rows at the core, {} at the store, {} differences: {}",
        core.len(),
        store.len(),
        differences.len(),
        differences[..differences.len().min(MOST_LISTED)].join("; ")
    ))
}

async fn read(db: &Db, sql: &str) -> Vec<Row> {
    // A plain scan, so that a damaged index hides no row.
    let session = db.connect().await;
    let plain = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off";
    session.batch_execute(plain).await.unwrap();
    let messages = session.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        let value = |column| row.get(column).map(str::to_owned);
        (value(0).expect("a key"), (1..row.len()).map(value).collect())
    })
    .collect()
}

/// PURE: returns one text for each difference.
fn differences(core: &[Row], store: &[Row]) -> Vec<String> {
    let mut by_key: BTreeMap<&str, [Vec<&Values>; 2]> = BTreeMap::new();
    for (side, rows) in [core, store].into_iter().enumerate() {
        for (key, values) in rows {
            by_key.entry(key).or_default()[side].push(values);
        }
    }
    let describe = |(key, [core, store]): (&str, [Vec<&Values>; 2])| match (&core[..], &store[..]) {
        ([one], [other]) if one == other => None,
        ([one], [other]) => Some(format!("row {key} differs: core {one:?}, store {other:?}")),
        ([_], []) => Some(format!("row {key} is missing at the store")),
        ([], [_]) => Some(format!("row {key} is only at the store")),
        (core, store) => Some(format!(
            "row {key} is {} times at the core and {} times at the store",
            core.len(),
            store.len()
        )),
    };
    by_key.into_iter().filter_map(describe).collect()
}

#[test]
fn oracle_finds_lost_doubled_changed_and_ghost_rows() {
    let row = |key: &str, value: &str| (key.to_owned(), vec![Some(value.to_owned()), None]);
    let core = [row("1", "a"), row("2", "b"), row("3", "c"), row("4", "d")];
    assert!(differences(&core, &core).is_empty());
    let store = [
        row("1", "a"),
        row("2", "x"),
        row("4", "d"),
        row("4", "d"),
        row("5", "e"),
    ];
    let found = differences(&core, &store);
    assert_eq!(found.len(), 4, "{found:?}");
    for (found, word) in found.iter().zip(["differs", "missing", "2 times", "only at"]) {
        assert!(found.contains(word), "{found}");
    }
    let null = [("1".to_owned(), vec![None])];
    let empty = [("1".to_owned(), vec![Some(String::new())])];
    assert_eq!(differences(&null, &empty).len(), 1);
}

//! Databases of other domains, a library and a weather station, with odd names: reserved words, mixed case, blanks, quotes,
//! other scripts; keys of two and three columns. Every kind of source to every kind of store, read back by the test's own SQL;
//! then `slacktide status` must show that both sides are equal.

use super::files::OPEN;
use super::site::{SOON, Site};
use harness::until;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Rows of each table.
const ROWS: i64 = 120;

/// A column: its name, its type in PostgreSQL and in SQLite.
type Column = (&'static str, &'static str, &'static str);

struct Table {
    feed: &'static str,
    name: &'static str,
    columns: &'static [Column],
    key: &'static [&'static str],
    cursor: &'static [&'static str],
    money: Option<&'static str>,
}

const TABLES: [Table; 2] = [
    Table {
        feed: "loans",
        name: "Loan Desk",
        columns: &[
            ("Branch No", "integer NOT NULL", "integer NOT NULL"),
            ("Copy\"Id\"", "text NOT NULL", "text NOT NULL"),
            ("select", "text", "text"),
            ("ORDER", "bigint", "bigint"),
            ("group", "boolean", "boolean"),
            ("naïve 名", "text", "text"),
            ("Fee €", "numeric(12,2)", "text"),
            ("a.b'c", "date", "text"),
            ("changedAt", "timestamptz NOT NULL", "text NOT NULL"),
        ],
        key: &["Branch No", "Copy\"Id\""],
        cursor: &["changedAt", "Branch No", "Copy\"Id\""],
        money: Some("Fee €"),
    },
    Table {
        feed: "readings-2",
        name: "table",
        columns: &[
            ("Station", "text NOT NULL", "text NOT NULL"),
            ("user", "smallint NOT NULL", "smallint NOT NULL"),
            ("from", "bigint NOT NULL", "bigint NOT NULL"),
            ("100%", "double precision", "double precision"),
            ("$1", "text", "text"),
        ],
        key: &["from", "Station", "user"],
        cursor: &["from", "Station", "user"],
        money: None,
    },
];

/// Returns the value of a column in a row as text; none is NULL.
fn value(column: &str, row: i64) -> Option<String> {
    Some(match column {
        "Branch No" => (row / 7 - 3).to_string(),
        "Copy\"Id\"" => format!("c{} 'é\"\\", row % 7),
        "select" if row % 3 == 0 => return None,
        "select" if row % 3 == 1 => String::new(),
        "select" => "x,\t\"y\"\nDROP TABLE; --".to_owned(),
        "ORDER" => (9_007_199_254_740_993 + row).to_string(),
        "group" => if row % 2 == 0 { "true" } else { "false" }.to_owned(),
        "naïve 名" => format!("名前 {row} 🎵"),
        "Fee €" => format!("{}.{:02}", row * 1_000_003, row % 100),
        "a.b'c" => format!("2024-02-{:02}", row % 29 + 1),
        // A fraction of a second: a cursor of whole minutes would need a lag of more than one minute.
        "changedAt" => format!("2026-01-01 {:02}:{:02}:00.25+00", row / 60, row % 60),
        "Station" => format!("st-{}", row % 3),
        "user" => (row % 5).to_string(),
        "from" => (row / 2).to_string(),
        "100%" => format!("{row}.5"),
        "$1" => format!("${row}?"),
        _ => unreachable!("no such column"),
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| quoted(name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn create_sql(table: &Table, postgres: bool) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, here, there)| format!("{} {}", quoted(name), if postgres { here } else { there }))
        .collect();
    let (name, key) = (quoted(table.name), quoted_list(table.key));
    format!(
        "CREATE TABLE {name} ({}, PRIMARY KEY ({key}));\n",
        columns.join(", ")
    )
}

fn insert_sql(table: &Table, rows: std::ops::Range<i64>) -> String {
    let mut text = String::new();
    for row in rows {
        let values: Vec<String> = table
            .columns
            .iter()
            .map(|(name, ..)| match value(name, row) {
                None => "NULL".to_owned(),
                Some(bare) if *name == "group" => bare,
                Some(text) => format!("'{}'", text.replace('\'', "''")),
            })
            .collect();
        writeln!(
            text,
            "INSERT INTO {} VALUES ({});",
            quoted(table.name),
            values.join(", ")
        )
        .unwrap();
    }
    text
}

/// Returns the feeds as TOML, written by a serializer that quotes correctly.
fn feeds(postgres: bool) -> String {
    let feed = |table: &Table| {
        let mut feed = toml::Table::new();
        let words = |names: &[&str]| names.iter().copied().map(toml::Value::from).collect::<Vec<_>>();
        feed.insert("name".into(), table.feed.into());
        feed.insert(
            "sql".into(),
            format!("SELECT * FROM {}", quoted(table.name)).into(),
        );
        feed.insert("cursor".into(), words(table.cursor).into());
        feed.insert("key".into(), words(table.key).into());
        feed.insert("cursor_set_by".into(), "application".into());
        feed.insert("lag".into(), "300ms".into());
        feed.insert("recipients".into(), words(&["insurer-a"]).into());
        if let Some(money) = table.money {
            feed.insert("money".into(), words(&[money]).into());
            if !postgres {
                let types = toml::Table::from_iter([(money.to_owned(), "numeric".into())]);
                feed.insert("types".into(), types.into());
            }
        }
        toml::Value::from(feed)
    };
    let all: Vec<toml::Value> = TABLES.iter().map(feed).collect();
    toml::to_string(&toml::Table::from_iter([("feed".to_owned(), all.into())])).unwrap()
}

/// Returns all rows at the store, every column as the database prints it.
async fn stored_rows(site: &Site, postgres: bool, table: &Table) -> Result<Vec<Vec<Option<String>>>, String> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, ..)| format!("CAST({} AS text)", quoted(name)))
        .collect();
    let select = format!("SELECT {} FROM {}", columns.join(", "), quoted(table.feed));
    let width = columns.len();
    if postgres {
        let client = site.insurer.connect().await;
        let read = async {
            client.batch_execute("SET TimeZone = 'UTC'").await?;
            client.query(&select, &[]).await
        };
        let rows = read.await.map_err(|error| format!("{error:?}"))?;
        let cells = |row: &tokio_postgres::Row| (0..width).map(|at| row.get(at)).collect();
        return Ok(rows.iter().map(cells).collect());
    }
    let read = || -> rusqlite::Result<Vec<Vec<Option<String>>>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(site.path("store.db"), flags)?;
        let mut rows = store.prepare(&select)?;
        let rows = rows.query_map([], |row| (0..width).map(|at| row.get(at)).collect())?;
        rows.collect()
    };
    let truth = table.columns.iter().position(|(name, ..)| *name == "group");
    let mut rows = read().map_err(|error| error.to_string())?;
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(truth?)?.as_mut()) {
        // SQLite has no booleans.
        *cell = if cell == "1" { "true" } else { "false" }.to_owned();
    }
    Ok(rows)
}

/// Waits until the store has exactly the first rows of each table, every value unchanged.
async fn wait_rows(site: &Site, postgres: bool, rows: i64) {
    for table in &TABLES {
        let row = |row| table.columns.iter().map(|(name, ..)| value(name, row)).collect();
        let mut wanted: Vec<Vec<Option<String>>> = (0..rows).map(row).collect();
        wanted.sort();
        until(&format!("all of {}", table.name), SOON, async || {
            let mut there = stored_rows(site, postgres, table).await?;
            there.sort();
            if there == wanted {
                return Ok(());
            }
            let odd = there.iter().find(|row| !wanted.contains(row));
            Err(format!(
                "{} rows; not as in the core: {odd:?}; {:?}",
                there.len(),
                site.status("c1").await
            ))
        })
        .await;
    }
}

/// Waits until `status --json` of a side shows every lane as equal, with this many acknowledged rows, and exit code 0.
async fn wait_even(site: &Site, rows: i64) {
    for config in ["s1.toml", "c1.toml"] {
        until(
            &format!("{config} to show both sides as equal"),
            SOON,
            async || {
                let output = site.command(&["status", "--json", "--config", config]).await;
                let screen: Value =
                    serde_json::from_str(&output.stdout).map_err(|error| error.to_string())?;
                let lanes = screen["lanes"].as_array().cloned().unwrap_or_default();
                let even = |lane: &Value| {
                    lane["state"] == "caught_up"
                        && lane["lag_chunks"] == 0
                        && lane["chunk"]["number"] == lane["receipt"]["to"]
                        && lane["receipt"]["rows"] == rows
                        && lane["receipt"]["quarantined"] == json!([])
                };
                if lanes.len() == TABLES.len() && lanes.iter().all(even) && output.status.code() == Some(0) {
                    Ok(())
                } else {
                    Err(format!("{:?} {screen:#}", output.status))
                }
            },
        )
        .await;
    }
}

async fn change(site: &Site, postgres: bool, sql: &str) {
    if postgres {
        site.core.execute(sql).await;
    } else {
        let core = rusqlite::Connection::open(site.path("core.db")).unwrap();
        core.execute_batch(&format!("BEGIN; {sql} COMMIT;")).unwrap();
    }
}

async fn pair(from_postgres: bool, to_postgres: bool) {
    let mut site = Site::start().await;
    let first: String = TABLES
        .iter()
        .map(|table| create_sql(table, from_postgres) + &insert_sql(table, 0..ROWS))
        .collect();
    let later: String = TABLES
        .iter()
        .map(|table| insert_sql(table, ROWS..ROWS + 10))
        .collect();
    change(&site, from_postgres, &first).await;
    let source = if from_postgres {
        let grant = format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", site.reader);
        site.core.execute(&grant).await;
        site.postgres_source()
    } else {
        "kind = \"sqlite\"\npath = \"core.db\"".to_owned()
    };
    let store = if to_postgres {
        site.postgres_store()
    } else {
        "kind = \"sqlite\"\npath = \"store.db\"".to_owned()
    };
    site.social("s1", &source, OPEN, &feeds(from_postgres));
    site.commercial("c1", &store);
    site.start_agent("s1", "social");
    site.start_agent("c1", "commercial");
    wait_rows(&site, to_postgres, ROWS).await;
    wait_even(&site, ROWS).await;
    change(&site, from_postgres, &later).await;
    wait_rows(&site, to_postgres, ROWS + 10).await;
    wait_even(&site, ROWS + 10).await;
    site.assert_chain_valid(1).await;
}

#[tokio::test]
async fn odd_names_from_postgres_to_postgres() {
    pair(true, true).await;
}

#[tokio::test]
async fn odd_names_from_postgres_to_sqlite() {
    pair(true, false).await;
}

#[tokio::test]
async fn odd_names_from_sqlite_to_postgres() {
    pair(false, true).await;
}

#[tokio::test]
async fn odd_names_from_sqlite_to_sqlite() {
    pair(false, false).await;
}

//! SQLite.

use std::path::PathBuf;

use gate::Gate;
use rusqlite::Connection;
use schemas::column::ColumnType;
use source::{CursorSetBy, End, ErrorKind, Fence, Source, SqliteConfig, SqliteSource};
use tempfile::TempDir;

use crate::rows::{Taken, drain, feed};

pub(crate) struct Core {
    _dir: TempDir,
    path: PathBuf,
    pub(crate) connection: Connection,
}

pub(crate) fn core(sql: &str) -> Core {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(sql).unwrap();
    Core {
        _dir: dir,
        path,
        connection,
    }
}

pub(crate) fn source(core: &Core, gate: &Gate) -> SqliteSource {
    SqliteSource::new(SqliteConfig::new(&core.path), gate.closed_flag()).unwrap()
}

const SETL: &str = "CREATE TABLE setl (id INTEGER PRIMARY KEY, day TEXT NOT NULL, amount DECIMAL(16,2));
    CREATE INDEX setl_day ON setl (day, id);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO setl SELECT i, '2026-01-0' || (1 + i % 3), i / 100.0 FROM n;";

/// Regression: rows with equal cursor values in two chunks are lost at a restart.
#[tokio::test]
async fn rows_with_equal_cursor_prefix_are_read_once() {
    let core = core(SETL);
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let feed = feed(
        "SELECT id, day, amount FROM setl",
        &["day", "id"],
        CursorSetBy::Application,
    );
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    assert_eq!(
        reader.schema().columns[2].kind,
        ColumnType::Decimal {
            precision: Some(16),
            scale: Some(2)
        }
    );
    // The lag of a day has not passed.
    assert_eq!(reader.fence(&permit).await.unwrap().fence, None);
    let fence = Fence::Open;
    for limit in [1, 7, 333, 1000, 5000] {
        let taken = drain(reader.as_mut(), &["day", "id"], &fence, limit, &permit).await;
        let mut ids = taken.ids();
        assert_eq!(taken.rows.len(), 1000);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(taken.rows.iter().any(|row| row[2] == "3.14"));
    }
    assert!(source.driver_counts().rows > 5000);
    assert_eq!(source.driver_counts().rows_while_closed, 0);
}

#[tokio::test]
async fn sqlite_cursor_that_is_not_unique_is_refused() {
    let core = core(SETL);
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let plain = feed("SELECT id, day FROM setl", &["day"], CursorSetBy::Application);
    let error = source.open_feed(&plain, &permit).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.to_string().contains("not unique"), "{error}");
    // A set operation proves nothing: the reader detects the pair, and delivers neither row.
    let sql = "SELECT id, day FROM setl UNION ALL SELECT id, day FROM setl WHERE id = 500";
    // The key distinguishes the pair.
    let sql = sql.replace("id, day FROM", "id, day, 'a' AS part FROM");
    let sql = sql.replacen("'a' AS part FROM setl WHERE", "'b' AS part FROM setl WHERE", 1);
    let mut blind = feed(&sql, &["id"], CursorSetBy::Application);
    blind.key.push("part".into());
    let mut reader = source.open_feed(&blind, &permit).await.unwrap();
    let mut taken = Taken::default();
    let error = reader
        .read(None, &Fence::Open, 5000, &permit, &mut taken)
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Refused && error.to_string().contains("two rows share one"),
        "{error}"
    );
    assert_eq!(taken.ids(), (1..500).collect::<Vec<_>>());
}

/// Regression: rows with NULL cursors are lost.
#[tokio::test]
async fn sqlite_null_cursors_are_refused() {
    let core =
        core("CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO t VALUES (1, 'a'), (2, NULL);");
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let feed = feed("SELECT * FROM t", &["at", "id"], CursorSetBy::Application);
    let error = source(&core, &gate)
        .open_feed(&feed, &permit)
        .await
        .err()
        .unwrap();
    assert!(
        error.kind == ErrorKind::Refused && error.to_string().contains("null"),
        "{error}"
    );
}

#[tokio::test]
async fn sqlite_invalid_sql_table_and_file_are_reported() {
    let core = core(SETL);
    let gate = Gate::fixed_open();
    let opened = source(&core, &gate);
    let permit = gate.permit().await;
    for (sql, wanted) in [
        ("SELECT id FROM\n nowhere", "no such table: nowhere"),
        ("SELECT id, colour FROM setl", "no such column: colour"),
        ("SELEC id FROM setl", "sql line 1, column 1"),
        ("DELETE FROM setl RETURNING id", "not a SELECT"),
        ("SELECT id FROM setl; DELETE FROM setl", "more than one statement"),
        ("SELECT day FROM setl", "cursor names id"),
    ] {
        let error = opened
            .open_feed(&feed(sql, &["id"], CursorSetBy::Sequence), &permit)
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains(wanted), "{sql}: {error}");
        assert_eq!(error.kind, ErrorKind::Refused, "{sql}");
    }
    let nowhere = SqliteSource::new(
        SqliteConfig::new(core.path.with_file_name("no.db")),
        gate.closed_flag(),
    )
    .unwrap();
    let error = nowhere
        .open_feed(&feed("SELECT 1 AS id", &["id"], CursorSetBy::Sequence), &permit)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let left: i64 = core
        .connection
        .query_row("SELECT count(*) FROM setl", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1000);
}

#[tokio::test]
async fn sqlite_value_that_does_not_fit_is_a_reject() {
    let core = core(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, amount DECIMAL(8,2));
        INSERT INTO t VALUES (1, 1.5), (2, 'n/a'), (3, 2);",
    );
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = source(&core, &gate);
    let mut reader = source
        .open_feed(
            &feed("SELECT * FROM t", &["id"], CursorSetBy::Application),
            &permit,
        )
        .await
        .unwrap();
    let mut taken = Taken::default();
    let quantum = reader
        .read(None, &Fence::Open, 10, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!((quantum.rows, quantum.end), (3, End::Drained));
    assert_eq!(taken.rows, [["1", "1.5"], ["3", "2"]]);
    assert_eq!(taken.rejects[0].1.column.as_deref(), Some("amount"));
}

/// Regression: a paused reader inside a transaction. A statement that returns no row is stopped as well.
#[tokio::test]
async fn sqlite_revoked_permit_stops_the_statement() {
    let core = core(&format!("{SETL} CREATE TABLE big (i INTEGER);"));
    let (gate, script) = Gate::scripted();
    script.open();
    let source = SqliteSource::new(
        SqliteConfig {
            // The statement would run for longer than the test: only the gate stops it.
            statement_timeout: std::time::Duration::from_secs(3_600),
            ..SqliteConfig::new(&core.path)
        },
        gate.closed_flag(),
    )
    .unwrap();
    let permit = gate.permit().await;
    let sql = "SELECT a.id FROM setl a WHERE a.id < 3 OR (SELECT count(*) FROM big b, big c, big d, big e WHERE b.i < c.i) = a.id";
    let mut reader = source
        .open_feed(&feed(sql, &["id"], CursorSetBy::Sequence), &permit)
        .await
        .unwrap();
    // The table was empty when the feed was opened; from now on the statement does not end.
    let fill = "INSERT INTO big WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
    core.connection.execute_batch(fill).unwrap();
    let mut taken = Taken::default();
    let read = reader.read(None, &Fence::Open, 10, &permit, &mut taken);
    let before = source.driver_counts().statements;
    let closed = async {
        harness::until(
            "the statement to begin",
            std::time::Duration::from_secs(10),
            async || source.driver_counts().statements > before,
        )
        .await;
        script.close("business");
    };
    let both = async { tokio::join!(read, closed) };
    let (quantum, ()) = tokio::time::timeout(std::time::Duration::from_secs(60), both)
        .await
        .expect("the gate stops the statement");
    assert_eq!(quantum.unwrap().end, End::Revoked);
    // No statement reads: a checkpoint can empty the log, and the whole file can be locked.
    core.connection
        .execute_batch("PRAGMA busy_timeout = 0; INSERT INTO setl VALUES (5000, 'x', 1); DELETE FROM big")
        .unwrap();
    let busy: i64 = core
        .connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0);
    assert_eq!(
        (
            source.driver_counts().rows_while_closed,
            source.driver_counts().statements_while_closed
        ),
        (0, 0)
    );
    drop(permit);
    gate.until_yielded().await;
    script.open();
    let permit = gate.permit().await;
    assert!(reader.fence(&permit).await.is_ok());
}

#[tokio::test]
async fn sqlite_reused_numbers_are_refused_as_sequence() {
    let core = core(
        "CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);
         CREATE TABLE reused (id INTEGER PRIMARY KEY, x TEXT);
         CREATE TABLE other (id INTEGER NOT NULL UNIQUE, x TEXT);
         INSERT INTO kept (x) VALUES ('a'), ('b'), ('c');",
    );
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = source(&core, &gate);
    let numbered = |table: &str| feed(&format!("SELECT * FROM {table}"), &["id"], CursorSetBy::Sequence);
    for table in ["reused", "other"] {
        let error = source.open_feed(&numbered(table), &permit).await.err().unwrap();
        assert!(error.to_string().contains("AUTOINCREMENT"), "{table}: {error}");
        assert_eq!(error.kind, ErrorKind::Refused);
    }
    let mut reader = source.open_feed(&numbered("kept"), &permit).await.unwrap();
    let lane_position = |at: i64| source::LanePosition {
        position: schemas::cursor::Cursor(vec![schemas::cursor::Scalar::Int(at)]),
        read_at: None,
    };
    reader.set_lane_positions(vec![lane_position(3)]);
    core.connection
        .execute_batch("DELETE FROM kept WHERE id > 1")
        .unwrap();
    assert!(
        reader.fence(&permit).await.unwrap().beyond.is_empty(),
        "it goes on with 4"
    );
    reader.set_lane_positions(vec![lane_position(3), lane_position(9)]);
    assert_eq!(
        reader.fence(&permit).await.unwrap().beyond,
        [lane_position(9).position]
    );
}

#[tokio::test]
async fn sqlite_replaced_file_is_detected() {
    let core = core(SETL);
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = source(&core, &gate);
    let feed = feed("SELECT * FROM setl", &["id"], CursorSetBy::Application);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let first = reader.fence(&permit).await.unwrap().source;
    core.connection.execute_batch("VACUUM").unwrap();
    let second = reader.fence(&permit).await.unwrap().source;
    assert_eq!(
        source::identity::detect_change(&first, &second),
        None,
        "vacuumed in place"
    );
    let copy = core.path.with_extension("copy");
    let into = format!("VACUUM INTO '{}'", copy.display());
    core.connection.execute_batch(&into).unwrap();
    std::fs::rename(&copy, &core.path).unwrap();
    let error = reader.fence(&permit).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let other = reader.fence(&permit).await.unwrap().source;
    assert_eq!(
        source::identity::detect_change(&first, &other),
        Some(source::identity::SourceChange::System)
    );
}

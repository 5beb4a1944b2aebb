//! Cursors of several formats, and cursors that change less often than the lag.

use std::time::Duration;

use gate::Gate;
use source::evidence::{CURSOR_FORMATS, CURSOR_UNPROVEN};
use source::{CursorSetBy, ErrorKind, Fence, Source};

use crate::future_rows::by_application;
use crate::postgres::{READER, database, open};
use crate::rows::{drain, feed, run_checks, unverified};
use crate::sqlite::{core, source};

/// Rows of one format, `(n, values)`, and one of another format.
const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)";

/// Regression: a row that sorts before the position is never read, and one that sorts last moves the position past all others.
#[tokio::test]
async fn sqlite_row_of_another_format_is_a_reject() {
    for (kind, value, other) in [
        ("INTEGER", "i", "'text'"),
        ("INTEGER", "i", "x'00ff'"),
        ("INTEGER", "i", "7.5"),
        (
            "TEXT",
            "'2026-01-01 00:00:' || printf('%02d.5', i)",
            "'1764410400'",
        ),
        (
            "TEXT",
            "'2026-01-01 00:00:' || printf('%02d.5', i)",
            "'2026-01-01T00:00:00Z'",
        ),
        (
            "TEXT",
            "'2026-01-01T00:00:' || printf('%02d.123Z', i)",
            "'2026-01-01T00:00:00Z'",
        ),
        (
            "TEXT",
            "'2026-01-01T00:00:' || printf('%02d.123Z', i)",
            "'2026-01-01T00:00:00.5+08:00'",
        ),
        (
            "DATETIME",
            "'2026-01-01 00:00:' || printf('%02d.5', i)",
            "1764410400",
        ),
        ("TEXT", "printf('%06d', i)", "'99'"),
        ("", "i", "'12'"),
        ("", "printf('k%03d', i)", "5"),
    ] {
        let core = core(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at {kind} NOT NULL); CREATE INDEX t_at ON t (at, id);
             INSERT INTO t {NUMBERS} SELECT i, {value} FROM n; INSERT INTO t VALUES (99, {other});"
        ));
        let gate = Gate::fixed_open();
        let source = source(&core, &gate);
        let permit = gate.permit().await;
        let mut feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        feed.lag = Duration::from_secs(2);
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        // The test's sink parses a text of digits as a number, which cannot be a position here.
        let limit = if value.contains("%06d") { 100 } else { 7 };
        let mut ids = drain(reader.as_mut(), &["at", "id"], &Fence::Open, limit, &permit)
            .await
            .ids();
        ids.sort_unstable();
        assert_eq!(ids, (1..=40).collect::<Vec<_>>(), "{kind} {other}");
        assert_eq!(
            run_checks(reader.as_mut(), &permit).await,
            [CURSOR_FORMATS],
            "{kind} {other}"
        );
        let notes = &reader.evidence().unwrap().format_mismatches;
        assert_eq!(format!("{:?}", notes[0].key), "[Some(Int(99))]");
        assert_eq!((notes.len(), notes[0].column.as_deref()), (1, Some("at")));
        assert!(!unverified(reader.as_ref(), CURSOR_FORMATS).contains("176441"));
        // After the repair it is not reported any more.
        core.connection
            .execute_batch("DELETE FROM t WHERE id = 99")
            .unwrap();
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        assert!(run_checks(reader.as_mut(), &permit).await.is_empty());
    }
}

#[tokio::test]
async fn sqlite_column_of_several_formats_is_refused_with_a_cast() {
    for (kind, value) in [
        ("TEXT", "i"),
        (
            "TEXT",
            "CASE WHEN i % 2 THEN '2026-01-01 00:00:00.5' ELSE '2026-01-01T00:00:00.5Z' END",
        ),
        ("INTEGER", "CASE WHEN i % 2 THEN i ELSE 'x' || i END"),
        ("DATETIME", "1764410400 + i"),
    ] {
        let core = core(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at {kind} NOT NULL); CREATE INDEX t_at ON t (at, id);
             INSERT INTO t {NUMBERS} SELECT i, {value} FROM n;"
        ));
        let gate = Gate::fixed_open();
        let permit = gate.permit().await;
        let mut feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        feed.lag = Duration::from_secs(2);
        let error = source(&core, &gate)
            .open_feed(&feed, &permit)
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind, ErrorKind::Refused, "{kind} {value}");
        assert!(
            error.remedy.contains("cast") || error.remedy.contains("CAST"),
            "{error}"
        );
    }
}

/// The whole table is searched in steps. Until the end the feed is unverified.
#[tokio::test]
async fn sqlite_format_search_runs_in_steps() {
    let core = core(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER NOT NULL); CREATE INDEX t_at ON t (at, id);
         INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90000) SELECT i, i FROM n;
         INSERT INTO t VALUES (90001, 'x');",
    );
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    assert!(unverified(reader.as_ref(), CURSOR_UNPROVEN).contains("still being checked"));
    let found = harness::until("the search to end", crate::postgres::SOON, async || {
        let codes = run_checks(reader.as_mut(), &permit).await;
        (!codes.contains(&CURSOR_UNPROVEN)).then_some(codes)
    })
    .await;
    assert_eq!(found, [CURSOR_FORMATS]);
}

/// Regression: an output column has the name of the table's key but is another column.
#[tokio::test]
async fn sqlite_alias_of_another_column_proves_nothing() {
    let core = core(
        "CREATE TABLE line (id INTEGER PRIMARY KEY, claim INTEGER); INSERT INTO line VALUES (1, 5), (2, 5), (3, NULL);",
    );
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let by_alias = feed("SELECT claim AS id FROM line", &["id"], CursorSetBy::Sequence);
    let error = source.open_feed(&by_alias, &permit).await.err().unwrap();
    assert!(error.to_string().contains("unique"), "{error}");
}

/// Regression: rows of one step share a position, and one that is written after another was read is skipped.
#[tokio::test]
async fn sqlite_step_of_the_cursor_must_be_less_than_the_lag() {
    for (values, lag, written) in [
        ("(1, '2026-01-01 00:00:00')", 200, Some("1200ms")),
        ("(1, '2026-01-01 00:00:00')", 1000, Some("2s")),
        ("(1, '2026-01-01 00:00:00')", 1001, None),
        ("(1, '2026-01-01')", 60_000, Some("25h")),
        ("(1, '2026-01-01 10:00')", 60_000, Some("2m")),
        ("(1, '2026-01-01 10:00:00.123')", 200, None),
        (
            "(1, '2026-01-01 10:00:01.000'), (2, '2026-01-01 10:00:02.000'), (3, '2026-01-01 10:00:07.000')",
            200,
            Some("1200ms"),
        ),
    ] {
        let core = core(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT NOT NULL); CREATE INDEX t_at ON t (at, id); INSERT INTO t VALUES {values};"
        ));
        let gate = Gate::fixed_open();
        let permit = gate.permit().await;
        let mut feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        feed.lag = Duration::from_millis(lag);
        let opened = source(&core, &gate).open_feed(&feed, &permit).await;
        let remedy = opened.err().map(|error| error.remedy);
        match written {
            Some(written) => assert!(
                remedy
                    .as_ref()
                    .is_some_and(|remedy| remedy.contains(&format!("lag = \"{written}\""))),
                "{values}: {remedy:?}"
            ),
            None => assert_eq!(remedy, None, "{values}"),
        }
    }
    // A feed opened over an empty table is refused as soon as there is a row.
    let core =
        core("CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT NOT NULL); CREATE INDEX t_at ON t (at, id);");
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    assert_eq!(reader.fence(&permit).await.unwrap().fence, None);
    core.connection
        .execute_batch("INSERT INTO t VALUES (1, datetime('now'))")
        .unwrap();
    let error = reader.fence(&permit).await.err().unwrap();
    assert!(
        error.kind == ErrorKind::Refused && error.remedy.contains("lag = \""),
        "{error}"
    );
}

#[tokio::test]
async fn postgres_step_of_the_cursor_must_be_less_than_the_lag() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (kind, values, lag, written) in [
        ("date", "(1, '2026-01-01')", 5_000, Some("25h")),
        ("timestamptz(0)", "(1, '2026-01-01')", 200, Some("1200ms")),
        ("timestamp(1)", "(1, '2026-01-01')", 100, Some("200ms")),
        ("timestamptz", "(1, now())", 5, None),
        (
            "timestamptz",
            "(1, '2026-01-01 10:00:01'), (2, '2026-01-01 10:00:02'), (3, '2026-01-01 10:00:07')",
            200,
            Some("1200ms"),
        ),
        (
            "bigint",
            "(1, extract(epoch FROM now())::int8)",
            200,
            Some("1200ms"),
        ),
        ("text", "(1, '2026-01-01 10:00:01')", 200, Some("1200ms")),
    ] {
        let db = database(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, at {kind} NOT NULL); CREATE INDEX ON t (at, id); INSERT INTO t VALUES {values};"
        ))
        .await;
        let (source, _) = open(&db, READER, &gate).await;
        let mut feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        feed.lag = Duration::from_millis(lag);
        let remedy = source
            .open_feed(&feed, &permit)
            .await
            .err()
            .map(|error| error.remedy);
        match written {
            Some(written) => assert!(
                remedy
                    .as_ref()
                    .is_some_and(|remedy| remedy.contains(&format!("lag = \"{written}\""))),
                "{kind} {values}: {remedy:?}"
            ),
            None => assert_eq!(remedy, None, "{kind}"),
        }
        // The database itself truncates a day of the transaction.
        if matches!(kind, "date" | "timestamptz(0)") {
            feed.cursor_set_by = CursorSetBy::Transaction;
            let mut reader = source.open_feed(&feed, &permit).await.unwrap();
            assert!(run_checks(reader.as_mut(), &permit).await.is_empty(), "{kind}");
        }
    }
}

#[tokio::test]
async fn postgres_text_of_another_format_is_a_reject() {
    let db = database(
        "CREATE TABLE t (id bigint PRIMARY KEY, at text NOT NULL); CREATE INDEX ON t (at, id);
         INSERT INTO t SELECT i, to_char('2026-01-01'::timestamp + i * interval '1.5 s', 'YYYY-MM-DD HH24:MI:SS.MS')
         FROM generate_series(1, 40) i; INSERT INTO t VALUES (99, '1764410400');",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut feed = by_application("SELECT id, at FROM t", &["at", "id"]);
    feed.lag = Duration::from_secs(2);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let taken = drain(reader.as_mut(), &["at", "id"], &Fence::Open, 7, &permit).await;
    assert_eq!(taken.ids(), (1..=40).collect::<Vec<_>>());
    assert_eq!(run_checks(reader.as_mut(), &permit).await, [CURSOR_FORMATS]);
    let notes = &reader.evidence().unwrap().format_mismatches;
    assert_eq!(format!("{:?}", notes[0].key), "[Some(Int(99))]");
}

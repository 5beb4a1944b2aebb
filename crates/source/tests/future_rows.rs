//! Rows ahead of the source's clock: held and reported, and never the feed's position.

use std::time::Duration;

use gate::Gate;
use source::evidence::FUTURE_ROWS;
use source::feed::{CursorCounts, FutureRows};
use source::{CursorSetBy, FeedDefinition, FeedReader, Fence, Source};

use crate::postgres::{READER, SOON, database, open};
use crate::rows::{drain, feed, run_checks, unverified};
use crate::sqlite::{core, source};

/// A feed with `cursor_set_by = "application"` and the shortest lag.
pub(crate) fn by_application(sql: &str, cursor: &[&str]) -> FeedDefinition {
    let mut feed = feed(sql, cursor, CursorSetBy::Application);
    feed.lag = Duration::from_millis(5);
    feed
}

/// Takes fences until these rows are within one, and reads them.
async fn reads(reader: &mut dyn FeedReader, cursor: &[&str], gate: &Gate, wanted: &[i64]) {
    let permit = gate.permit().await;
    harness::until("the rows within the fence", SOON, async || {
        let fence = reader.fence(&permit).await.unwrap().fence?;
        let ids = drain(reader, cursor, &fence, 10, &permit).await.ids();
        (ids == wanted).then_some(())
    })
    .await;
}

/// Regression: one row with a future position makes a feed skip all later rows.
#[tokio::test]
async fn postgres_future_row_is_held_and_others_are_read() {
    for (kind, now, future) in [
        ("timestamptz", "now()", "'infinity'"),
        ("timestamptz", "now()", "'9999-12-31'"),
        ("timestamptz", "now()", "now() + interval '1 hour'"),
        (
            "timestamp",
            "localtimestamp",
            "localtimestamp + interval '1 hour'",
        ),
        (
            "bigint",
            "(extract(epoch FROM now()) * 1000)::int8",
            "(extract(epoch FROM now()) * 1000)::int8 + 3600000",
        ),
        ("bigint", "7", "9223372036854775807"),
        (
            "numeric",
            "extract(epoch FROM now())",
            "extract(epoch FROM now()) + 3600",
        ),
        (
            "text",
            "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
            "'2999-01-01T00:00:00.000Z'",
        ),
    ] {
        let db = database(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, at {kind} NOT NULL); CREATE INDEX ON t (at, id);
             INSERT INTO t VALUES (1, {now}), (2, {future});"
        ))
        .await;
        let gate = Gate::fixed_open();
        let (source, _) = open(&db, READER, &gate).await;
        let permit = gate.permit().await;
        let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        reads(reader.as_mut(), &["at", "id"], &gate, &[1]).await;
        let codes = run_checks(reader.as_mut(), &permit).await;
        assert_eq!(codes, [FUTURE_ROWS], "{kind} {future}");
        assert!(unverified(reader.as_ref(), FUTURE_ROWS).contains("1 row"));
        assert_eq!(reader.evidence().unwrap().unordered_rows().count(), 0);
        if kind == "bigint" && now == "7" {
            continue;
        }
        // Later rows are not below the future row.
        db.execute(&format!("INSERT INTO t VALUES (3, {now})")).await;
        reads(reader.as_mut(), &["at", "id"], &gate, &[1, 3]).await;
        // With `send` it is also sent as a reject, and the position does not move.
        let mut sent = feed.clone();
        sent.clock.future = FutureRows::Send;
        let mut reader = source.open_feed(&sent, &permit).await.unwrap();
        run_checks(reader.as_mut(), &permit).await;
        let notes: Vec<_> = reader.evidence().unwrap().unordered_rows().cloned().collect();
        assert_eq!(notes.len(), 1, "{kind}");
        assert_eq!(format!("{:?}", notes[0].key), "[Some(Int(2))]");
        reads(reader.as_mut(), &["at", "id"], &gate, &[1, 3]).await;
        // Once it is corrected it is read, and nothing is reported.
        db.execute(&format!("UPDATE t SET at = {now} WHERE id = 2")).await;
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let codes = run_checks(reader.as_mut(), &permit).await;
        assert!(codes.is_empty(), "{kind} {codes:?}");
    }
}

/// A row within the tolerance waits silently, and is not skipped.
#[tokio::test]
async fn postgres_row_within_the_tolerance_waits_for_the_clock() {
    let db = database(
        "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL); CREATE INDEX ON t (at, id);
         INSERT INTO t VALUES (1, now()), (2, now() + interval '4 minutes');",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    reads(reader.as_mut(), &["at", "id"], &gate, &[1]).await;
    assert!(run_checks(reader.as_mut(), &permit).await.is_empty());
    db.execute("INSERT INTO t VALUES (3, now())").await;
    reads(reader.as_mut(), &["at", "id"], &gate, &[1, 3]).await;
}

/// The fence already bounds a transaction time by the clock. A row ahead of it is reported all the same.
#[tokio::test]
async fn postgres_future_row_of_a_transaction_feed_is_shown() {
    let db = database(
        "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); CREATE INDEX ON t (at, id);
         INSERT INTO t VALUES (1, '2026-01-01 00:00:00.5'), (2, '9999-01-01'), (3, '-infinity');",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let feed = feed("SELECT id, at FROM t", &["at", "id"], CursorSetBy::Transaction);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let fence = reader.fence(&permit).await.unwrap().fence.unwrap();
    let taken = drain(reader.as_mut(), &["at", "id"], &fence, 10, &permit).await;
    assert_eq!(taken.ids(), [1]);
    let codes = run_checks(reader.as_mut(), &permit).await;
    assert_eq!(codes, ["cursor_formats", FUTURE_ROWS]);
    // A row with the lowest position would never be read again, so it is a reject.
    assert_eq!(reader.evidence().unwrap().format_mismatches.len(), 1);
}

/// Regression: a row was numbered manually, far ahead of the sequence.
#[tokio::test]
async fn postgres_row_ahead_of_its_sequence_is_held_and_shown() {
    let db = database(
        "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x int);
         INSERT INTO t (x) VALUES (1), (2); INSERT INTO t VALUES (1000000, 3);",
    )
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let feed = feed("SELECT id, x FROM t", &["id"], CursorSetBy::Sequence);
    let (blind, _) = open(&db, READER, &gate).await;
    let mut reader = blind.open_feed(&feed, &permit).await.unwrap();
    assert_eq!(
        run_checks(reader.as_mut(), &permit).await,
        ["sequence_unreadable"]
    );
    let grants = source::postgres::grants(&db.url, &feed, "r").await.unwrap();
    assert!(
        grants.contains(&"GRANT SELECT ON SEQUENCE \"public\".\"t_id_seq\" TO \"r\";".to_owned()),
        "{grants:?}"
    );
    let (source, _) = open(
        &db,
        &format!("{READER} GRANT SELECT ON SEQUENCE t_id_seq TO $role;"),
        &gate,
    )
    .await;
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    reads(reader.as_mut(), &["id"], &gate, &[1, 2]).await;
    assert_eq!(run_checks(reader.as_mut(), &permit).await, [FUTURE_ROWS]);
    db.execute("INSERT INTO t (x) VALUES (4)").await;
    reads(reader.as_mut(), &["id"], &gate, &[1, 2, 3]).await;
}

/// Regression: one row with a future position makes a feed skip all later rows.
#[tokio::test]
async fn sqlite_future_row_is_held_and_others_are_read() {
    for (kind, now, future) in [
        (
            "TEXT",
            "strftime('%Y-%m-%d %H:%M:%f', 'now')",
            "'9999-12-31 00:00:00.000'",
        ),
        (
            "DATETIME",
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '1 hour')",
        ),
        (
            "INTEGER",
            "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            "9223372036854775807",
        ),
        (
            "INTEGER",
            "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 3600000",
        ),
    ] {
        let core = core(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, at {kind} NOT NULL); CREATE INDEX t_at ON t (at, id);
             INSERT INTO t VALUES (1, {now}), (2, {future});"
        ));
        let gate = Gate::fixed_open();
        let source = source(&core, &gate);
        let permit = gate.permit().await;
        let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        reads(reader.as_mut(), &["at", "id"], &gate, &[1]).await;
        assert_eq!(
            run_checks(reader.as_mut(), &permit).await,
            [FUTURE_ROWS],
            "{kind} {future}"
        );
        core.connection
            .execute_batch(&format!("INSERT INTO t VALUES (3, {now})"))
            .unwrap();
        reads(reader.as_mut(), &["at", "id"], &gate, &[1, 3]).await;
        let mut sent = feed.clone();
        sent.clock.future = FutureRows::Send;
        let mut reader = source.open_feed(&sent, &permit).await.unwrap();
        run_checks(reader.as_mut(), &permit).await;
        assert_eq!(reader.evidence().unwrap().future.len(), 1);
    }
}

/// A number that looks like a time is read as a number if the operator declares it.
#[tokio::test]
async fn sqlite_integer_declared_as_number_is_not_a_time() {
    let core = core(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, version INTEGER NOT NULL); CREATE INDEX t_v ON t (version, id);
         INSERT INTO t SELECT 1, CAST(strftime('%s', 'now') AS INTEGER) + 86400;",
    );
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let mut numbers = by_application("SELECT id, version FROM t", &["version", "id"]);
    numbers.clock.counts = Some(CursorCounts::Numbers);
    let mut reader = source.open_feed(&numbers, &permit).await.unwrap();
    reads(reader.as_mut(), &["version", "id"], &gate, &[1]).await;
    assert!(run_checks(reader.as_mut(), &permit).await.is_empty());
    // As seconds its step exceeds the lag.
    numbers.clock.counts = Some(CursorCounts::Seconds);
    let error = source.open_feed(&numbers, &permit).await.err().unwrap();
    assert!(error.to_string().contains("lag = \""), "{error}");
    let fence = Fence::Open;
    assert_eq!(
        drain(reader.as_mut(), &["version", "id"], &fence, 1, &permit)
            .await
            .ids(),
        [1]
    );
}

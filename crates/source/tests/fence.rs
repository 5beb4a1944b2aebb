//! The fence of PostgreSQL.

use gate::Gate;
use harness::until;
use source::{CursorSetBy, End, FeedReader, Source};

use crate::postgres::{READER, SETL, SOON, database, open, setl};
use crate::rows::{Taken, drain, feed};

/// Regression: cursors on a timestamp skip rows that commit late; one idle session blocks the fence.
#[tokio::test]
async fn fence_waits_for_a_late_commit_and_names_its_holder() {
    let db = database(SETL).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut reader = source.open_feed(&setl(), &permit).await.unwrap();
    let late = db.connect().await;
    late.batch_execute("SET application_name = 'night batch'; BEGIN; INSERT INTO setl (id) VALUES (1)")
        .await
        .unwrap();
    db.execute("INSERT INTO setl (id) VALUES (2)").await;
    let reading = reader.fence(&permit).await.unwrap();
    let holder = reading.holder.unwrap();
    assert_eq!(
        (
            holder.what.as_str(),
            holder.role.as_str(),
            holder.application.as_str()
        ),
        ("transaction", "postgres", "night batch")
    );
    let mut taken = Taken::default();
    let quantum = reader
        .read(None, &reading.fence.unwrap(), 10, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!(
        (quantum.rows, quantum.end),
        (0, End::Drained),
        "row 2 waits for row 1"
    );
    late.batch_execute("COMMIT").await.unwrap();
    let fence = until("the fence to move on", SOON, async || {
        let reading = reader.fence(&permit).await.unwrap();
        reading.holder.is_none().then_some(reading.fence.unwrap())
    })
    .await;
    assert_eq!(
        drain(reader.as_mut(), &["at", "id"], &fence, 10, &permit)
            .await
            .ids(),
        [1, 2]
    );
}

/// Regression: prepared transactions leave pg_stat_activity.
#[tokio::test]
async fn fence_is_frozen_by_a_prepared_transaction() {
    let db = database(SETL).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut reader = source.open_feed(&setl(), &permit).await.unwrap();
    let first = reader.fence(&permit).await.unwrap().fence.unwrap();
    let name = format!("late_{}", db.name());
    db.connect()
        .await
        .batch_execute(&format!(
            "BEGIN; INSERT INTO setl (id) VALUES (1); PREPARE TRANSACTION '{name}'"
        ))
        .await
        .unwrap();
    db.execute("INSERT INTO setl (id) VALUES (2)").await;
    let reading = reader.fence(&permit).await.unwrap();
    let holder = reading.holder.unwrap();
    assert_eq!(
        (holder.what.as_str(), holder.application.as_str()),
        ("prepared transaction", name.as_str())
    );
    assert_eq!(reading.fence, Some(first));
    db.connect()
        .await
        .batch_execute(&format!("COMMIT PREPARED '{name}'"))
        .await
        .unwrap();
    let fence = until("the fence to move on", SOON, async || {
        let reading = reader.fence(&permit).await.unwrap();
        reading.holder.is_none().then_some(reading.fence.unwrap())
    })
    .await;
    assert_eq!(
        drain(reader.as_mut(), &["at", "id"], &fence, 10, &permit)
            .await
            .ids(),
        [1, 2]
    );
}

/// Regression: cursors on an id skip rows that commit late.
#[tokio::test]
async fn sequence_waits_for_transactions_open_at_its_maximum() {
    let db = database("CREATE TABLE setl (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text)").await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let numbered = feed("SELECT id, x FROM setl", &["id"], CursorSetBy::Sequence);
    let mut reader = source.open_feed(&numbered, &permit).await.unwrap();
    let late = db.connect().await;
    late.batch_execute("BEGIN; INSERT INTO setl (x) VALUES ('late')")
        .await
        .unwrap();
    db.execute("INSERT INTO setl (x) VALUES ('early')").await;
    let reading = reader.fence(&permit).await.unwrap();
    assert_eq!(reading.fence, None);
    assert!(reading.holder.is_some());
    late.batch_execute("COMMIT").await.unwrap();
    let fence = until("the maximum to be decided", SOON, async || {
        reader.fence(&permit).await.unwrap().fence
    })
    .await;
    assert_eq!(
        drain(reader.as_mut(), &["id"], &fence, 10, &permit).await.ids(),
        [1, 2]
    );
}

/// One snapshot of open transactions serves all feeds of a source.
#[tokio::test]
async fn fence_snapshot_serves_each_feed_once() {
    let db = database(SETL).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut readers = Vec::new();
    for _ in 0..2 {
        readers.push(source.open_feed(&setl(), &permit).await.unwrap());
    }
    let cost = async |reader: &mut dyn FeedReader| {
        let before = source.driver_counts().statements;
        reader.fence(&permit).await.unwrap();
        source.driver_counts().statements - before
    };
    // Only the columns are read, unless more than a second passed between the two.
    until("one to use what another one saw", SOON, async || {
        let first = cost(readers[0].as_mut()).await;
        let second = cost(readers[1].as_mut()).await;
        first == 1 || second == 1
    })
    .await;
    let second = cost(readers[1].as_mut()).await;
    assert!(
        second >= 4,
        "sessions, prepared transactions, log and columns, not what it saw before: {second}"
    );
}

/// A maximum waits for transactions that were open after it was read, which an earlier snapshot does not show.
#[tokio::test]
async fn sequence_maximum_ignores_an_earlier_snapshot() {
    let db = database(&format!(
        "{SETL} CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text)"
    ))
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let numbered = feed("SELECT id, x FROM t", &["id"], CursorSetBy::Sequence);
    let mut numbers = source.open_feed(&numbered, &permit).await.unwrap();
    let mut times = source.open_feed(&setl(), &permit).await.unwrap();
    times.fence(&permit).await.unwrap();
    let late = db.connect().await;
    late.batch_execute("BEGIN; INSERT INTO t (x) VALUES ('late')")
        .await
        .unwrap();
    db.execute("INSERT INTO t (x) VALUES ('early')").await;
    let reading = numbers.fence(&permit).await.unwrap();
    assert_eq!(reading.fence, None, "number 1 is not committed");
    assert!(reading.has_new_rows);
    late.batch_execute("COMMIT").await.unwrap();
    let fence = until("the maximum to be decided", SOON, async || {
        numbers.fence(&permit).await.unwrap().fence
    })
    .await;
    let taken = drain(numbers.as_mut(), &["id"], &fence, 10, &permit).await;
    assert_eq!(taken.ids(), [1, 2]);
}

/// An unchanged sequence feed only reads its maximum.
#[tokio::test]
async fn sequence_without_new_rows_reads_no_transactions() {
    let db = database(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text); INSERT INTO t (x) VALUES ('x')",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let numbered = feed("SELECT id, x FROM t", &["id"], CursorSetBy::Sequence);
    let mut reader = source.open_feed(&numbered, &permit).await.unwrap();
    assert!(reader.fence(&permit).await.unwrap().has_new_rows);
    until("the maximum to be decided", SOON, async || {
        reader.fence(&permit).await.unwrap().fence
    })
    .await;
    let before = source.driver_counts().statements;
    let reading = reader.fence(&permit).await.unwrap();
    assert!(!reading.has_new_rows && reading.holder.is_none());
    let statements = source.driver_counts().statements - before;
    assert!(
        statements <= 4,
        "its maximum, its columns, and the source's log and tables at most: {statements}"
    );
    assert!(reader.spent() > std::time::Duration::ZERO);
}

//! Rows of tables of any shape are counted, stored again and removed.

use std::sync::Arc;
use std::time::Duration;

use schemas::column::ColumnType;
use schemas::value::Value;
use store::merge::ChunkNumber;
use store::refill::{Difference, Rows};
use store::{Options, Refill, Store};
use store_testing::conformance::Receiver;
use store_testing::samples::{Chain, lane, schema};

use crate::tables::{TEXT, adopting, both, kept, lines, named, quarantined, row, table};

const START: ChunkNumber = ChunkNumber { epoch: 1, number: 1 };
const END: ChunkNumber = ChunkNumber { epoch: 9, number: 0 };

async fn prepared(receiver: &dyn Receiver, options: Options) -> Arc<dyn Refill> {
    let store = receiver.refill(options);
    store.prepare().await.unwrap();
    store
}

async fn difference(store: &dyn Store) -> Option<Difference> {
    let count = store.count_rows(Duration::from_secs(60)).await.unwrap().remove(0);
    assert!(matches!(count.rows, Rows::Counted { .. }), "{count:?}");
    count.difference()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_count_is_exact_while_rows_wait() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let store = prepared(receiver, Options::default()).await;
        let mut chain = named();
        let first = chain.next(&[row(1, "a"), row(2, "b")]);
        store.store(&lane(), &[first]).await.unwrap();
        let unique = "CREATE UNIQUE INDEX setl_name ON setl (name)";
        receiver.execute(unique).await.unwrap();
        // A swap, and a new row that waits.
        let second = chain.next(&[row(1, "b"), row(2, "a"), row(3, "a")]);
        let outcomes = store.store(&lane(), &[second]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [1], "{name}");
        assert_eq!(difference(store.as_ref()).await, None, "{name}: one waits");
        let outcomes = store.store(&lane(), &[chain.next(&[row(2, "z")])]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{name}");
        assert_eq!(table(receiver).await, ["1:b:2", "2:z:3", "3:a:2"], "{name}");
        assert_eq!(difference(store.as_ref()).await, None, "{name}: all are stored");
    }
}

/// A key that the table's type equates with another one is not in the table, and not counted.
#[tokio::test(flavor = "multi_thread")]
async fn row_count_excludes_rows_of_equated_keys() {
    let cases = [
        ("postgres", "id char(5)", ["a", "a "]),
        ("sqlite", "id TEXT COLLATE NOCASE", ["A", "a"]),
    ];
    for (which, own, keys) in cases {
        for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
            let receiver = receiver.as_ref();
            let made = format!("CREATE TABLE setl ({own} NOT NULL PRIMARY KEY, name TEXT)");
            receiver.execute(&made).await.unwrap();
            let store = prepared(receiver, adopting()).await;
            let mut chain = Chain::new(lane(), schema(&["id"], &[("id", TEXT), ("name", TEXT)]), 0);
            let rows = keys.map(|key| vec![Value::Text(key), Value::Text("x")]);
            let chunks: Vec<_> = rows
                .iter()
                .map(|row| chain.next(std::slice::from_ref(row)))
                .collect();
            let count = async || {
                store
                    .count_rows(Duration::from_secs(60))
                    .await
                    .unwrap()
                    .remove(0)
                    .rows
            };
            store.store(&lane(), &chunks[..1]).await.unwrap();
            // In an adopted table, counting begins with the first count.
            assert_eq!(count().await, Rows::Unknown, "{name}");
            store.store(&lane(), &chunks[1..]).await.unwrap();
            let wanted = Rows::Counted { stored: 1, found: 1 };
            assert_eq!(count().await, wanted, "{name}");
            // When stored again, the existing row is no error, and the other one is unchanged.
            assert_eq!(
                store.mark_awaited(&lane(), START, END).await.unwrap(),
                2,
                "{name}"
            );
            for chunk in &chunks {
                store.store(&lane(), std::slice::from_ref(chunk)).await.unwrap();
            }
            assert_eq!(kept(receiver).await.len(), 1, "{name}");
            assert_eq!(difference(store.as_ref()).await, None, "{name}");
        }
    }
}

/// Triggers that pass every row, or ignore updates without a change.
#[tokio::test(flavor = "multi_thread")]
async fn chunk_stored_again_is_complete_with_trigger() {
    let passes = "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END $$; \
         CREATE TRIGGER pass BEFORE INSERT OR UPDATE OR DELETE ON setl FOR EACH ROW EXECUTE FUNCTION pass()";
    let same = "CREATE TRIGGER same BEFORE UPDATE ON setl FOR EACH ROW \
         EXECUTE FUNCTION suppress_redundant_updates_trigger()";
    let lite = "CREATE TRIGGER pass BEFORE UPDATE ON setl BEGIN SELECT 1; END; \
         CREATE TRIGGER same BEFORE UPDATE ON setl WHEN old.name = new.name BEGIN SELECT RAISE(IGNORE); END";
    for (which, trigger) in [("postgres", passes), ("postgres", same), ("sqlite", lite)] {
        for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
            let receiver = receiver.as_ref();
            let store = prepared(receiver, Options::default()).await;
            let mut columns = schema(
                &["id"],
                &[
                    ("id", ColumnType::Int8),
                    ("name", TEXT),
                    ("gone", ColumnType::Bool),
                ],
            );
            columns.tombstone = Some("gone".to_owned());
            let mut chain = Chain::new(lane(), columns, 0);
            let row = |id, name, gone| vec![Value::Int(id), Value::Text(name), Value::Bool(gone)];
            let rows = [row(1, "a", false), row(2, "b", false), row(3, "c", false)];
            let all = [chain.next(&rows), chain.next(&[row(3, "", true)])];
            store.store(&lane(), &all).await.unwrap();
            receiver.execute(trigger).await.unwrap();
            receiver.execute("DELETE FROM setl WHERE id = 2").await.unwrap();
            assert_eq!(
                store.mark_awaited(&lane(), START, END).await.unwrap(),
                2,
                "{name}"
            );
            for chunk in &all {
                let again = store.store(&lane(), std::slice::from_ref(chunk)).await.unwrap();
                assert_eq!(quarantined(&again), [0], "{name} {trigger}");
            }
            assert_eq!(table(receiver).await, ["1:a:1", "2:b:1"], "{name} {trigger}");
            assert_eq!(difference(store.as_ref()).await, None, "{name} {trigger}");
        }
    }
}

/// A resynchronisation removes nothing while a row waits, and shows a table that keeps rows.
#[tokio::test(flavor = "multi_thread")]
async fn resync_keeps_waiting_and_protected_rows() {
    let left_out = "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER stay BEFORE DELETE ON setl FOR EACH ROW EXECUTE FUNCTION stay()";
    let ignored = "CREATE TRIGGER stay BEFORE DELETE ON setl BEGIN SELECT RAISE(IGNORE); END";
    let refused = "CREATE TABLE theirs (id BIGINT REFERENCES setl (id)); INSERT INTO theirs VALUES (2)";
    let unique = "CREATE UNIQUE INDEX setl_name ON setl (name)";
    for (which, own, waits) in [
        ("postgres", left_out, false),
        ("postgres", refused, false),
        ("sqlite", ignored, false),
        ("postgres", unique, true),
        ("sqlite", unique, true),
    ] {
        for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
            let receiver = receiver.as_ref();
            let store = prepared(receiver, Options::default()).await;
            let mut chain = named();
            let first = chain.next(&[row(1, "a"), row(2, "gone")]);
            store.store(&lane(), &[first]).await.unwrap();
            receiver.execute(own).await.unwrap();
            let opens = chain.open_resync();
            store.store(&lane(), &[opens]).await.unwrap();
            store.reports().await.unwrap();
            // The row that is gone holds the value that a new one needs.
            let new = if waits { "gone" } else { "new" };
            let rows = chain.next_resync(&[row(1, "a"), row(3, new)], 0, false);
            store.store(&lane(), &[rows]).await.unwrap();
            store.reports().await.unwrap();
            let last = chain.next_resync(&[row(1, "a")], 0, true);
            let outcomes = store.store(&lane(), &[last]).await.unwrap();
            assert_eq!(quarantined(&outcomes), [0], "{name} {own}");
            let report = store.reports().await.unwrap().remove(0);
            let chunk_number = ChunkNumber { epoch: 2, number: 3 };
            assert_eq!(report.unfinished_removal, Some(chunk_number), "{name} {own}");
            assert_eq!(report.to, 3, "{name} {own}");
            let ids = lines(receiver, "SELECT CAST(id AS TEXT) FROM setl ORDER BY id").await;
            let wanted: &[&str] = if waits { &["1", "2"] } else { &["1", "2", "3"] };
            assert_eq!(ids, wanted, "{name} {own}");
            assert_eq!(difference(store.as_ref()).await, None, "{name} {own}");
        }
    }
}

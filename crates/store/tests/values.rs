//! Unique values that move between rows; keys with several spellings.

use schemas::column::ColumnType;
use schemas::value::Value;
use store::Options;
use store_testing::samples::{Chain, lane, schema};

use crate::tables::{TEXT, adopting, both, kept, lines, named, prepared, quarantined, row, table};

const UNIQUE: &str = "CREATE UNIQUE INDEX setl_name ON setl (name)";

#[tokio::test(flavor = "multi_thread")]
async fn store_swapped_unique_values_are_stored() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let store = prepared(receiver, Options::default()).await;
        let mut chain = named();
        store
            .store(&lane(), &[chain.next(&[row(1, "a"), row(2, "b")])])
            .await
            .unwrap();
        receiver.execute(UNIQUE).await.unwrap();
        let swapped = [chain.next(&[row(1, "b"), row(2, "a")])];
        let outcomes = store.store(&lane(), &swapped).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{name}");
        assert_eq!(table(receiver).await, ["1:b:2", "2:a:2"], "{name}");
        assert!(kept(receiver).await.is_empty(), "{name}");
        let report = store.reports().await.unwrap().remove(0);
        assert_eq!((report.to, report.quarantined), (2, vec![]), "{name}");
    }
}

/// A ring over a NOT NULL column, next to a row that waits for a row which does not move.
#[tokio::test(flavor = "multi_thread")]
async fn store_ring_of_unique_values_skips_blocked_row() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let own = "CREATE TABLE setl (id BIGINT PRIMARY KEY, name VARCHAR(30) NOT NULL UNIQUE, mine TEXT DEFAULT 'kept')";
        receiver.execute(own).await.unwrap();
        let store = prepared(receiver, adopting()).await;
        let mut chain = named();
        let rows: Vec<_> = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]
            .map(|(id, name)| row(id, name))
            .into();
        store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        let ring = [row(1, "b"), row(2, "c"), row(3, "a"), row(5, "d")];
        let outcomes = store.store(&lane(), &[chain.next(&ring)]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [1], "{name}");
        let wanted = ["1:b:2", "2:c:2", "3:a:2", "4:d:1", "5:e:1"];
        assert_eq!(table(receiver).await, wanted, "{name}");
        let mine = lines(receiver, "SELECT DISTINCT mine FROM setl").await;
        assert_eq!(mine, ["kept"], "{name}");
        assert_eq!(kept(receiver).await.len(), 1, "{name}");
        // The row that held the value moves on.
        let outcomes = store.store(&lane(), &[chain.next(&[row(4, "f")])]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{name}");
        assert_eq!(table(receiver).await[3..], ["4:f:3", "5:d:2"], "{name}");
        assert!(kept(receiver).await.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_values_that_move_over_chunks_are_stored() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let store = prepared(receiver, Options::default()).await;
        let mut chain = named();
        let rows = [row(1, "a"), row(2, "b"), row(3, "c")];
        store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        receiver.execute(UNIQUE).await.unwrap();
        let outcomes = store
            .store(&lane(), &[chain.next(&[row(1, "b"), row(2, "c")])])
            .await
            .unwrap();
        assert_eq!(quarantined(&outcomes), [2], "{name}");
        store.store(&lane(), &[chain.next(&[row(3, "d")])]).await.unwrap();
        assert_eq!(table(receiver).await, ["1:b:2", "2:c:2", "3:d:3"], "{name}");
        assert!(kept(receiver).await.is_empty(), "{name}");
        // Later rows are stored, although an earlier row waits.
        store.store(&lane(), &[chain.next(&[row(1, "d")])]).await.unwrap();
        store.store(&lane(), &[chain.next(&[row(1, "z")])]).await.unwrap();
        store.store(&lane(), &[chain.next(&[row(3, "y")])]).await.unwrap();
        assert_eq!(table(receiver).await, ["1:z:5", "2:c:2", "3:y:6"], "{name}");
        assert!(kept(receiver).await.is_empty(), "{name}");
    }
}

const DECIMAL: ColumnType = ColumnType::Decimal {
    precision: None,
    scale: None,
};

/// A core changes `1.0` to `1.00`: for it the key is the same.
#[tokio::test(flavor = "multi_thread")]
async fn store_key_in_another_spelling_is_the_same_row() {
    for adopted in [false, true] {
        for (name, receiver) in both().await {
            let receiver = receiver.as_ref();
            let options = if adopted {
                receiver
                    .execute("CREATE TABLE setl (id TEXT PRIMARY KEY, name TEXT)")
                    .await
                    .unwrap();
                adopting()
            } else {
                Options::default()
            };
            let store = prepared(receiver, options).await;
            let mut columns = schema(
                &["id"],
                &[("id", DECIMAL), ("name", TEXT), ("gone", ColumnType::Bool)],
            );
            columns.tombstone = Some("gone".to_owned());
            let mut chain = Chain::new(lane(), columns, 0);
            let row = |id, name, gone| vec![Value::Text(id), Value::Text(name), Value::Bool(gone)];
            if adopted {
                receiver
                    .execute("ALTER TABLE setl ADD COLUMN gone BOOLEAN")
                    .await
                    .unwrap();
            }
            let first = chain.next(&[row("1.0", "a", false), row("2.0", "b", false)]);
            let second = chain.next(&[row("1.00", "c", false), row("2.000", "", true)]);
            for chunk in [first, second] {
                let outcomes = store.store(&lane(), &[chunk]).await.unwrap();
                assert_eq!(quarantined(&outcomes), [0], "{name}");
            }
            assert_eq!(table(receiver).await, ["1.00:c:2"], "{name}, adopted: {adopted}");
            let late = chain.next(&[row("02", "d", false)]);
            store.store(&lane(), &[late]).await.unwrap();
            let ids = lines(receiver, "SELECT CAST(id AS TEXT) FROM setl ORDER BY 1").await;
            assert_eq!(ids.len(), 2, "{name}, adopted: {adopted}: {ids:?}");
        }
    }
}

/// Two source rows whose keys the store's type equates: the first is stored, the second is quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn store_keys_equated_by_type_are_not_merged() {
    let (upper, lower) = (
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    );
    let time = ("2026-01-01 10:00:00+00", "2026-01-01 12:00:00+02");
    let texts = |(one, other)| [Value::Text(one), Value::Text(other)];
    let cases = [
        ("postgres", ColumnType::Uuid, texts((upper, lower)), None),
        ("postgres", ColumnType::TimestampTz, texts(time), None),
        (
            "postgres",
            ColumnType::Any,
            [Value::Int(1), Value::Text("1")],
            None,
        ),
        ("postgres", TEXT, texts(("a", "a ")), Some("char(5)")),
        ("sqlite", TEXT, texts(("A", "a")), Some("TEXT COLLATE NOCASE")),
        ("sqlite", TEXT, texts(("1", "01")), Some("INTEGER")),
    ];
    for (which, kind, keys, own) in cases {
        for apart in [false, true] {
            for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
                let receiver = receiver.as_ref();
                let options = match own {
                    Some(own) => {
                        let made = format!("CREATE TABLE setl (id {own} NOT NULL PRIMARY KEY, name TEXT)");
                        receiver.execute(&made).await.unwrap();
                        adopting()
                    }
                    None => Options::default(),
                };
                let store = prepared(receiver, options).await;
                let mut chain = Chain::new(
                    lane(),
                    schema(&["id"], &[("id", kind.clone()), ("name", TEXT)]),
                    0,
                );
                let rows = keys.map(|key| vec![key, Value::Text("x")]);
                let chunks = match apart {
                    false => vec![chain.next(&rows)],
                    true => rows
                        .iter()
                        .map(|row| chain.next(std::slice::from_ref(row)))
                        .collect(),
                };
                let outcomes = store.store(&lane(), &chunks).await.unwrap();
                let case = format!("{name} {kind:?} {own:?} apart: {apart}");
                assert_eq!(quarantined(&outcomes).iter().sum::<u64>(), 1, "{case}");
                assert_eq!(kept(receiver).await.len(), 1, "{case}");
                assert_eq!(lines(receiver, "SELECT name FROM setl").await, ["x"], "{case}");
                // A newer version of the stored row is still stored.
                let newer = chain.next(&[vec![keys[0], Value::Text("y")]]);
                let outcomes = store.store(&lane(), &[newer]).await.unwrap();
                assert_eq!(quarantined(&outcomes), [0], "{case}");
                assert_eq!(lines(receiver, "SELECT name FROM setl").await, ["y"], "{case}");
            }
        }
    }
}

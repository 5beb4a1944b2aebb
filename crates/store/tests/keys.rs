//! Keys with several spellings, in tables of every origin.

use std::sync::Arc;

use schemas::column::ColumnType;
use schemas::value::Value;
use store::merge::ChunkNumber;
use store::{ErrorKind, Options, Refill};
use store_testing::conformance::Receiver;
use store_testing::samples::{Chain, lane, schema};

use crate::tables::{TEXT, adopting, both, kept, lines, postgres, quarantined};

const DECIMAL: ColumnType = ColumnType::Decimal {
    precision: None,
    scale: None,
};

fn other(native: &str) -> ColumnType {
    ColumnType::Other {
        native: native.to_owned(),
    }
}

/// Rows of a key and a name, some of them deleted.
fn chain(kind: &ColumnType) -> Chain {
    let columns = [("id", kind.clone()), ("name", TEXT), ("gone", ColumnType::Bool)];
    let mut columns = schema(&["id"], &columns);
    columns.tombstone = Some("gone".to_owned());
    Chain::new(lane(), columns, 0)
}

fn row<'a>(id: Value<'a>, name: &'a str) -> Vec<Value<'a>> {
    vec![id, Value::Text(name), Value::Bool(false)]
}

fn deleted(id: Value<'_>) -> Vec<Value<'_>> {
    vec![id, Value::Text(""), Value::Bool(true)]
}

async fn prepared(receiver: &dyn Receiver, options: Options) -> Arc<dyn Refill> {
    let store = receiver.refill(options);
    store.prepare().await.unwrap();
    store
}

async fn names(receiver: &dyn Receiver) -> Vec<String> {
    lines(receiver, "SELECT name FROM setl ORDER BY name").await
}

/// Creates the table of an earlier version: without the canonical key.
async fn forget_form(receiver: &dyn Receiver) {
    forget_index(receiver).await;
    receiver
        .execute("ALTER TABLE setl DROP COLUMN _slacktide_key")
        .await
        .unwrap();
}

async fn forget_index(receiver: &dyn Receiver) {
    let sqlite = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%(_slacktide_key)%'";
    let Ok(found) = receiver.texts(sqlite).await else {
        return receiver
            .execute("ALTER TABLE setl DROP CONSTRAINT setl__slacktide_key_key")
            .await
            .unwrap();
    };
    for name in found.into_iter().flatten().flatten() {
        receiver.execute(&format!("DROP INDEX {name}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_equal_keys_of_every_type_are_one_row() {
    for (kind, first, second, third) in [
        (ColumnType::Interval, "P1M", "P30D", "PT720H"),
        (ColumnType::Jsonb, "{\"a\": 1.0}", "{\"a\": 1.00}", "{\"a\": 1}"),
        (other("numeric[]"), "{1.0,2}", "{1.00,2.0}", "{1,2}"),
        (other("double precision[]"), "{0,1}", "{-0,1}", "{0,1}"),
        (other("interval[]"), "{P1M}", "{P30D}", "{PT720H}"),
    ] {
        for (name, receiver) in both().await {
            let receiver = receiver.as_ref();
            let case = format!("{name} {kind:?}");
            let store = prepared(receiver, Options::default()).await;
            let mut chain = chain(&kind);
            for (id, named) in [(first, "a"), (second, "b")] {
                let chunk = chain.next(&[row(Value::Text(id), named)]);
                let outcomes = store.store(&lane(), &[chunk]).await.unwrap();
                assert_eq!(quarantined(&outcomes), [0], "{case}");
            }
            assert_eq!(names(receiver).await, ["b"], "{case}");
            // The newest spelling is stored.
            let ids = lines(receiver, "SELECT CAST(id AS TEXT) FROM setl").await;
            if name == "sqlite" {
                assert_eq!(ids, [second], "{case}");
            }
            let gone = chain.next(&[deleted(Value::Text(third))]);
            store.store(&lane(), &[gone]).await.unwrap();
            assert!(names(receiver).await.is_empty(), "{case}");
        }
    }
}

/// A text in a bytes column is another key than the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn store_text_and_bytes_are_different_keys() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let store = prepared(receiver, Options::default()).await;
        let rows = [row(Value::Bytes(b"a"), "bytes"), row(Value::Text("a"), "text")];
        let chunk = chain(&ColumnType::Bytes).next(&rows);
        let outcomes = store.store(&lane(), &[chunk]).await.unwrap();
        let apart = u64::from(name == "postgres");
        assert_eq!(quarantined(&outcomes), [apart], "{name}");
        assert_eq!(
            names(receiver).await.len(),
            if apart == 1 { 1 } else { 2 },
            "{name}"
        );
        assert_eq!(kept(receiver).await.len() as u64, apart, "{name}");
    }
}

/// A table from before canonical keys was merged by its types.
#[tokio::test(flavor = "multi_thread")]
async fn store_table_of_earlier_version_gets_canonical_key() {
    let (upper, lower) = (
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    );
    let text = Value::Text;
    for (which, kind, [known, same, apart]) in [
        ("postgres", DECIMAL, [text("1.0"), text("1.00"), text("2")]),
        (
            "postgres",
            ColumnType::Uuid,
            [text(upper), text(upper), text(lower)],
        ),
        (
            "postgres",
            ColumnType::Interval,
            [text("P1M"), text("P30D"), text("P31D")],
        ),
        (
            "sqlite",
            ColumnType::Any,
            [Value::Int(1), Value::Float(1.0), text("1")],
        ),
        (
            "sqlite",
            ColumnType::Uuid,
            [text(upper), text(upper), text(lower)],
        ),
    ] {
        for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
            let receiver = receiver.as_ref();
            let case = format!("{name} {kind:?}");
            let store = prepared(receiver, Options::default()).await;
            let mut chain = chain(&kind);
            let first = chain.next(&[row(known, "a")]);
            store.store(&lane(), &[first]).await.unwrap();
            forget_form(receiver).await;
            let again = chain.next(&[row(same, "b")]);
            let outcomes = store.store(&lane(), &[again]).await.unwrap();
            assert_eq!(quarantined(&outcomes), [0], "{case}");
            assert_eq!(names(receiver).await, ["b"], "{case}");
            let own = "SELECT CAST(count(*) AS TEXT) FROM setl WHERE _slacktide_key IS NULL";
            assert_eq!(lines(receiver, own).await, ["0"], "{case}");
            // Another key is another row, and is quarantined if the type equates them.
            let next = chain.next(&[row(apart, "c")]);
            let outcomes = store.store(&lane(), &[next]).await.unwrap();
            let refused = u64::from((which, &kind) == ("postgres", &ColumnType::Uuid));
            assert_eq!(quarantined(&outcomes), [refused], "{case}");
            let gone = chain.next(&[deleted(known)]);
            store.store(&lane(), &[gone]).await.unwrap();
            assert_eq!(names(receiver).await, ["c"], "{case}");
        }
    }
}

/// Each spelling was a row, so rows of one key are unknown. The remedy works.
#[tokio::test(flavor = "multi_thread")]
async fn store_table_with_split_keys_is_refused_until_refill() {
    for (which, kind) in [
        ("sqlite", DECIMAL),
        ("sqlite", other("nocase")),
        ("postgres", other("nocase")),
    ] {
        for (name, receiver) in both().await.into_iter().filter(|(name, _)| *name == which) {
            let receiver = receiver.as_ref();
            let case = format!("{name} {kind:?}");
            let store = prepared(receiver, Options::default()).await;
            let keys = if kind == DECIMAL {
                ["1.0", "1.00"]
            } else {
                ["A", "a"]
            };
            let mut chain = chain(&kind);
            let first = chain.next(&[row(Value::Text(keys[0]), "a")]);
            store.store(&lane(), std::slice::from_ref(&first)).await.unwrap();
            forget_form(receiver).await;
            let second = chain.next(&[row(Value::Text(keys[1]), "b")]);
            let error = store
                .store(&lane(), std::slice::from_ref(&second))
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{case}: {error}");
            assert!(
                error.remedy.contains("feed refill setl --from start"),
                "{case}: {error}"
            );
            assert_eq!(names(receiver).await, ["a"], "{case}");
            let report = store.reports().await.unwrap().remove(0);
            assert!(report.refused.is_some(), "{case}: {report:?}");
            receiver.execute("DROP TABLE setl").await.unwrap();
            let (start, end) = (
                ChunkNumber { epoch: 1, number: 1 },
                ChunkNumber { epoch: 9, number: 0 },
            );
            assert_eq!(
                store.mark_awaited(&lane(), start, end).await.unwrap(),
                1,
                "{case}"
            );
            for chunk in [first, second] {
                let outcomes = store.store(&lane(), &[chunk]).await.unwrap();
                assert_eq!(quarantined(&outcomes), [0], "{case}");
            }
            assert_eq!(names(receiver).await, ["b"], "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_dropped_canonical_key_index_is_recreated() {
    for (name, receiver) in both().await {
        let receiver = receiver.as_ref();
        let store = prepared(receiver, Options::default()).await;
        let mut chain = chain(&DECIMAL);
        let first = chain.next(&[row(Value::Text("1.0"), "a")]);
        store.store(&lane(), &[first]).await.unwrap();
        forget_index(receiver).await;
        let second = chain.next(&[row(Value::Text("1.00"), "b"), row(Value::Text("2"), "c")]);
        let outcomes = store.store(&lane(), &[second]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{name}");
        assert_eq!(names(receiver).await, ["b", "c"], "{name}");
        let twice = "INSERT INTO setl (id, _slacktide_key, _slacktide_epoch, _slacktide_number) \
             SELECT '7', _slacktide_key, 1, 1 FROM setl WHERE name = 'b'";
        // The harness panics where PostgreSQL refuses a statement.
        if name == "sqlite" {
            assert!(
                receiver.execute(twice).await.is_err(),
                "{name}: the index is not unique"
            );
        } else {
            let unique =
                "SELECT count(*)::text FROM pg_index WHERE indrelid = 'setl'::regclass AND indisunique";
            assert_eq!(lines(receiver, unique).await, ["2"], "{name}");
        }
    }
}

/// A partitioned table cannot have a unique index over the canonical key.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_partitioned_table_merges_spellings_or_is_refused() {
    let by_range =
        "PARTITION BY RANGE (id); CREATE TABLE setl_1 PARTITION OF setl FOR VALUES FROM (0) TO (100)";
    let by_hash = "PARTITION BY HASH (id); CREATE TABLE setl_1 PARTITION OF setl FOR VALUES WITH (MODULUS 1, REMAINDER 0)";
    for (own, parts, is_fit) in [("numeric", by_range, true), ("text", by_hash, false)] {
        let receiver = postgres().await;
        receiver
            .execute(&format!(
                "CREATE TABLE setl (id {own} PRIMARY KEY, name text, gone boolean) {parts}"
            ))
            .await
            .unwrap();
        let store = prepared(&receiver, adopting()).await;
        let mut chain = chain(&DECIMAL);
        let first = chain.next(&[row(Value::Text("1.0"), "a"), row(Value::Text("2.0"), "b")]);
        let stored = store.store(&lane(), &[first]).await;
        if !is_fit {
            let error = stored.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{error}");
            for word in ["\"id\"", "partitioned", "[store.feed.setl]"] {
                assert!(error.to_string().contains(word), "{error}");
            }
            assert!(names(&receiver).await.is_empty());
            continue;
        }
        assert_eq!(quarantined(&stored.unwrap()), [0]);
        let second = chain.next(&[row(Value::Text("1.00"), "c"), deleted(Value::Text("02"))]);
        let outcomes = store.store(&lane(), &[second]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0]);
        let there = lines(&receiver, "SELECT id::text, name FROM setl").await;
        assert_eq!(there, ["1.00:c"]);
    }
}

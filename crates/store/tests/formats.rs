//! The formats of COPY, and bulks that are split by whether a key is new.

use schemas::column::ColumnType;
use schemas::value::Value;
use store::Options;
use store_testing::conformance::Receiver as _;
use store_testing::samples::{Chain, lane, schema};

use crate::tables::{TEXT, both, kept, lines, postgres, prepared, quarantined, table};

/// A type with values in their usual spelling, and one in another spelling.
fn kinds() -> Vec<(&'static str, ColumnType, [Value<'static>; 3], Value<'static>)> {
    use Value::{Bool, Bytes, Float, Int, Text};
    let decimal = ColumnType::Decimal {
        precision: None,
        scale: None,
    };
    vec![
        (
            "c_bool",
            ColumnType::Bool,
            [Bool(true), Bool(false), Value::Null],
            Text("yes"),
        ),
        (
            "c_int2",
            ColumnType::Int2,
            [Int(-32_768), Int(7), Value::Null],
            Text(" 7"),
        ),
        (
            "c_int4",
            ColumnType::Int4,
            [Int(-2_147_483_648), Int(0), Value::Null],
            Text("+7"),
        ),
        (
            "c_int8",
            ColumnType::Int8,
            [Int(i64::MIN), Int(i64::MAX), Value::Null],
            Text("07"),
        ),
        (
            "c_float4",
            ColumnType::Float4,
            [Float(0.5), Float(-1.25), Float(f64::INFINITY)],
            Text("1e3"),
        ),
        (
            "c_float8",
            ColumnType::Float8,
            [Float(0.1), Float(-0.0), Float(f64::NAN)],
            Text("1e300"),
        ),
        (
            "c_decimal",
            decimal,
            [Text("-120034.50"), Text("0.000012340"), Text("0.00")],
            Text("1e5"),
        ),
        (
            "c_text",
            TEXT,
            [Text(""), Text("a\tb\\N\n'\"张三"), Text("\\.")],
            Int(7),
        ),
        (
            "c_bytes",
            ColumnType::Bytes,
            [Bytes(&[0, 255, 92]), Bytes(&[]), Text("\\x41")],
            Value::Null,
        ),
        (
            "c_date",
            ColumnType::Date,
            [Text("0001-01-01"), Text("2000-02-29"), Text("9999-12-31")],
            Text("infinity"),
        ),
        (
            "c_time",
            ColumnType::Time,
            [Text("00:00:00"), Text("23:59:59.999999"), Text("12:00:00.1")],
            Text("24:00:00"),
        ),
        (
            "c_timestamp",
            ColumnType::Timestamp,
            [
                Text("1999-12-31 23:59:59.9"),
                Text("2000-01-01 00:00:00"),
                Text("0001-01-01 00:00:00"),
            ],
            Text("2026-01-01T00:00:00"),
        ),
        (
            "c_timestamptz",
            ColumnType::TimestampTz,
            [
                Text("1999-12-31 23:59:59.000001+00"),
                Text("9999-12-31 23:59:59+00"),
                Value::Null,
            ],
            Text("2026-01-01 08:00:00+08"),
        ),
        (
            "c_uuid",
            ColumnType::Uuid,
            [
                Text("00112233-4455-6677-8899-aabbccddeeff"),
                Value::Null,
                Value::Null,
            ],
            Text("00112233445566778899AABBCCDDEEFF"),
        ),
        (
            "c_json",
            ColumnType::Json,
            [Text("{\"a\":  1}"), Text("null"), Value::Null],
            Value::Null,
        ),
        (
            "c_jsonb",
            ColumnType::Jsonb,
            [Text("{\"b\": 1.00, \"a\": 2}"), Text("[]"), Value::Null],
            Value::Null,
        ),
    ]
}

/// Rows that are sent in the binary format must be stored as their texts would be. One unusual value sends the bulk as text.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_binary_rows_are_stored_as_their_texts() {
    let kinds = kinds();
    let columns: Vec<(&str, ColumnType)> = std::iter::once(("id", ColumnType::Int8))
        .chain(kinds.iter().map(|(name, kind, ..)| (*name, kind.clone())))
        .collect();
    let usual: Vec<Vec<Value<'_>>> = (0..3)
        .map(|at| {
            let values = kinds.iter().map(|(_, _, values, _)| values[at]);
            std::iter::once(Value::Int(at as i64)).chain(values).collect()
        })
        .collect();
    let unusual: Vec<Value<'_>> = std::iter::once(Value::Int(3))
        .chain(kinds.iter().map(|(_, _, _, other)| *other))
        .collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("{name}::text")).collect();
    let sql = format!("SELECT {} FROM setl WHERE id < 3 ORDER BY id", names.join(", "));
    let mut stored = Vec::new();
    for with_unusual in [false, true] {
        let receiver = postgres().await;
        let store = prepared(&receiver, Options::default()).await;
        let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
        let mut rows = usual.clone();
        rows.extend(with_unusual.then(|| unusual.clone()));
        let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{:?}", kept(&receiver).await);
        // Again as newer versions, through the staging table.
        let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [0], "{:?}", kept(&receiver).await);
        stored.push(lines(&receiver, &sql).await);
    }
    assert_eq!(stored[0].len(), 3);
    assert_eq!(stored[0], stored[1]);
}

/// New keys go into the table, known ones through the staging table, and a tombstone forbids an older version.
#[tokio::test(flavor = "multi_thread")]
async fn store_new_and_known_keys_of_one_chunk_are_stored() {
    for (name, receiver) in both().await {
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
        let row = |id: i64, name, gone| vec![Value::Int(id), Value::Text(name), Value::Bool(gone)];
        let first = chain.next(&[row(1, "a", false), row(2, "a", false), row(3, "a", false)]);
        let late = chain.next(&[
            row(2, "late", false),
            row(3, "late", false),
            row(4, "late", false),
            row(9, "late", false),
        ]);
        let last = chain.next(&[
            row(1, "c", false),
            row(2, "c", true),
            row(5, "c", false),
            row(6, "c", false),
            row(7, "c", true),
            row(8, "c", false),
            row(9, "c", false),
        ]);
        // The second chunk arrives last: its versions are older.
        for chunk in [first, last, late] {
            let outcomes = store.store(&lane(), &[chunk]).await.unwrap();
            assert_eq!(quarantined(&outcomes), [0], "{name}");
        }
        let expected = [
            "1:c:3", "3:late:2", "4:late:2", "5:c:3", "6:c:3", "8:c:3", "9:c:3",
        ];
        assert_eq!(table(receiver).await, expected, "{name}");
        let own = receiver.own("ledger");
        let net = lines(
            receiver,
            &format!("SELECT CAST(sum(rows_net) AS TEXT) FROM {own}"),
        )
        .await;
        assert_eq!(net, ["7"], "{name}");
    }
}

/// Only the refused row of a split bulk is quarantined, and the versions of all other keys are stored.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_refused_row_of_a_split_bulk_is_alone() {
    let receiver = postgres().await;
    let store = prepared(&receiver, Options::default()).await;
    let mut chain = Chain::new(
        lane(),
        schema(&["id"], &[("id", ColumnType::Int8), ("name", TEXT)]),
        0,
    );
    let rows = |from: i64, to: i64, name: &'static str| -> Vec<Vec<Value<'_>>> {
        (from..to)
            .map(|id| vec![Value::Int(id), Value::Text(name)])
            .collect()
    };
    store
        .store(&lane(), &[chain.next(&rows(0, 4, "a"))])
        .await
        .unwrap();
    receiver
        .execute("ALTER TABLE setl ADD CHECK (name <> 'no')")
        .await
        .unwrap();
    for (refused, new_rows) in [(2, rows(2, 12, "b")), (15, rows(10, 20, "c"))] {
        let mut rows = new_rows;
        rows.iter_mut()
            .filter(|row| row[0] == Value::Int(refused))
            .for_each(|row| row[1] = Value::Text("no"));
        let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [1]);
    }
    let stored = lines(&receiver, "SELECT string_agg(name, '' ORDER BY id) FROM setl").await;
    // Row 2 keeps its older version, row 15 has none.
    assert_eq!(stored, ["aaabbbbbbbccccccccc"]);
    assert_eq!(kept(&receiver).await.len(), 2);
}

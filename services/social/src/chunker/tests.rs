use schemas::body::{CHUNK_TARGET_BYTES, MAX_PLAIN_BYTES};
use source::RowSink as _;

use super::*;
use schemas::column::{Column, ColumnType};
use schemas::cursor::Scalar;
use schemas::total::Total;
use schemas::value::Value;

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: true,
    };
    RowSchema {
        name: "setl".into(),
        version: 1,
        columns: vec![
            column("id", ColumnType::Int8),
            column(
                "amount",
                ColumnType::Decimal {
                    precision: None,
                    scale: None,
                },
            ),
            column("note", ColumnType::Text { max: None }),
            column("gone", ColumnType::Bool),
        ],
        key: vec!["id".into()],
        tombstone: Some("gone".into()),
    }
}

fn chunker(before: Option<Cursor>) -> Chunker {
    Chunker::new(&schema(), &["id".into()], &["amount".into()], before).unwrap()
}

fn at(id: i64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Int(id)]))
}

fn put(chunker: &mut Chunker, id: i64, amount: &str, note: &str, gone: bool) {
    chunker.row(&[
        Value::Int(id),
        Value::Text(amount),
        Value::Text(note),
        Value::Bool(gone),
    ]);
}

#[test]
fn chunker_blocks_have_no_gaps_and_exact_sums() {
    let mut chunker = chunker(at(0));
    let note = "x".repeat(1_000);
    (1..=600).for_each(|id| put(&mut chunker, id, "0.10", &note, id % 100 == 0));
    chunker.rows.close();
    let blocks = chunker.rows.take_closed();
    assert!(blocks.len() >= 3, "{}", blocks.len());
    let mut before = at(0);
    for block in &blocks {
        assert_eq!(block.cursor_before, before);
        assert!(block.plain.len() < CHUNK_TARGET_BYTES + 2_000);
        before.clone_from(&block.cursor_after);
    }
    assert_eq!(before, at(600));
    let mut sum = Total::default();
    blocks
        .iter()
        .for_each(|block| sum.add(Value::Text(&block.totals.money["amount"])));
    assert_eq!(sum.to_string(), "60.00");
    assert_eq!(blocks.iter().map(|block| block.totals.deleted).sum::<u64>(), 6);
    assert_eq!(blocks.iter().map(|block| block.totals.rows).sum::<u64>(), 600);
}

#[test]
fn chunker_large_row_is_alone_and_a_larger_one_is_a_reject() {
    let mut chunker = chunker(None);
    put(&mut chunker, 1, "1", "small", false);
    put(&mut chunker, 2, "1", &"l".repeat(CHUNK_TARGET_BYTES + 1), false);
    put(&mut chunker, 3, "1", &"h".repeat(MAX_PLAIN_BYTES), false);
    put(&mut chunker, 4, "1", "small", false);
    chunker.rows.close();
    let blocks = chunker.rows.take_closed();
    assert_eq!(
        blocks.iter().map(|b| b.totals.rows).collect::<Vec<_>>(),
        [1, 1, 1]
    );
    assert_eq!(blocks[0].cursor_after, at(1));
    assert_eq!(blocks[1].cursor_after, at(2));
    assert!(blocks.iter().all(|block| block.plain.len() <= MAX_PLAIN_BYTES));
    let reject = &blocks[2].rejects[0];
    assert_eq!(
        (reject.key.as_slice(), reject.column.as_deref()),
        ([Some(Scalar::Int(3))].as_slice(), Some("note"))
    );
}

#[test]
fn chunker_block_of_rejects_moves_the_position() {
    let mut chunker = chunker(at(7));
    chunker.reject(
        Cursor(vec![Scalar::Int(8)]),
        Reject {
            key: vec![],
            column: None,
            reason: "bad".into(),
        },
    );
    assert_eq!(chunker.rows.position().unwrap(), at(8));
    chunker.rows.close();
    let blocks = chunker.rows.take_closed();
    assert_eq!(
        (blocks[0].totals.rows, blocks[0].cursor_after.clone()),
        (0, at(8))
    );
    assert_eq!(chunker.rows.position().unwrap(), at(8));
    chunker.rows.close();
    assert!(
        chunker.rows.take_closed().is_empty(),
        "nothing read, nothing closed"
    );
}

#[test]
fn chunker_null_cursor_is_an_error() {
    let mut chunker = chunker(None);
    put(&mut chunker, 1, "1", "fine", false);
    chunker.row(&[Value::Null, Value::Null, Value::Null, Value::Null]);
    put(&mut chunker, 2, "1", "fine", false);
    assert_eq!(chunker.rows.position().unwrap(), at(1));
    let error = chunker.rows.take_fault().unwrap().to_string();
    assert!(error.contains("\"id\"") && error.contains("null"), "{error}");
}

#[test]
fn chunker_missing_column_is_named() {
    let error = Chunker::new(&schema(), &["no_such".into()], &[], None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cursor") && error.contains("no_such"), "{error}");
}

/// Rejects travel in the manifest: hundreds of them with long keys would make a message too large to publish.
#[test]
fn chunker_long_reject_key_is_left_out_and_long_cursor_fails() {
    let mut chunker = chunker(None);
    let reject = |key: &str| Reject {
        key: vec![Some(Scalar::Text(key.to_owned())), Some(Scalar::Int(1))],
        column: None,
        reason: "bad".into(),
    };
    chunker.reject(
        Cursor(vec![Scalar::Int(1)]),
        reject(&"k".repeat(super::reject::MAX_KEY_BYTES + 1)),
    );
    chunker.reject(Cursor(vec![Scalar::Int(2)]), reject("short"));
    chunker.reject(Cursor(vec![Scalar::Text("c".repeat(8_193))]), reject("short"));
    assert!(chunker.rows.take_fault().is_some());
    chunker.rows.close();
    let blocks = chunker.rows.take_closed();
    let keys: Vec<_> = blocks[0]
        .rejects
        .iter()
        .map(|reject| reject.key[0].clone())
        .collect();
    assert_eq!(keys, [None, Some(Scalar::Text("short".to_owned()))]);
}

/// Keys of many columns full of what JSON escapes: the manifest must still stay small.
#[test]
fn chunker_large_rejects_close_the_block() {
    let mut chunker = chunker(None);
    for id in 0..400 {
        let key = vec![Some(Scalar::Text("\u{1}".repeat(super::reject::MAX_KEY_BYTES))); 8];
        let (column, reason) = (None, "bad".to_owned());
        chunker.reject(Cursor(vec![Scalar::Int(id)]), Reject { key, column, reason });
    }
    chunker.rows.close();
    let blocks = chunker.rows.take_closed();
    assert_eq!(blocks.iter().map(|block| block.rejects.len()).sum::<usize>(), 400);
    for block in &blocks {
        let bytes: usize = block
            .rejects
            .iter()
            .map(|reject| {
                reject
                    .key
                    .iter()
                    .map(|key| format!("{key:?}").len())
                    .sum::<usize>()
            })
            .sum();
        assert!(bytes < 1_000_000, "{bytes} bytes of rejects in one manifest");
    }
}

/// Dropped and added columns shift the others: old indices would take another column for the cursor.
#[test]
fn chunker_changed_columns_continue_at_the_same_position() {
    let mut chunker = chunker(at(0));
    put(&mut chunker, 1, "0.10", "a", false);
    chunker.rows.close();
    let mut after = schema();
    after.columns.rotate_left(1);
    let mut next = chunker
        .with_schema(&after, &["id".into()], &["amount".into()])
        .unwrap();
    assert_eq!(next.rows.position().unwrap(), at(1));
    next.row(&[
        Value::Text("2.50"),
        Value::Text("b"),
        Value::Bool(false),
        Value::Int(2),
    ]);
    next.rows.close();
    let blocks = next.rows.take_closed();
    assert_eq!(
        (&blocks[0].cursor_before, &blocks[0].cursor_after),
        (&at(1), &at(2))
    );
    assert_eq!(blocks[0].totals.money["amount"], "2.50");
}

/// A chunker whose mark is of this type.
fn marked(kind: ColumnType) -> Chunker {
    let mut schema = schema();
    schema.columns[3].kind = kind;
    let mut chunker = Chunker::new(&schema, &["id".into()], &[], at(0)).unwrap();
    chunker
        .rows
        .begin_quantum("2026-11-29T12:00:00Z".parse().unwrap());
    chunker
}

fn mark(chunker: &mut Chunker, id: i64, mark: Value<'_>) {
    chunker.row(&[Value::Int(id), Value::Text("1"), Value::Text("x"), mark]);
}

/// Trap: `'no'`, a blank, a padded `'N'`, `0.0` and `infinity` delete rows.
#[test]
fn chunker_unknown_tombstone_is_a_reject_and_no_deletion() {
    let text = ColumnType::Text { max: None };
    for (kind, unknown) in [
        (text.clone(), "no"),
        (text.clone(), " "),
        (text.clone(), "N   "),
        (text.clone(), "0.0"),
        (ColumnType::Timestamp, "infinity"),
        (ColumnType::Timestamp, "9999-12-31 00:00:00"),
    ] {
        let mut chunker = marked(kind);
        mark(&mut chunker, 1, Value::Null);
        mark(&mut chunker, 2, Value::Text(unknown));
        mark(&mut chunker, 3, Value::Null);
        chunker.rows.close();
        let block = chunker.rows.take_closed().remove(0);
        assert_eq!((block.totals.rows, block.totals.deleted), (2, 0), "{unknown:?}");
        assert_eq!(block.cursor_after, at(3));
        let reject = &block.rejects[0];
        assert_eq!(reject.key, [Some(Scalar::Int(2))]);
        assert_eq!(reject.column.as_deref(), Some("gone"));
        // The reject does not hold the value.
        assert!(
            !reject.reason.contains(&format!("{unknown:?}")),
            "{}",
            reject.reason
        );
    }
    let mut chunker = marked(text);
    for (id, known) in [(1, "N"), (2, ""), (3, "Y"), (4, "t")] {
        mark(&mut chunker, id, Value::Text(known));
    }
    chunker.rows.close();
    let block = chunker.rows.take_closed().remove(0);
    assert_eq!((block.totals.rows, block.totals.deleted), (4, 2));
}

/// Rows without a key would be merged, or stop at the store.
#[test]
fn chunker_row_without_a_key_is_a_reject() {
    let mut schema = schema();
    schema.key = vec!["id".into(), "note".into()];
    let mut chunker = Chunker::new(&schema, &["id".into()], &[], at(0)).unwrap();
    chunker.row(&[Value::Int(1), Value::Text("1"), Value::Null, Value::Null]);
    chunker.row(&[Value::Int(2), Value::Text("1"), Value::Text("a"), Value::Null]);
    chunker.rows.close();
    let block = chunker.rows.take_closed().remove(0);
    assert_eq!(block.totals.rows, 1);
    let reject = &block.rejects[0];
    assert_eq!(reject.key, [Some(Scalar::Int(1)), None]);
    assert_eq!(reject.column.as_deref(), Some("note"));
}

/// The reject of a row without a position in the order does not move the cursor.
#[test]
fn chunker_unordered_row_moves_no_position() {
    for before in [None, at(7)] {
        let mut chunker = chunker(before.clone());
        let reject = || Reject {
            key: vec![Some(Scalar::Int(99))],
            column: Some("id".into()),
            reason: "ahead".into(),
        };
        chunker.reject_unordered(reject());
        assert_eq!(chunker.rows.position().unwrap(), before);
        put(&mut chunker, 8, "1", "x", false);
        chunker.reject_unordered(reject());
        assert_eq!(chunker.rows.position().unwrap(), at(8));
        chunker.rows.close();
        chunker.reject_unordered(reject());
        chunker.rows.close();
        let blocks = chunker.rows.take_closed();
        assert_eq!(
            (&blocks[0].cursor_before, &blocks[0].cursor_after),
            (&before, &at(8))
        );
        assert_eq!(
            (&blocks[1].cursor_before, &blocks[1].cursor_after),
            (&at(8), &at(8))
        );
        assert_eq!((blocks[0].rejects.len(), blocks[1].rejects.len()), (2, 1));
    }
}

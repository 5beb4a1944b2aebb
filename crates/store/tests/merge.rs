//! Rows of several chunks are folded to the last version of each key.

use schemas::column::{ColumnType, RowSchema};
use schemas::value::Value;
use store::merge::fold;
use store_testing::samples::{Chain, lane, schema};

fn claims() -> RowSchema {
    let text = ColumnType::Text { max: None };
    RowSchema {
        tombstone: Some("gone".to_owned()),
        ..schema(
            &["id"],
            &[
                ("id", ColumnType::Int8),
                ("name", text),
                ("gone", ColumnType::Bool),
            ],
        )
    }
}

#[test]
fn merge_last_version_wins_and_rows_are_sorted() {
    let mut chain = Chain::new(lane(), claims(), 0);
    let row = |id: i64, name: &'static str| vec![Value::Int(id), Value::Text(name), Value::Bool(false)];
    let first = chain.next(&[row(3, "a"), row(1, "b"), row(3, "c")]);
    let second = chain.next(&[row(2, "d"), row(1, "e")]);
    // Given in the wrong order.
    let fold = fold(&claims(), &[(0, &second), (1, &first)]).unwrap();
    let seen: Vec<_> = fold
        .versions
        .iter()
        .map(|version| (version.arrival, version.ordinal, fold.values(version)[1]))
        .collect();
    assert_eq!(
        seen,
        [
            (0, 1, Value::Text("e")),
            (0, 0, Value::Text("d")),
            (1, 2, Value::Text("c"))
        ]
    );
    assert!(fold.versions.is_sorted_by_key(|version| &version.key));
}

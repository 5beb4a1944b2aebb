use schemas::column::{Column, ColumnType};
use schemas::name::{FeedName, Lane, RecipientName};

use super::*;

type Row<'a> = (u64, [Option<&'a str>; 2]);

fn lane(names: [&str; 2], frontier: u64) -> LaneContents {
    let column = |name: &str| Column {
        name: name.to_owned(),
        kind: ColumnType::Text { max: None },
        nullable: true,
    };
    let schema = schemas::column::RowSchema {
        name: "setl".to_owned(),
        version: 1,
        columns: names.map(column).to_vec(),
        key: vec!["id".to_owned()],
        tombstone: None,
    };
    let lane = Lane {
        recipient: RecipientName::new("insurer-a").unwrap(),
        feed: FeedName::new("setl").unwrap(),
    };
    crate::contents::sample(
        lane,
        schema,
        ChunkNumber {
            epoch: 1,
            number: frontier,
        },
    )
}

/// Compares the rows of two stores, the expected one up to chunk 5.
fn compare(expected: &[Row<'_>], found: &[Row<'_>]) -> TableDifferences {
    let (left, right) = (lane(["id", "amount"], 5), lane(["id", "amount"], 9));
    let mut comparison = TableComparison::new(&left, &right);
    let each = |rows: &[Row<'_>], visit: &mut dyn FnMut(&StoredRow<'_>)| {
        for (number, values) in rows {
            let values = values.map(|value| value.map(Cow::Borrowed));
            visit(&StoredRow {
                key: values[0].as_deref().unwrap().as_bytes(),
                chunk_number: ChunkNumber {
                    epoch: 1,
                    number: *number,
                },
                values: &values,
            });
        }
    };
    each(expected, &mut |row| comparison.expect(row));
    each(found, &mut |row| comparison.find(row));
    if comparison.end_first_pass() {
        each(expected, &mut |row| comparison.keep_expected(row));
        each(found, &mut |row| comparison.keep_found(row));
    }
    comparison.finish()
}

#[test]
fn comparison_equal_rows_in_any_order_have_no_difference() {
    let rows = [(1, [Some("a"), Some("1.00")]), (2, [Some("b"), None])];
    let turned = [rows[1], rows[0]];
    let found = compare(&rows, &turned);
    assert!(
        found.is_equal() && found.equal == 2 && found.rows.is_empty(),
        "{found:?}"
    );
}

#[test]
fn comparison_names_key_and_columns_of_each_difference() {
    let expected = [
        (1, [Some("a"), Some("1.00")]),
        (1, [Some("b"), Some("2.00")]),
        (1, [Some("c"), None]),
        (2, [Some("d"), Some("4.00")]),
    ];
    let found = [
        (1, [Some("a"), Some("1.01")]),
        (1, [Some("c"), Some("")]),
        (3, [Some("d"), Some("4.00")]),
        (4, [Some("e"), Some("5.00")]),
    ];
    let differences = compare(&expected, &found);
    let counts = [
        differences.missing,
        differences.surplus,
        differences.differing,
        differences.newer,
        differences.equal,
    ];
    assert_eq!(counts, [1, 1, 3, 0, 0]);
    let columns = BTreeMap::from([("amount".to_owned(), 2), (VERSION.to_owned(), 1)]);
    assert_eq!(differences.columns, columns);
    let keys: Vec<&str> = differences
        .rows
        .iter()
        .map(|row| row.key[0].as_deref().unwrap())
        .collect();
    assert_eq!(keys, ["a", "b", "c", "d", "e"]);
    assert_eq!(differences.rows[1].kind, RowDifferenceKind::Missing);
    assert_eq!(differences.rows[4].kind, RowDifferenceKind::Surplus);
}

#[test]
fn comparison_row_of_a_later_chunk_is_newer() {
    let expected = [(5, [Some("a"), Some("1")])];
    let found = [(6, [Some("a"), Some("2")]), (7, [Some("b"), Some("3")])];
    let differences = compare(&expected, &found);
    assert!(differences.is_equal(), "{differences:?}");
    assert_eq!((differences.newer, differences.missing), (2, 0));
}

#[test]
fn comparison_column_of_one_store_is_reported() {
    let (left, right) = (lane(["id", "amount"], 5), lane(["id", "remark"], 5));
    let differences = TableComparison::new(&left, &right).finish();
    assert_eq!(
        differences.unmatched_columns,
        [vec!["amount".to_owned()], vec!["remark".to_owned()]]
    );
    assert!(!differences.is_equal());
}

//! Columns of chunks and the expected changes of the tables.

use schemas::column::{Column, ColumnType, RowSchema};

use super::*;
use crate::chunk_number::ChunkNumber;
use crate::layout::{Database, LaneTables, Layout, Options};
use crate::table::schema_change::SchemaChange;

fn chunk_number(epoch: u32, number: u64) -> ChunkNumber {
    ChunkNumber { epoch, number }
}

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    }
}

fn schema(columns: &[Column]) -> RowSchema {
    RowSchema {
        name: "setl".to_owned(),
        version: 1,
        columns: columns.to_vec(),
        key: vec!["id".to_owned()],
        tombstone: None,
    }
}

fn tables() -> LaneTables {
    Options::default().tables(Database::Postgres, &store_testing::samples::lane())
}

fn layout() -> Layout {
    tables().layout
}

fn id() -> Column {
    column("id", ColumnType::Int8)
}

fn text(name: &str) -> Column {
    column(name, ColumnType::Text { max: None })
}

fn known(columns: &[Column], at: u64) -> Shape {
    Shape::first(&schema(columns), chunk_number(1, at), &layout())
}

fn fits(shape: &Shape, given: &RowSchema, at: u64) -> Fit {
    fit(
        Some(shape),
        given,
        chunk_number(1, at),
        &tables(),
        chunk_number(1, at - 1),
    )
}

fn change(fit: Fit) -> Change {
    match fit {
        Fit::Change(change) => *change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shape_first_chunk_creates_tables() {
    let given = schema(&[id(), text("name")]);
    let made = change(fit(
        None,
        &given,
        chunk_number(1, 1),
        &tables(),
        chunk_number(1, 0),
    ));
    assert_eq!(made.steps, [Step::Make]);
    assert_eq!(fits(&made.shape, &given, 2), Fit::Fits);
}

/// An older chunk arrives after the one with a new column.
#[test]
fn shape_missing_column_needs_approval_only_if_newer() {
    let shape = known(&[id(), text("name")], 5);
    let without = schema(&[id()]);
    assert_eq!(fits(&shape, &without, 4), Fit::Fits);
    assert_eq!(
        shape.mapping(&without, chunk_number(1, 4), &layout()).missing,
        ["name".to_owned()]
    );
    let column = "name".to_owned();
    assert_eq!(
        fits(&shape, &without, 6),
        Fit::Asks(vec![SchemaChange::Dropped { column }])
    );
}

#[test]
fn shape_new_column_widens_tables() {
    let changed = change(fits(&known(&[id()], 1), &schema(&[id(), text("name")]), 2));
    assert_eq!(changed.steps, [Step::Add(text("name"))]);
    assert_eq!(changed.shape.newest, Some(chunk_number(1, 2)));
}

/// The approved change retires the old column, and each chunk's values go to the column of its chunk number.
#[test]
fn shape_incompatible_type_needs_approval_and_new_column() {
    let mut shape = known(&[id(), text("seen")], 1);
    let (old, new) = (
        schema(&[id(), text("seen")]),
        schema(&[id(), column("seen", ColumnType::Bytes)]),
    );
    let Fit::Asks(asks) = fits(&shape, &new, 2) else {
        panic!("it needs no approval");
    };
    shape.accepted = asks;
    let changed = change(fits(&shape, &new, 2)).shape;
    let name =
        |given: &RowSchema, at: u64| changed.mapping(given, chunk_number(1, at), &layout()).names[1].clone();
    assert_eq!(
        (name(&old, 1), name(&new, 3)),
        ("seen_before_1_2".to_owned(), "seen".to_owned())
    );
}

#[test]
fn shape_other_key_waits_for_earlier_chunks() {
    let mut shape = known(&[id(), text("name")], 1);
    let new = RowSchema {
        key: vec!["name".to_owned()],
        ..schema(&[id(), text("name")])
    };
    let at = |shape: &Shape, frontier: u64| {
        fit(
            Some(shape),
            &new,
            chunk_number(1, 5),
            &tables(),
            chunk_number(1, frontier),
        )
    };
    let Fit::Asks(asks) = at(&shape, 4) else {
        panic!("it needs no approval");
    };
    shape.accepted = asks;
    assert_eq!(at(&shape, 3), Fit::Waits);
    let suffix = "_before_1_5".to_owned();
    assert_eq!(
        change(at(&shape, 4)).steps,
        [Step::SetAside { suffix }, Step::Make]
    );
}

#[test]
fn shape_reserved_column_is_never_stored() {
    let given = schema(&[id(), text(crate::table::EPOCH)]);
    assert!(matches!(
        fit(None, &given, chunk_number(1, 1), &tables(), chunk_number(1, 0)),
        Fit::Never(_)
    ));
}

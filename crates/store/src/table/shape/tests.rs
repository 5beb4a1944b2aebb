//! Chunks' columns on the left, what becomes of the tables on the right.

use schemas::column::{Column, ColumnType, RowSchema};

use super::*;
use crate::layout::{Database, LaneTables, Layout, Options};
use crate::merge::Place;
use crate::table::asked::Asked;

fn place(epoch: u32, number: u64) -> Place {
    Place { epoch, number }
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
    Options::default().tables(Database::Postgres, &crate::samples::lane())
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
    Shape::first(&schema(columns), place(1, at), &layout())
}

fn fits(shape: &Shape, given: &RowSchema, at: u64) -> Fit {
    fit(Some(shape), given, place(1, at), &tables(), place(1, at - 1))
}

fn change(fit: Fit) -> Change {
    match fit {
        Fit::Change(change) => *change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_chunk_makes_the_tables_and_the_same_columns_fit_ever_after() {
    let given = schema(&[id(), text("name")]);
    let made = change(fit(None, &given, place(1, 1), &tables(), place(1, 0)));
    assert_eq!(made.steps, [Step::Make]);
    assert_eq!(fits(&made.shape, &given, 2), Fit::Fits);
}

/// Trap: an older chunk that comes after the one that brought a column.
#[test]
fn an_older_chunk_without_a_later_column_fits_and_a_later_one_asks() {
    let shape = known(&[id(), text("name")], 5);
    let without = schema(&[id()]);
    assert_eq!(fits(&shape, &without, 4), Fit::Fits);
    assert_eq!(
        shape.routes(&without, place(1, 4), &layout()).missing,
        ["name".to_owned()]
    );
    let column = "name".to_owned();
    assert_eq!(
        fits(&shape, &without, 6),
        Fit::Asks(vec![Asked::Dropped { column }])
    );
}

#[test]
fn a_column_that_comes_widens_the_tables() {
    let changed = change(fits(&known(&[id()], 1), &schema(&[id(), text("name")]), 2));
    assert_eq!(changed.steps, [Step::Add(text("name"))]);
    assert_eq!(changed.shape.newest, Some(place(1, 2)));
}

/// What was accepted sets the old column aside, and each chunk's values go to the one of its place.
#[test]
fn a_type_that_means_something_else_waits_for_a_word_and_then_parts_the_values() {
    let mut shape = known(&[id(), text("seen")], 1);
    let (old, new) = (
        schema(&[id(), text("seen")]),
        schema(&[id(), column("seen", ColumnType::Bytes)]),
    );
    let Fit::Asks(asks) = fits(&shape, &new, 2) else {
        panic!("it was not asked");
    };
    shape.accepted = asks;
    let changed = change(fits(&shape, &new, 2)).shape;
    let name = |given: &RowSchema, at: u64| changed.routes(given, place(1, at), &layout()).names[1].clone();
    assert_eq!(
        (name(&old, 1), name(&new, 3)),
        ("seen_before_1_2".to_owned(), "seen".to_owned())
    );
}

#[test]
fn another_key_waits_for_all_that_came_before_it() {
    let mut shape = known(&[id(), text("name")], 1);
    let new = RowSchema {
        key: vec!["name".to_owned()],
        ..schema(&[id(), text("name")])
    };
    let at =
        |shape: &Shape, frontier: u64| fit(Some(shape), &new, place(1, 5), &tables(), place(1, frontier));
    let Fit::Asks(asks) = at(&shape, 4) else {
        panic!("it was not asked");
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
fn a_name_of_slacktides_own_is_never_stored() {
    let given = schema(&[id(), text(crate::table::EPOCH)]);
    assert!(matches!(
        fit(None, &given, place(1, 1), &tables(), place(1, 0)),
        Fit::Never(_)
    ));
}

//! PURE: the target table's shape, from what chunks say of their columns.
//!
//! A table is made on first sight of a lane. Columns that come later widen it. A chunk that
//! lacks columns is one from before they came, and is stored. Another key or another type is
//! refused: the rows would not mean the same. Declared lengths and precisions are not enforced
//! here: a core that widens a column must not stop the feed, and no digit may be rounded away.

use schemas::column::{Column, ColumnType, RowSchema};
use schemas::name::Lane;

use crate::error::{Error, ErrorKind, Result};
use crate::port::Arrival;

/// The column that keeps a row's epoch.
pub const EPOCH: &str = "_slacktide_epoch";
/// The column that keeps a row's number.
pub const NUMBER: &str = "_slacktide_number";

/// What a schema asks of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// All columns known of the lane afterwards.
    pub known: RowSchema,
    /// Columns to add; all of them where there is no table yet.
    pub add: Vec<Column>,
}

/// Compares a chunk's schema with what is known of the lane.
///
/// # Errors
/// [`ErrorKind::Refused`] with lane, column, old and new.
pub fn widen(lane: &Lane, known: Option<&RowSchema>, given: &RowSchema) -> Result<Change> {
    if let Some(column) = given
        .columns
        .iter()
        .find(|column| [EPOCH, NUMBER].contains(&column.name.as_str()))
    {
        return Err(refused(
            lane,
            &format!("column {:?} has a name that is ours", column.name),
        ));
    }
    let Some(known) = known else {
        return Ok(Change {
            known: given.clone(),
            add: given.columns.clone(),
        });
    };
    if known.key != given.key {
        return Err(refused(
            lane,
            &format!("the key was {:?} and is now {:?}", known.key, given.key),
        ));
    }
    let mut change = Change {
        known: known.clone(),
        add: Vec::new(),
    };
    for column in &given.columns {
        match known.columns.iter().find(|old| old.name == column.name) {
            None => {
                change.known.columns.push(column.clone());
                change.add.push(column.clone());
            }
            Some(old) if alike(&old.kind, &column.kind) => {}
            Some(old) => {
                let (name, was, is) = (&column.name, &old.kind, &column.kind);
                return Err(refused(
                    lane,
                    &format!("column {name:?} was {was:?} and is now {is:?}"),
                ));
            }
        }
    }
    if known.tombstone.is_none() {
        change.known.tombstone.clone_from(&given.tombstone);
    }
    Ok(change)
}

fn refused(lane: &Lane, what: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("lane {lane} does not fit its table: {what}"),
        "publish it as a new feed, or convert the table by hand and the schema in slacktide's table of lanes",
    )
}

/// Whether values of both types mean the same; lengths aside.
fn alike(old: &ColumnType, new: &ColumnType) -> bool {
    match (old, new) {
        (ColumnType::Decimal { .. }, ColumnType::Decimal { .. })
        | (ColumnType::Text { .. }, ColumnType::Text { .. }) => true,
        _ => old == new,
    }
}

/// Puts arrivals that share their columns together, in the order of their places.
#[must_use]
pub fn groups<'a>(arrivals: &[(usize, &'a Arrival)]) -> Vec<Vec<(usize, &'a Arrival)>> {
    let mut groups: Vec<Vec<(usize, &'a Arrival)>> = Vec::new();
    for (index, arrival) in arrivals {
        let given = &arrival.chunk.manifest.schema;
        let last = groups.last_mut().filter(|group| {
            group.last().is_some_and(|(_, other)| {
                let known = &other.chunk.manifest.schema;
                (&known.columns, &known.key, &known.tombstone)
                    == (&given.columns, &given.key, &given.tombstone)
            })
        });
        match last {
            Some(group) => group.push((*index, arrival)),
            None => groups.push(vec![(*index, arrival)]),
        }
    }
    groups
}

/// A name in SQL, quoted.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in SQL, quoted, with commas between.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{column, lane, schema};

    #[test]
    fn a_new_column_widens_and_a_missing_one_is_an_older_chunk() {
        let old = schema(
            &["id"],
            &[
                ("id", ColumnType::Int8),
                ("name", ColumnType::Text { max: Some(3) }),
            ],
        );
        let new = schema(
            &["id"],
            &[
                ("id", ColumnType::Int8),
                ("name", ColumnType::Text { max: None }),
                ("born", ColumnType::Date),
            ],
        );
        let change = widen(&lane(), Some(&old), &new).unwrap();
        assert_eq!(change.add, vec![column("born", ColumnType::Date)]);
        assert_eq!(change.known.columns.len(), 3);
        assert_eq!(
            widen(&lane(), Some(&new), &old).unwrap(),
            Change {
                known: new,
                add: vec![]
            }
        );
    }

    #[test]
    fn another_type_another_key_and_our_own_names_are_refused_by_name() {
        let old = schema(
            &["id"],
            &[("id", ColumnType::Int8), ("paid", ColumnType::Text { max: None })],
        );
        let told = |given: &RowSchema| {
            let error = widen(&lane(), Some(&old), given).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused);
            error.to_string()
        };
        let paid = schema(
            &["id"],
            &[(
                "paid",
                ColumnType::Decimal {
                    precision: None,
                    scale: None,
                },
            )],
        );
        assert!(told(&paid).contains("column \"paid\" was Text"));
        assert!(
            told(&schema(&["paid"], &[("paid", ColumnType::Text { max: None })]))
                .contains("the key was [\"id\"]")
        );
        assert!(told(&schema(&["id"], &[(EPOCH, ColumnType::Int4)])).contains("ours"));
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            listed(["a", "b\"; DROP TABLE x; --"]),
            "\"a\", \"b\"\"; DROP TABLE x; --\""
        );
    }
}

//! PURE: whether the columns of a chunk have names that its tables can have.

use std::collections::BTreeMap;

use schemas::column::RowSchema;

use super::shape::Shape;
use super::{REQUEST, ROW_NUMBER};
use crate::layout::{LaneTables, Owner};
use crate::naming::{column, folded};
use crate::refusal::Refusal;

/// Checks the column names of a chunk together with those of the tables.
///
/// # Errors
/// Why rows with these columns are not stored.
pub fn columns(tables: &LaneTables, shape: Option<&Shape>, given: &RowSchema) -> Result<(), Refusal> {
    let (owner, layout, key) = (&tables.owner, &tables.layout, &tables.key);
    let refuse = |name: &str, what: String| Refusal {
        shared: format!("{owner}: column {name:?} cannot be stored under its name at the receiver"),
        what: format!("{owner}: {what}"),
        remedy: format!(
            "give it another name here: columns = {{ {name:?} = \"…\" }} under [store.feed.{key}]; or ask the bureau to \
             rename it"
        ),
    };
    let is_own = |name: &str| matches!(owner, Owner::Kind { .. }) && [REQUEST, ROW_NUMBER].contains(&name);
    for given_column in given.columns.iter().filter(|column| !is_own(&column.name)) {
        let name = layout.column(&given_column.name);
        column(name).map_err(|why| {
            refuse(
                &given_column.name,
                format!(
                    "column {:?} would be called {name:?}, which {why}",
                    given_column.name
                ),
            )
        })?;
    }
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    if let Some(shape) = shape {
        for known in &shape.known.columns {
            taken.insert(folded(tables.database, layout.column(&known.name)), &known.name);
        }
        for retired_columns in &shape.retired_columns {
            // No column of a feed has an empty name, so this entry belongs to no column.
            taken.insert(folded(tables.database, &retired_columns.name), "");
        }
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for column in &given.columns {
        let name = layout.column(&column.name);
        let fold = folded(tables.database, name);
        let other = taken.get(&fold).filter(|other| **other != column.name).copied();
        let twice = seen.insert(fold, &column.name);
        if let Some(other) = twice.or(other) {
            let what = match other {
                "" => format!(
                    "column {:?} would be called {name:?}, which holds older values of another column",
                    column.name
                ),
                _ => format!(
                    "columns {other:?} and {:?} would both be called {name:?}",
                    column.name
                ),
            };
            return Err(refuse(&column.name, what));
        }
    }
    Ok(())
}

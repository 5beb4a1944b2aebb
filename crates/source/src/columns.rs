//! PURE: whether the columns that a feed names exist.

use schemas::column::Column;
use schemas::tombstone;

use crate::error::{Error, ErrorKind, Result, refused};
use crate::feed::FeedDefinition;

/// Refuses a tombstone column whose type cannot mark a deleted row.
pub(crate) fn check_tombstone_column(feed: &FeedDefinition, columns: &[Column]) -> Result<()> {
    let Some(name) = &feed.tombstone else {
        return Ok(());
    };
    let column = columns.iter().find(|column| column.name == *name);
    if column.is_none_or(|column| tombstone::can_mark(&column.kind)) {
        return Ok(());
    }
    Err(refused(
        format!("tombstone column {name} has a type that cannot mark deleted rows"),
        format!(
            "make it a boolean, 0 and 1, or the time of the deletion in the sql, for example (status = 'deleted') AS {name}"
        ),
    ))
}

/// Returns the indices of the cursor columns among the columns of the SQL.
pub(crate) fn cursor_indices(feed: &FeedDefinition, given: &[&str]) -> Result<Vec<usize>> {
    let refused = |what: String, remedy: String| Err(Error::new(ErrorKind::Refused, what, remedy));
    let place = |name: &str| given.iter().position(|column| *column == name);
    let known = || given.join(", ");
    for (at, name) in given.iter().enumerate() {
        if place(name) != Some(at) {
            return refused(
                format!("two columns are called {name}"),
                "rename one with AS".to_owned(),
            );
        }
    }
    let tombstone: Vec<String> = feed.tombstone.iter().cloned().collect();
    let types: Vec<String> = feed.types.keys().cloned().collect();
    for (what, wanted, needed) in [
        ("cursor", &feed.cursor, true),
        ("key", &feed.key, true),
        ("money", &feed.money, false),
        ("tombstone", &tombstone, false),
        ("types", &types, false),
    ] {
        if wanted.is_empty() && needed {
            return refused(
                format!("{what} names no column"),
                format!("name one or more of: {}", known()),
            );
        }
        if let Some(missing) = wanted.iter().find(|name| place(name).is_none()) {
            return refused(
                format!("{what} names {missing}, which the sql does not return"),
                format!("its columns: {}", known()),
            );
        }
    }
    Ok(feed.cursor.iter().filter_map(|name| place(name)).collect())
}

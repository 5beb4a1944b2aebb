//! The columns that a question is read by: their casts, and that none of them is null.
//!
//! Nulls come last in PostgreSQL, and no comparison finds them: behind a cursor a row with a null in the order
//! is in no quantum, and the answer would be called whole without it. Where the tables prove that there is none
//! it costs nothing; else it is asked once, before the second quantum.

use gate::permit::Permit;
use tokio_postgres::Column as WireColumn;
use tokio_postgres::types::{ToSql, Type};

use super::check;
use super::quantum::Given;
use super::session::Turn;
use crate::error::{Error, ErrorKind, Result};
use crate::keyset::{CursorColumn, Keyset};

/// Words by which rows get nulls that their tables do not hold. One that stands for something else, such as the
/// function `left`, only means that it is asked.
const WIDENS: [&str; 7] = ["left", "right", "full", "rollup", "cube", "grouping", "sets"];

/// The columns as parts of a keyset.
pub(super) fn columns(columns: &[WireColumn], places: &[usize]) -> Result<Vec<CursorColumn>> {
    let one = |place: &usize| {
        let column = columns.get(*place)?;
        Some(check::orders(column, "order").map(|cast| CursorColumn {
            name: column.name().to_owned(),
            cast,
        }))
    };
    places.iter().filter_map(one).collect()
}

/// Whether the catalogue proves that these columns are never null. `described` tells of each column whether its
/// table says NOT NULL.
pub(super) fn never_null(sql: &str, described: &[(String, bool)], places: &[usize]) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let widens = |word: &str| WIDENS.iter().any(|one| word.eq_ignore_ascii_case(one));
    !sql.split(|c| !is_word(c)).any(widens)
        && places
            .iter()
            .all(|place| described.get(*place).is_some_and(|(_, not_null)| *not_null))
}

/// Asks whether a row of the answer has no place in its order.
pub(super) async fn no_nulls(
    turn: &mut Turn<'_>,
    permit: &Permit,
    keyset: &Keyset,
    values: &[Given],
    types: &[Type],
) -> Result<()> {
    let given = values.iter().map(|value| value as &(dyn ToSql + Sync));
    let params: Vec<_> = given.zip(types.iter().cloned()).collect();
    let remedy = "go by columns that are NOT NULL in their tables, and that no outer join fills";
    match turn.query(permit, &keyset.any_null(), &params).await {
        Ok(rows) if rows.is_empty() => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::Refused,
            "rows with a null in order would be missing from the answer",
            remedy,
        )),
        Err(error) if error.kind == ErrorKind::TimedOut => Err(Error::new(
            ErrorKind::Refused,
            "whether a row has a null in order could not be told within the statement timeout",
            remedy,
        )),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_null_columns_prove_it_unless_something_widens_the_rows() {
        let described = [("int8".to_owned(), true), ("text".to_owned(), false)];
        let proven = |sql: &str, places: &[usize]| never_null(sql, &described, places);
        assert!(proven("SELECT id, name FROM a JOIN leftovers USING (id)", &[0]));
        assert!(!proven("SELECT id, name FROM a", &[0, 1]));
        assert!(!proven("SELECT id, name FROM a Left\nJOIN b USING (id)", &[0]));
        assert!(!proven("SELECT id, 'x' FROM a GROUP BY ROLLUP(id)", &[0]));
        assert!(!proven("SELECT id FROM a", &[7]), "a place that is not there");
    }
}

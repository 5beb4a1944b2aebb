//! The ordering columns of a query: their casts, and that none of them is null.
//!
//! PostgreSQL sorts nulls last, and no comparison matches them: a row with a null in the order is never returned after a cursor,
//! and the answer would be reported as complete without it. If the catalogue proves that there are none it costs nothing;
//! otherwise it is checked once, before the second quantum.

use gate::permit::Permit;
use tokio_postgres::Column as WireColumn;
use tokio_postgres::types::{ToSql, Type};

use super::check;
use super::quantum::TextParameter;
use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::keyset::{CursorColumn, Keyset};

/// Words that add nulls which the tables do not contain. Another use of such a word, such as the function `left`, only causes the
/// check.
const WIDENS: [&str; 7] = ["left", "right", "full", "rollup", "cube", "grouping", "sets"];

/// Returns the columns as parts of a keyset.
pub(super) fn columns(columns: &[WireColumn], places: &[usize]) -> Result<Vec<CursorColumn>> {
    let one = |place: &usize| {
        let column = columns.get(*place)?;
        Some(check::check_orderable(column, "order").map(|cast| CursorColumn {
            name: column.name().to_owned(),
            cast,
        }))
    };
    places.iter().filter_map(one).collect()
}

/// Whether the catalogue proves that these columns are never null. `described` contains for each column whether its table declares
/// NOT NULL.
pub(super) fn never_null(sql: &str, described: &[(String, bool)], places: &[usize]) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let widens = |word: &str| WIDENS.iter().any(|one| word.eq_ignore_ascii_case(one));
    !sql.split(|c| !is_word(c)).any(widens)
        && places
            .iter()
            .all(|place| described.get(*place).is_some_and(|(_, not_null)| *not_null))
}

/// Refuses an answer with a null in its order.
pub(super) async fn no_nulls(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    keyset: &Keyset,
    values: &[TextParameter],
    types: &[Type],
) -> Result<()> {
    let given = values.iter().map(|value| value as &(dyn ToSql + Sync));
    let params: Vec<_> = given.zip(types.iter().cloned()).collect();
    let remedy =
        "order by columns that are NOT NULL in their tables and not on the nullable side of an outer join";
    match locked.query(permit, &keyset.any_null(), &params).await {
        Ok(rows) if rows.is_empty() => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::Refused,
            "rows with a null in order would be missing from the answer",
            remedy,
        )),
        Err(error) if error.kind == ErrorKind::TimedOut => Err(Error::new(
            ErrorKind::Refused,
            "the search for nulls in order exceeded the statement timeout",
            remedy,
        )),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_order_not_null_is_proven_without_outer_joins() {
        let described = [("int8".to_owned(), true), ("text".to_owned(), false)];
        let proven = |sql: &str, places: &[usize]| never_null(sql, &described, places);
        assert!(proven("SELECT id, name FROM a JOIN leftovers USING (id)", &[0]));
        assert!(!proven("SELECT id, name FROM a", &[0, 1]));
        assert!(!proven("SELECT id, name FROM a Left\nJOIN b USING (id)", &[0]));
        assert!(!proven("SELECT id, 'x' FROM a GROUP BY ROLLUP(id)", &[0]));
        assert!(!proven("SELECT id FROM a", &[7]), "a column that does not exist");
    }
}

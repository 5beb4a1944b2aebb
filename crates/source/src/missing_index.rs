//! PURE: indexes that would serve a feed or a question, and are not there.
//!
//! Without one the database sorts or searches a whole table for each quantum. That stops nothing, but it is what an operator wants
//! to know before the first row is read.

use std::fmt;

use crate::keyset::quote;
use crate::placeholder::{self, Operator};

/// An index that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingIndex {
    /// What the database does without it.
    pub what: String,
    /// The statement that makes it, or what else helps.
    pub remedy: String,
}

impl fmt::Display for MissingIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl MissingIndex {
    /// Of an order by these output columns; `statement` makes the index, where one can.
    pub(crate) fn of_order(names: &[String], statement: Option<String>) -> Self {
        Self {
            what: format!(
                "no index serves the order ({}): each quantum sorts the table",
                names.join(", ")
            ),
            remedy: match statement {
                Some(statement) => format!("run: {statement}"),
                None => "go by columns that are all of one table, and make an index over them".to_owned(),
            },
        }
    }

    /// Of arguments that are compared with these columns of a table.
    pub(crate) fn of_arguments(table: &str, columns: &[String], statement: &str) -> Self {
        Self {
            what: format!(
                "no index of {table} begins with what is asked by ({}): each request searches the table",
                columns.join(", ")
            ),
            remedy: format!("run: {statement}"),
        }
    }
}

/// A column that arguments are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Its table or alias, where that is written.
    pub(crate) table: Option<String>,
    pub(crate) column: String,
    pub(crate) operator: Operator,
}

/// Columns that the arguments of a question leave a range of, as its SQL names them.
pub(crate) fn compared(sql: &str, arguments: usize) -> Vec<Compared> {
    let mut found: Vec<Compared> = Vec::new();
    for place in (1..=arguments).flat_map(|number| placeholder::places(sql, number)) {
        let (Some(mut name), true) = (place.column, place.operator != Operator::Other) else {
            continue;
        };
        let Some(column) = name.pop() else { continue };
        let one = Compared {
            table: name.pop(),
            column,
            operator: place.operator,
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// What an index must begin with to serve some of these columns; none where one of `indexes` does. `indexes` are those of the
/// table that has the columns, each by its columns in order.
pub(crate) fn wanted(compared: &[&Compared], indexes: &[Vec<String>]) -> Option<Vec<String>> {
    let is_served = |index: &Vec<String>| {
        let first = index.first();
        compared.iter().any(|one| Some(&one.column) == first)
    };
    if compared.is_empty() || indexes.iter().any(is_served) {
        return None;
    }
    // Within one value of each column that is compared for equality, an index serves one range.
    let equal = compared.iter().filter(|one| one.operator == Operator::Equal);
    let range = compared.iter().find(|one| one.operator == Operator::Range);
    let mut columns: Vec<String> = Vec::new();
    for one in equal.chain(range) {
        if !columns.contains(&one.column) {
            columns.push(one.column.clone());
        }
    }
    Some(columns)
}

/// Names in quotes with commas between.
pub(crate) fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT c.id FROM claim c WHERE c.psn_no = $1 AND c.at >= $2 AND c.at < $3 AND c.state <> $4 \
        AND lower(c.name) = $5";

    #[test]
    fn columns_that_arguments_leave_a_range_of_are_found() {
        let found = compared(SQL, 5);
        let named: Vec<(&str, Operator)> = found
            .iter()
            .map(|one| (one.column.as_str(), one.operator))
            .collect();
        assert_eq!(named, [("psn_no", Operator::Equal), ("at", Operator::Range)]);
        assert!(found.iter().all(|one| one.table.as_deref() == Some("c")));
        assert_eq!(compared("SELECT 1 WHERE id IN ($1)", 1), []);
    }

    #[test]
    fn index_is_wanted_where_none_begins_with_a_compared_column() {
        let found = compared(SQL, 5);
        let all: Vec<&Compared> = found.iter().collect();
        let index = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = Some(index(&["psn_no", "at"]));
        assert_eq!(wanted(&all, &[index(&["id"])]), both);
        assert_eq!(wanted(&all, &[index(&["id", "psn_no"])]), both);
        assert_eq!(wanted(&all, &[index(&["psn_no", "id"])]), None);
        assert_eq!(wanted(&all, &[index(&["at"])]), None);
        assert_eq!(wanted(&all[1..], &[]), Some(index(&["at"])));
        assert_eq!(wanted(&[], &[]), None);
    }
}

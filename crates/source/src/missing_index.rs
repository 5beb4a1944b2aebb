//! PURE: indexes that a feed or a query needs and that do not exist.
//!
//! Without an index the database sorts or scans a whole table for each quantum. Reading continues, but the operator should know
//! before the first row is read.

use std::fmt;

use crate::keyset::quote;
use crate::placeholder::{self, Operator};

/// An index that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingIndex {
    /// What the database does without it.
    pub what: String,
    /// The statement that creates the index, or another remedy.
    pub remedy: String,
}

impl fmt::Display for MissingIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl MissingIndex {
    /// An index over the order's columns. `statement` creates it, if one statement can.
    pub(crate) fn for_order(names: &[String], statement: Option<String>) -> Self {
        Self {
            what: format!(
                "no index serves the order ({}): each quantum sorts the table",
                names.join(", ")
            ),
            remedy: match statement {
                Some(statement) => format!("run: {statement}"),
                None => "order by columns of one table, and create an index over them".to_owned(),
            },
        }
    }

    /// An index over columns of a table that arguments are compared with.
    pub(crate) fn for_arguments(table: &str, columns: &[String], statement: &str) -> Self {
        Self {
            what: format!(
                "no index of {table} begins with a compared column ({}): each request scans the table",
                columns.join(", ")
            ),
            remedy: format!("run: {statement}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComparedColumn {
    /// Its table or alias, if the SQL names it.
    pub(crate) table: Option<String>,
    pub(crate) column: String,
    pub(crate) operator: Operator,
}

/// Returns the columns that a query's arguments restrict by equality or range, as the SQL names them.
pub(crate) fn compared(sql: &str, arguments: usize) -> Vec<ComparedColumn> {
    let mut found: Vec<ComparedColumn> = Vec::new();
    for place in (1..=arguments).flat_map(|number| placeholder::places(sql, number)) {
        let (Some(mut name), true) = (place.column, place.operator != Operator::Other) else {
            continue;
        };
        let Some(column) = name.pop() else { continue };
        let one = ComparedColumn {
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

/// Returns the leading columns of an index that would serve some of these columns, or `None` if one of `indexes` does. `indexes`
/// are the table's, each as its columns in order.
pub(crate) fn missing_index_columns(
    compared: &[&ComparedColumn],
    indexes: &[Vec<String>],
) -> Option<Vec<String>> {
    let is_served = |index: &Vec<String>| {
        let first = index.first();
        compared.iter().any(|one| Some(&one.column) == first)
    };
    if compared.is_empty() || indexes.iter().any(is_served) {
        return None;
    }
    // With equality on each leading column, an index serves one range.
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

/// Returns quoted names, separated by commas.
pub(crate) fn quoted_list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT c.id FROM claim c WHERE c.psn_no = $1 AND c.at >= $2 AND c.at < $3 AND c.state <> $4 \
        AND lower(c.name) = $5";

    #[test]
    fn missing_index_finds_compared_columns() {
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
    fn missing_index_without_a_leading_compared_column() {
        let found = compared(SQL, 5);
        let all: Vec<&ComparedColumn> = found.iter().collect();
        let index = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = Some(index(&["psn_no", "at"]));
        assert_eq!(missing_index_columns(&all, &[index(&["id"])]), both);
        assert_eq!(missing_index_columns(&all, &[index(&["id", "psn_no"])]), both);
        assert_eq!(missing_index_columns(&all, &[index(&["psn_no", "id"])]), None);
        assert_eq!(missing_index_columns(&all, &[index(&["at"])]), None);
        assert_eq!(missing_index_columns(&all[1..], &[]), Some(index(&["at"])));
        assert_eq!(missing_index_columns(&[], &[]), None);
    }
}

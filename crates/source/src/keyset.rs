//! PURE: the SQL of a quantum.
//!
//! The feed's SQL is a subquery. The cursor is a row comparison, which an index over the cursor columns serves as one range.
//! Cursor values are never written into the SQL text: they are bound, and in PostgreSQL cast from text to the column's type.

use std::fmt::Write as _;

use schemas::cursor::Scalar;

use crate::fence::Fence;

/// The SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Parameters `$1`, bound as text and cast.
    Postgres,
    /// Parameters `?1`, bound with their own type.
    Sqlite,
}

/// A column of the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorColumn {
    /// Its name in the feed.
    pub name: String,
    /// The database's name of its type, for the cast. Not used for SQLite.
    pub cast: String,
}

/// How the fence bounds the first cursor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// No bound.
    None,
    /// `<`
    Below,
    /// `<=`
    UpTo,
}

impl Bound {
    /// Returns the bound of a fence and its value.
    #[must_use]
    pub fn from_fence(fence: &Fence) -> (Self, Option<&Scalar>) {
        match fence {
            Fence::Below(value) => (Self::Below, Some(value)),
            Fence::UpTo(value) => (Self::UpTo, Some(value)),
            Fence::Open => (Self::None, None),
        }
    }
}

/// The parts of a feed's query.
#[derive(Debug, Clone)]
pub struct Keyset {
    /// The dialect.
    pub dialect: Dialect,
    /// The feed's SQL.
    pub sql: String,
    /// The expressions of the select list: see [`column()`].
    pub select: Vec<String>,
    /// The cursor. Empty if rows have no order.
    pub cursor: Vec<CursorColumn>,
    /// The condition of rows that are in the order, or `None` if all are.
    pub only: Option<String>,
    /// The number of the SQL's own parameters. Those of the quantum follow them.
    pub own_parameters: usize,
    /// The time zone in which a fence that is an instant ([`Bound::Below`]) becomes a date or a time without zone.
    pub fence_zone: Option<String>,
}

/// Returns a quoted identifier, for both dialects.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a text literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the reference to a column of the feed.
#[must_use]
pub fn column(name: &str) -> String {
    format!("feed.{}", quote(name))
}

/// Returns the feed's SQL as a FROM item. The line break ends a trailing comment.
#[must_use]
pub fn subquery(sql: &str) -> String {
    format!("(\n{}\n) AS feed", strip_semicolon(sql))
}

/// Returns the SQL without a trailing semicolon.
#[must_use]
pub fn strip_semicolon(sql: &str) -> &str {
    sql.trim()
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace())
}

impl Keyset {
    /// Returns the query for rows after a cursor (whose values are the first parameters after the SQL's own), within a fence (the
    /// next parameter), up to a limit (the last parameter).
    #[must_use]
    pub fn read(&self, behind: bool, bound: Bound) -> String {
        let mut next = self.own_parameters + 1;
        let mut conditions = Vec::new();
        if behind && !self.cursor.is_empty() {
            conditions.push(self.behind(&mut next));
        }
        conditions.extend(self.only.clone());
        if let (Some(first), Bound::Below | Bound::UpTo) = (self.cursor.first(), bound) {
            let compare = if bound == Bound::Below { "<" } else { "<=" };
            conditions.push(format!(
                "{} {compare} {}",
                column(&first.name),
                self.fence(first, next, bound)
            ));
            next += 1;
        }
        let mut sql = format!("SELECT {} FROM {}", self.select.join(", "), subquery(&self.sql));
        if !conditions.is_empty() {
            let _ = write!(sql, " WHERE {}", conditions.join(" AND "));
        }
        let limit = match self.dialect {
            Dialect::Postgres => format!("{}::text::int8", self.parameter(next)),
            Dialect::Sqlite => self.parameter(next),
        };
        if !self.cursor.is_empty() {
            let _ = write!(sql, " ORDER BY {}", self.names().join(", "));
        }
        let _ = write!(sql, " LIMIT {limit}");
        sql
    }

    /// Returns the query for the greatest value of the first cursor column, optionally not above an expression.
    #[must_use]
    pub fn highest(&self, up_to: Option<&str>) -> String {
        let name = self
            .cursor
            .first()
            .map(|first| column(&first.name))
            .unwrap_or_default();
        let value = match self.dialect {
            Dialect::Postgres => format!("{name}::text"),
            Dialect::Sqlite => name.clone(),
        };
        let only = self.only.as_ref().map(|only| format!(" AND {only}"));
        let bound = up_to.map(|bound| format!(" AND {name} <= {bound}"));
        format!(
            "SELECT {value} FROM {} WHERE {name} IS NOT NULL{}{} ORDER BY {name} DESC LIMIT 1",
            subquery(&self.sql),
            only.unwrap_or_default(),
            bound.unwrap_or_default()
        )
    }

    /// Returns the query for one row with a null cursor.
    #[must_use]
    pub fn any_null(&self) -> String {
        let nulls: Vec<String> = self
            .names()
            .iter()
            .map(|name| format!("{name} IS NULL"))
            .collect();
        format!(
            "SELECT 1 FROM {} WHERE {} LIMIT 1",
            subquery(&self.sql),
            nulls.join(" OR ")
        )
    }

    fn names(&self) -> Vec<String> {
        self.cursor.iter().map(|one| column(&one.name)).collect()
    }

    fn behind(&self, next: &mut usize) -> String {
        let values: Vec<String> = self
            .cursor
            .iter()
            .map(|one| {
                let value = match self.dialect {
                    Dialect::Postgres => format!("{}::text::{}", self.parameter(*next), one.cast),
                    Dialect::Sqlite => self.parameter(*next),
                };
                *next += 1;
                value
            })
            .collect();
        match self.names().as_slice() {
            [only] => format!("{only} > {}", values.join("")),
            names => format!("({}) > ({})", names.join(", "), values.join(", ")),
        }
    }

    fn fence(&self, first: &CursorColumn, number: usize, bound: Bound) -> String {
        let parameter = self.parameter(number);
        match (self.dialect, &self.fence_zone) {
            (Dialect::Sqlite, _) => parameter,
            (Dialect::Postgres, Some(zone)) if bound == Bound::Below => {
                format!(
                    "({parameter}::text::timestamptz AT TIME ZONE {})::{}",
                    literal(zone),
                    first.cast
                )
            }
            (Dialect::Postgres, _) => format!("{parameter}::text::{}", first.cast),
        }
    }

    fn parameter(&self, number: usize) -> String {
        match self.dialect {
            Dialect::Postgres => format!("${number}"),
            Dialect::Sqlite => format!("?{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyset(dialect: Dialect, cursor: &[(&str, &str)]) -> Keyset {
        Keyset {
            dialect,
            sql: "SELECT * FROM setl -- all;\n ; ".into(),
            select: vec![column("id"), format!("{}::text", column("Amount \"x\""))],
            cursor: cursor
                .iter()
                .map(|(name, cast)| CursorColumn {
                    name: (*name).into(),
                    cast: (*cast).into(),
                })
                .collect(),
            only: None,
            own_parameters: 0,
            fence_zone: None,
        }
    }

    #[test]
    fn keyset_own_parameters_come_first() {
        let mut asked = keyset(Dialect::Postgres, &[("id", "int8")]);
        asked.own_parameters = 2;
        assert!(
            asked
                .read(true, Bound::None)
                .ends_with("WHERE feed.\"id\" > $3::text::int8 ORDER BY feed.\"id\" LIMIT $4::text::int8")
        );
        asked.cursor.clear();
        assert!(
            asked
                .read(false, Bound::None)
                .ends_with(") AS feed LIMIT $3::text::int8")
        );
    }

    #[test]
    fn keyset_postgres_casts_texts_to_column_types() {
        let keyset = keyset(Dialect::Postgres, &[("at", "timestamptz"), ("id", "int8")]);
        assert_eq!(
            keyset.read(true, Bound::Below),
            "SELECT feed.\"id\", feed.\"Amount \"\"x\"\"\"::text FROM (\nSELECT * FROM setl -- all\n) AS feed \
             WHERE (feed.\"at\", feed.\"id\") > ($1::text::timestamptz, $2::text::int8) \
             AND feed.\"at\" < $3::text::timestamptz ORDER BY feed.\"at\", feed.\"id\" LIMIT $4::text::int8"
        );
    }

    #[test]
    fn keyset_of_one_column_compares_without_a_row() {
        let keyset = keyset(Dialect::Sqlite, &[("id", "")]);
        assert!(
            keyset
                .read(true, Bound::UpTo)
                .ends_with("WHERE feed.\"id\" > ?1 AND feed.\"id\" <= ?2 ORDER BY feed.\"id\" LIMIT ?3")
        );
        assert!(
            keyset
                .read(false, Bound::None)
                .ends_with(") AS feed ORDER BY feed.\"id\" LIMIT ?1")
        );
    }

    #[test]
    fn keyset_condition_excludes_unordered_rows() {
        let mut keyset = keyset(Dialect::Sqlite, &[("id", "")]);
        keyset.only = Some("typeof(feed.\"id\") = 'integer'".into());
        assert!(keyset.read(true, Bound::UpTo).contains(
            "WHERE feed.\"id\" > ?1 AND typeof(feed.\"id\") = 'integer' AND feed.\"id\" <= ?2 ORDER"
        ));
        assert!(keyset.highest(Some("?1")).ends_with(
            "WHERE feed.\"id\" IS NOT NULL AND typeof(feed.\"id\") = 'integer' AND feed.\"id\" <= ?1 ORDER BY feed.\"id\" DESC LIMIT 1"
        ));
    }

    #[test]
    fn keyset_fence_in_a_zone_is_cast_from_an_instant() {
        let mut keyset = keyset(Dialect::Postgres, &[("at", "timestamp")]);
        keyset.fence_zone = Some("O'Zone".into());
        assert!(
            keyset
                .read(false, Bound::Below)
                .contains("feed.\"at\" < ($1::text::timestamptz AT TIME ZONE 'O''Zone')::timestamp ORDER")
        );
    }
}

//! PURE: the SQL of a quantum.
//!
//! The feed's SQL is a subquery; behind it the cursor is a row comparison, which an index over
//! the cursor columns serves as one range. Nothing of a cursor is ever written into the text:
//! values are bound, and in PostgreSQL cast from text to the column's own type.

use std::fmt::Write as _;

use schemas::cursor::Scalar;

use crate::fence::Fence;

/// Which database's grammar.
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
    /// Its type as the database names it, for the cast; not used for SQLite.
    pub cast: String,
}

/// How the fence bounds the first cursor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Not at all.
    None,
    /// `<`
    Below,
    /// `<=`
    UpTo,
}

impl Bound {
    /// As a fence says, with the value that it is bound by.
    #[must_use]
    pub fn of(fence: &Fence) -> (Self, Option<&Scalar>) {
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
    /// The grammar.
    pub dialect: Dialect,
    /// The feed's SQL.
    pub sql: String,
    /// The select list's expressions, ready: see [`column()`].
    pub select: Vec<String>,
    /// The cursor; empty where rows have no order.
    pub cursor: Vec<CursorColumn>,
    /// A condition that rows with a place in the order meet; none: every row has one.
    pub only: Option<String>,
    /// Parameters that the SQL itself has: those of the quantum come behind them.
    pub own: usize,
    /// Time zone in which a fence that is an instant ([`Bound::Below`]) becomes a date or a time
    /// without zone.
    pub fence_zone: Option<String>,
}

/// A name in double quotes, in both dialects.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of the feed.
#[must_use]
pub fn column(name: &str) -> String {
    format!("feed.{}", quote(name))
}

/// The feed's SQL as a source of rows. The line breaks keep a comment at its end from swallowing
/// what follows.
#[must_use]
pub fn subquery(sql: &str) -> String {
    format!("(\n{}\n) AS feed", bare(sql))
}

/// Without the semicolon that ends it.
#[must_use]
pub fn bare(sql: &str) -> &str {
    sql.trim()
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace())
}

impl Keyset {
    /// Rows behind a cursor (its values are the first parameters behind the SQL's own), within a fence
    /// (the next), at most so many (the last).
    #[must_use]
    pub fn read(&self, behind: bool, bound: Bound) -> String {
        let mut next = self.own + 1;
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

    /// The greatest value of the first cursor column, as one value of its own type, that is not above an expression.
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

    /// One row if any cursor is null.
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
            own: 0,
            fence_zone: None,
        }
    }

    #[test]
    fn a_questions_own_parameters_come_first_and_without_an_order_there_is_none() {
        let mut asked = keyset(Dialect::Postgres, &[("id", "int8")]);
        asked.own = 2;
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
    fn postgres_casts_bound_texts_to_the_columns_types() {
        let keyset = keyset(Dialect::Postgres, &[("at", "timestamptz"), ("id", "int8")]);
        assert_eq!(
            keyset.read(true, Bound::Below),
            "SELECT feed.\"id\", feed.\"Amount \"\"x\"\"\"::text FROM (\nSELECT * FROM setl -- all\n) AS feed \
             WHERE (feed.\"at\", feed.\"id\") > ($1::text::timestamptz, $2::text::int8) \
             AND feed.\"at\" < $3::text::timestamptz ORDER BY feed.\"at\", feed.\"id\" LIMIT $4::text::int8"
        );
    }

    #[test]
    fn a_single_column_is_compared_without_a_row_and_the_first_quantum_has_no_cursor() {
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
    fn keyset_condition_keeps_rows_without_a_place_out_of_read_and_maximum() {
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
    fn a_fence_in_a_zone_is_an_instant_first() {
        let mut keyset = keyset(Dialect::Postgres, &[("at", "timestamp")]);
        keyset.fence_zone = Some("O'Zone".into());
        assert!(
            keyset
                .read(false, Bound::Below)
                .contains("feed.\"at\" < ($1::text::timestamptz AT TIME ZONE 'O''Zone')::timestamp ORDER")
        );
    }
}

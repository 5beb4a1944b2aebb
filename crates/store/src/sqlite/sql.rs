//! The bookkeeping's statements on a SQLite connection.

use std::cell::RefCell;
use std::future::{Future, Ready, ready};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use schemas::digest::Digest;

use super::failure;
use super::rows::RolledBackRows;
use crate::bookkeeping::{Begin, Field, LaneLock, Row, SqlSession, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::record::broken;

const PREFIX: &str = "slacktide_";

/// The function that [`add_functions`] adds.
const SHA256: &str = "slacktide_sha256";

/// Adds the functions that the bookkeeping's statements use.
pub(super) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(SHA256, 1, flags, |context| {
        let bytes = context.get_raw(0).as_blob_or_null()?;
        Ok(bytes.map(|bytes| Digest::of(&[bytes]).to_string()))
    })
}

/// Runs an operation of the bookkeeping, whose statements complete at once.
pub(super) fn now<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::Database,
            "a statement on the store's file did not complete",
            "report it",
        ))
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let owned = |text: String| ToSqlOutput::Owned(rusqlite::types::Value::Text(text));
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Flag(flag) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*flag))),
            Self::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Time(at) => owned(utc(*at)),
            Self::Ints(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                owned(format!("[{}]", numbers.join(",")))
            }
        })
    }
}

/// Formats a time with a fixed width, so that texts sort like times.
fn utc(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl Row for rusqlite::Row<'_> {
    fn field(&self, at: usize) -> Result<Field<'_>> {
        Ok(match self.get_ref(at).map_err(|error| failure::of(&error))? {
            ValueRef::Null => Field::Null,
            ValueRef::Integer(number) => Field::Int(number),
            ValueRef::Blob(bytes) => Field::Bytes(bytes),
            ValueRef::Text(text) => Field::Text(
                std::str::from_utf8(text).map_err(|_| broken("a table of the store's bookkeeping"))?,
            ),
            ValueRef::Real(_) => return Err(broken("a table of the store's bookkeeping")),
        })
    }
}

/// PURE: rewrites a statement in PostgreSQL's form: `slacktide.x` is the table `slacktide_x`, `$1` the parameter `?1`,
/// and `clock_timestamp()` the parameter `clock`. Texts and quoted names stay as they are.
fn rewritten(sql: &str, clock: usize) -> String {
    const SCHEMA: &str = "slacktide.";
    const CLOCK: &str = "clock_timestamp()";
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(sign) = rest.chars().next() {
        if sign == '\'' || sign == '"' {
            // A doubled quote ends one text and begins the next.
            let end = rest
                .get(1..)
                .and_then(|after| after.find(sign))
                .map_or(rest.len(), |end| end + 2);
            let (text, after) = rest.split_at(end);
            out.push_str(text);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(SCHEMA) {
            out.push_str(PREFIX);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(CLOCK) {
            out.push_str(&format!("?{clock}"));
            rest = after;
        } else {
            out.push(if sign == '$' { '?' } else { sign });
            rest = rest.get(sign.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// Runs a statement with its values, and the host's clock if the statement uses it.
fn run<T>(
    connection: &Connection,
    sql: &str,
    values: &[Value<'_>],
    run: impl FnOnce(&mut rusqlite::Statement<'_>) -> rusqlite::Result<T>,
) -> Result<T> {
    let clock = values.len() + 1;
    let bound = || {
        let mut statement = connection.prepare_cached(&rewritten(sql, clock))?;
        for (at, value) in (1..).zip(values) {
            statement.raw_bind_parameter(at, value)?;
        }
        if statement.parameter_count() == clock {
            statement.raw_bind_parameter(clock, Value::Time(Timestamp::now()))?;
        }
        run(&mut statement)
    };
    bound().map_err(|error| failure::of(&error))
}

/// A connection for one operation of the bookkeeping.
pub(super) struct Session<'c> {
    pub(super) connection: &'c Connection,
    /// Rows for which a trigger rolled back the operation's transaction.
    pub(super) rolled_back: RefCell<RolledBackRows>,
}

impl<'c> Session<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        Self {
            connection,
            rolled_back: RefCell::default(),
        }
    }

    /// Rolls back, if a transaction is open. Only another process's lock or a failed disk prevents it: the connection
    /// is opened again after such an error.
    pub(super) fn rollback(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::debug!(error = %failure::of(&error), "rolling back failed");
        }
    }

    /// Repeats an operation without the rows for which a trigger rolls back its transaction.
    pub(super) fn past_rollbacks<T>(&mut self, mut once: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            let done = once(self);
            self.rollback();
            if done.is_ok() || !self.rolled_back.get_mut().take() {
                return done;
            }
        }
    }
}

impl SqlSession for Session<'_> {
    const PREFIX: &'static str = PREFIX;
    const NO_BYTES: &'static str = "x''";

    fn row_lock(_: LaneLock) -> &'static str {
        ""
    }

    fn any(column: &str, parameter: &str) -> String {
        format!("{column} IN (SELECT value FROM json_each({parameter}))")
    }

    fn records(parameter: &str, columns: &[(&str, &str)]) -> String {
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, _)| format!("value ->> '{name}' AS {name}"))
            .collect();
        format!("(SELECT {} FROM json_each({parameter})) AS u", columns.join(", "))
    }

    fn sha256(column: &str) -> String {
        format!("{SHA256}({column})")
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> impl Future<Output = Result<u64>> + Send {
        let done = run(self.connection, sql, values, |statement| statement.raw_execute());
        ready(done.map(|rows| rows as u64))
    }

    fn query<T, F>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: F,
    ) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        T: Send,
        F: Fn(&dyn Row) -> Result<T> + Send,
    {
        let found = run(self.connection, sql, values, |statement| {
            let (mut rows, mut found) = (statement.raw_query(), Vec::new());
            while let Some(row) = rows.next()? {
                found.push(read(row));
            }
            Ok(found)
        });
        ready(found.and_then(|found| found.into_iter().collect()))
    }

    fn begin(&self, _: Begin) -> impl Future<Output = Result<()>> + Send {
        batch(self.connection, "BEGIN IMMEDIATE")
    }

    fn commit(&self) -> impl Future<Output = Result<()>> + Send {
        batch(self.connection, "COMMIT")
    }
}

fn batch(connection: &Connection, sql: &str) -> Ready<Result<()>> {
    ready(connection.execute_batch(sql).map_err(|error| failure::of(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bookkeeping::values;

    #[test]
    fn sqlite_statement_is_rewritten_outside_of_quotes() {
        assert_eq!(
            rewritten(
                "UPDATE slacktide.lanes SET a = $2, at = clock_timestamp() WHERE b = $1",
                3
            ),
            "UPDATE slacktide_lanes SET a = ?2, at = ?3 WHERE b = ?1"
        );
        let quoted = "SELECT 'slacktide.$1 it''s $2', \"slacktide.a$1\"\"$2\" FROM \"ä$\"";
        assert_eq!(rewritten(quoted, 1), quoted);
        assert_eq!(rewritten("SELECT 'open $1", 1), "SELECT 'open $1");
    }

    #[test]
    fn sqlite_values_keep_their_content() -> Result<()> {
        let connection = Connection::open_in_memory().map_err(|error| failure::of(&error))?;
        let at: Timestamp = "2026-01-31T10:00:00.123456Z"
            .parse()
            .map_err(|_| broken("a time"))?;
        let values = values![
            7_u64,
            true,
            "a",
            &[0_u8, 255][..],
            at,
            None::<&str>,
            vec![3_i64, 5]
        ];
        add_functions(&connection).map_err(|error| failure::of(&error))?;
        let session = Session::of(&connection);
        let sql =
            "SELECT $1, $2, $3, $4, $5, $6, $5 <= clock_timestamp(), (SELECT sum(value) FROM json_each($7))";
        let read = |row: &dyn Row| {
            Ok((
                (row.int(0)?, row.flag(1)?, row.text(2)?, row.bytes(3)?),
                (row.time(4)?, row.optional_text(5)?, row.flag(6)?, row.int(7)?),
            ))
        };
        let found = now(session.query(sql, &values, read))?;
        let wanted = ((7, true, "a".to_owned(), vec![0, 255]), (at, None, true, 8));
        assert_eq!(found, [wanted]);
        Ok(())
    }

    #[test]
    fn sqlite_sha256_is_digest_of_bytes() -> Result<()> {
        let connection = Connection::open_in_memory().map_err(|error| failure::of(&error))?;
        add_functions(&connection).map_err(|error| failure::of(&error))?;
        let session = Session::of(&connection);
        let sql = format!("SELECT {}", Session::sha256("$1"));
        let found = now(session.query(&sql, &values![&b"abc"[..]], |row| row.text(0)))?;
        assert_eq!(found, [Digest::of(&[b"abc"]).to_string()]);
        Ok(())
    }
}

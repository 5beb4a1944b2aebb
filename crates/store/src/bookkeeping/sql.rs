//! The SQL interface of the bookkeeping: values, rows, and what a database's session must offer.

use std::future::Future;

use jiff::Timestamp;

use crate::error::Result;
use crate::record::broken;

/// A value of a statement's parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Flag(bool),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Time(Timestamp),
    /// A list for [`SqlSession::any`].
    Ints(Vec<i64>),
}

/// A value of a column, borrowed from its row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Null,
    Flag(bool),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Time(Timestamp),
}

/// Returns an array of [`Value`]s.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::bookkeeping::sql::Value::from($value)),*] };
}
pub(crate) use values;

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl From<Vec<i64>> for Value<'_> {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Ints(numbers)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of a result. Columns are numbered from 0.
pub(crate) trait Row {
    /// Returns a column's value.
    ///
    /// # Errors
    /// If the row has no such column, or the column has a type that the bookkeeping does not use.
    fn field(&self, at: usize) -> Result<Field<'_>>;
}

impl dyn Row + '_ {
    pub(crate) fn text(&self, at: usize) -> Result<String> {
        self.optional_text(at)?.ok_or_else(of_another_type)
    }

    pub(crate) fn optional_text(&self, at: usize) -> Result<Option<String>> {
        match self.field(at)? {
            Field::Null => Ok(None),
            Field::Text(text) => Ok(Some(text.to_owned())),
            _ => Err(of_another_type()),
        }
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64> {
        self.optional_int(at)?.ok_or_else(of_another_type)
    }

    pub(crate) fn optional_int(&self, at: usize) -> Result<Option<i64>> {
        match self.field(at)? {
            Field::Null => Ok(None),
            Field::Int(number) => Ok(Some(number)),
            _ => Err(of_another_type()),
        }
    }

    /// Returns a number; 0 for a negative one.
    pub(crate) fn unsigned(&self, at: usize) -> Result<u64> {
        self.int(at).map(|number| u64::try_from(number).unwrap_or(0))
    }

    pub(crate) fn flag(&self, at: usize) -> Result<bool> {
        match self.field(at)? {
            Field::Flag(flag) => Ok(flag),
            Field::Int(number) => Ok(number != 0),
            _ => Err(of_another_type()),
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        match self.field(at)? {
            Field::Bytes(bytes) => Ok(bytes.to_vec()),
            _ => Err(of_another_type()),
        }
    }

    pub(crate) fn time(&self, at: usize) -> Result<Timestamp> {
        self.optional_time(at)?.ok_or_else(of_another_type)
    }

    /// Returns a time. SQLite keeps it as a text, an earlier version as microseconds.
    pub(crate) fn optional_time(&self, at: usize) -> Result<Option<Timestamp>> {
        match self.field(at)? {
            Field::Null => Ok(None),
            Field::Time(at) => Ok(Some(at)),
            Field::Text(text) => text.parse().map(Some).map_err(|_| of_another_type()),
            Field::Int(micros) => Timestamp::from_microsecond(micros)
                .map(Some)
                .map_err(|_| of_another_type()),
            _ => Err(of_another_type()),
        }
    }
}

fn of_another_type() -> crate::error::Error {
    broken("a table of the store's bookkeeping")
}

/// What a transaction does, which decides how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It reads and writes bookkeeping tables only.
    Bookkeeping,
    /// It also writes rows, whose constraints must be checked at once.
    Rows,
    /// It also creates or changes tables.
    Tables,
}

/// How a lane's row is locked until the transaction ends. SQLite's transactions lock the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneLock {
    /// Shared, with other transactions that store.
    Shared,
    /// Exclusive.
    Alone,
    /// Shared with transactions that store, exclusive against others that write the frontier.
    Frontier,
    /// Not locked.
    Free,
}

/// A connection of one operation.
pub(crate) trait SqlSession {
    /// What precedes the name of a bookkeeping table.
    const PREFIX: &'static str;

    /// An empty text of bytes.
    const NO_BYTES: &'static str;

    /// Returns the end of a `SELECT` that locks its rows.
    fn row_lock(lock: LaneLock) -> &'static str;

    /// Returns the condition that `column` is one of the numbers of the parameter, a [`Value::Ints`].
    fn any(column: &str, parameter: &str) -> String;

    /// Returns a table `u` of the objects in the parameter, a JSON array, for a `FROM`. The columns have PostgreSQL's
    /// types.
    fn records(parameter: &str, columns: &[(&str, &str)]) -> String;

    /// Returns the SHA-256 of a column of bytes, in hex digits.
    fn sha256(column: &str) -> String;

    /// Runs a statement and returns the number of rows that it wrote.
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> impl Future<Output = Result<u64>> + Send;

    /// Runs a query and returns what `read` makes of each row.
    fn query<T, F>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: F,
    ) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        T: Send,
        F: Fn(&dyn Row) -> Result<T> + Send;

    /// Begins a transaction. The caller rolls it back after an error.
    fn begin(&self, what: Begin) -> impl Future<Output = Result<()>> + Send;

    /// Commits.
    fn commit(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Runs a query of at most one row.
pub(crate) async fn optional<S, T, F>(
    session: &S,
    sql: &str,
    values: &[Value<'_>],
    read: F,
) -> Result<Option<T>>
where
    S: SqlSession,
    T: Send,
    F: Fn(&dyn Row) -> Result<T> + Send,
{
    Ok(session.query(sql, values, read).await?.pop())
}

/// Runs a query of exactly one row.
pub(crate) async fn one<S, T, F>(session: &S, sql: &str, values: &[Value<'_>], read: F) -> Result<T>
where
    S: SqlSession,
    T: Send,
    F: Fn(&dyn Row) -> Result<T> + Send,
{
    optional(session, sql, values, read)
        .await?
        .ok_or_else(of_another_type)
}

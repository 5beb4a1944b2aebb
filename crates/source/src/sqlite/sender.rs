//! Runs on the thread: collects rows of a statement and sends them in batches.

use std::collections::HashSet;

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, Row, ToSql};
use tokio::sync::mpsc;

use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::rows::pack;
use schemas::value::Value;

use super::checked_feed::CheckedFeed;
use super::convert::{self, Format};
use super::failure;
use super::key;
use super::worker::JobToken;
use crate::error::{Error, ErrorKind, Result};
use crate::port::End;

/// Approximate size of a batch in bytes.
const PIECE: usize = 64 * 1024;

/// Rows sent from the thread, in order.
pub(super) enum RowBatch {
    Rows(Vec<u8>, u64),
    Reject(Cursor, Reject),
}

pub(super) fn scalar(value: ValueRef<'_>) -> Result<Scalar> {
    match value {
        ValueRef::Integer(number) => Ok(Scalar::Int(number)),
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => {
            Ok(Scalar::Text(String::from_utf8_lossy(bytes).into_owned()))
        }
        other => Err(Error::new(
            ErrorKind::Refused,
            format!("a row's cursor holds a value of type {}", other.data_type()),
            "use cursor columns that hold only integers or text and are NOT NULL",
        )),
    }
}

/// Returns a key's value for the reject of a row that cannot be encoded.
pub(super) fn named(value: ValueRef<'_>) -> Option<Scalar> {
    Scalar::from_key_value(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Float(number),
        ValueRef::Text(bytes) => Value::Text(std::str::from_utf8(bytes).ok()?),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
    })
}

/// A cursor's value as a parameter.
struct Parameter<'a>(&'a Scalar);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Scalar::Int(number) => ToSqlOutput::Owned(Owned::Integer(*number)),
            Scalar::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// The parameters of a statement.
pub(super) struct BoundStatement {
    pub(super) sql: String,
    /// By name, such as `$1`: those of a query's own SQL. SQLite numbers them by first occurrence.
    pub(super) named: Vec<(String, Owned)>,
    /// By number, after the named ones.
    pub(super) placed: Vec<Scalar>,
}

impl BoundStatement {
    fn bind(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()> {
        statement.clear_bindings();
        for (name, value) in &self.named {
            // A parameter that the SQL does not use has no number.
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        for (place, value) in (self.named.len() + 1..).zip(&self.placed) {
            statement.raw_bind_parameter(place, Parameter(value))?;
        }
        Ok(())
    }
}

/// Takes rows of the statement and sends them in batches. Holds the latest row until the next one is known.
pub(super) struct Sender<'a> {
    checked: &'a CheckedFeed,
    pieces: mpsc::Sender<RowBatch>,
    packed: Vec<u8>,
    count: u64,
    /// Keys of this read, if the schema does not prove that each occurs once.
    keys: HashSet<Vec<u8>>,
}

/// The latest row, encoded.
#[derive(Default)]
struct PendingRow {
    bytes: Vec<u8>,
    reject: Option<(Cursor, Reject)>,
    cursor: Vec<u8>,
    filled: bool,
}

impl<'a> Sender<'a> {
    pub(super) fn new(checked: &'a CheckedFeed, pieces: mpsc::Sender<RowBatch>) -> Self {
        Self {
            checked,
            pieces,
            packed: Vec::new(),
            count: 0,
            keys: HashSet::new(),
        }
    }

    pub(super) fn send_all(
        mut self,
        connection: &Connection,
        token: &JobToken,
        asked: &BoundStatement,
        limit: usize,
    ) -> Result<End> {
        let fail = |error: rusqlite::Error| failure::classify(&error);
        let mut statement = connection.prepare_cached(&asked.sql).map_err(fail)?;
        asked.bind(&mut statement).map_err(fail)?;
        let mut rows = statement.raw_query();
        let mut scratch = vec![String::new(); self.checked.schema.columns.len()];
        let (mut pending, mut next) = (PendingRow::default(), PendingRow::default());
        let mut seen = 0_usize;
        let outcome = loop {
            if token.is_revoked() {
                break Ok(End::Revoked);
            }
            match rows.next().map_err(fail) {
                Ok(Some(row)) => {
                    seen += 1;
                    if let Err(error) = self.ready(row, &mut scratch, &mut next) {
                        break Err(error);
                    }
                    if pending.filled && !pending.cursor.is_empty() && pending.cursor == next.cursor {
                        break Err(self.repeated());
                    }
                    if let Some(error) = self.repeated_key(row)? {
                        break Err(error);
                    }
                    if !self.push(&mut pending) {
                        break Ok(End::Revoked);
                    }
                    std::mem::swap(&mut pending, &mut next);
                }
                // The last row only shows that there are more.
                Ok(None) if seen > limit => break Ok(End::Limit),
                Ok(None) => {
                    self.push(&mut pending);
                    break Ok(End::Drained);
                }
                Err(error) => break Err(error),
            }
        };
        // The statement ends before the thread waits for the receiver.
        drop(rows);
        drop(statement);
        self.flush();
        outcome
    }

    fn ready(&self, row: &Row<'_>, scratch: &mut [String], pending: &mut PendingRow) -> Result<()> {
        let fail = |error: rusqlite::Error| failure::classify(&error);
        pending.cursor.clear();
        for place in &self.checked.cursor {
            let value = scalar(row.get_ref(*place).map_err(fail)?)?;
            let value = match &value {
                Scalar::Int(number) => Value::Int(*number),
                Scalar::Text(text) => Value::Text(text),
            };
            pack(&[value], &mut pending.cursor).map_err(|_| failure::row_too_long())?;
        }
        pending.filled = true;
        pending.bytes.clear();
        pending.reject = None;
        let columns = &self.checked.schema.columns;
        let mut formats = Vec::with_capacity(columns.len());
        for (place, (column, scratch)) in columns.iter().zip(scratch.iter_mut()).enumerate() {
            match convert::convert(&column.kind, row.get_ref(place).map_err(fail)?, scratch) {
                Ok(format) => formats.push(format),
                Err(reason) => {
                    pending.reject = Some(self.reject(row, &column.name, reason)?);
                    return Ok(());
                }
            }
        }
        let mut values = Vec::with_capacity(columns.len());
        for (place, ((column, format), scratch)) in columns.iter().zip(&formats).zip(&*scratch).enumerate() {
            values.push(match format {
                Format::Scratch => Value::Text(scratch),
                Format::Direct => convert::direct(&column.kind, row.get_ref(place).map_err(fail)?),
            });
        }
        pack(&values, &mut pending.bytes).map_err(|_| failure::row_too_long())
    }

    fn reject(&self, row: &Row<'_>, column: &str, reason: &str) -> Result<(Cursor, Reject)> {
        let at = |place: usize| {
            row.get_ref(place)
                .map_err(|error| failure::classify(&error))
                .and_then(scalar)
        };
        let cursor = self
            .checked
            .cursor
            .iter()
            .map(|place| at(*place))
            .collect::<Result<_>>()?;
        let schema = &self.checked.schema;
        let key = schema
            .key
            .iter()
            .map(|name| named(row.get_ref(schema.index_of(name)?).ok()?))
            .collect();
        Ok((
            Cursor(cursor),
            Reject {
                key,
                column: Some(column.to_owned()),
                reason: reason.to_owned(),
            },
        ))
    }

    /// Returns an error if a row of this read has the same key. A row with a null key is a reject.
    fn repeated_key(&mut self, row: &Row<'_>) -> Result<Option<Error>> {
        let Some(refusal) = &self.checked.key_repeated else {
            return Ok(None);
        };
        let value = |place| row.get_ref(place).map_err(|error| failure::classify(&error));
        let Some(packed) = key::encode_key(&self.checked.schema, value)? else {
            return Ok(None);
        };
        Ok((!self.keys.insert(packed)).then(|| refusal.clone()))
    }

    fn repeated(&self) -> Error {
        let names: Vec<&str> = self
            .checked
            .keyset
            .cursor
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        Error::new(
            ErrorKind::Refused,
            format!("cursor ({}) is not unique: two rows share one", names.join(", ")),
            "end the cursor with a column that is unique",
        )
    }

    /// Sends the held row. Returns false if the receiver is gone.
    fn push(&mut self, pending: &mut PendingRow) -> bool {
        if !pending.filled {
            return true;
        }
        pending.filled = false;
        if let Some((cursor, reject)) = pending.reject.take() {
            return self.flush()
                && self
                    .pieces
                    .blocking_send(RowBatch::Reject(cursor, reject))
                    .is_ok();
        }
        self.packed.extend_from_slice(&pending.bytes);
        self.count += 1;
        self.packed.len() < PIECE || self.flush()
    }

    fn flush(&mut self) -> bool {
        if self.count == 0 {
            return true;
        }
        let piece = RowBatch::Rows(std::mem::take(&mut self.packed), std::mem::take(&mut self.count));
        self.pieces.blocking_send(piece).is_ok()
    }
}

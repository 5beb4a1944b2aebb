//! On the thread: rows off the statement and into pieces.

use std::collections::HashSet;

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, Row, ToSql};
use tokio::sync::mpsc;

use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::rows::pack;
use schemas::value::Value;

use super::check::Checked;
use super::convert::{self, Form};
use super::failure;
use super::key;
use super::worker::Ticket;
use crate::error::{Error, ErrorKind, Result};
use crate::port::End;

/// Rows cross from the thread in pieces of about this size.
const PIECE: usize = 64 * 1024;

/// Rows on their way from the thread, in order.
pub(super) enum Piece {
    Rows(Vec<u8>, u64),
    Reject(Cursor, Reject),
}

/// A cursor's value.
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

/// A key's value in the note of a row that cannot be carried.
pub(super) fn named(value: ValueRef<'_>) -> Option<Scalar> {
    Scalar::of_key(match value {
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

/// A statement with the values of its parameters.
pub(super) struct Asked {
    pub(super) sql: String,
    /// By name, such as `$1`: those of a question's own SQL. SQLite numbers them as they first appear.
    pub(super) named: Vec<(String, Owned)>,
    /// By place, from the one behind the named ones on.
    pub(super) placed: Vec<Scalar>,
}

impl Asked {
    fn bind(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()> {
        statement.clear_bindings();
        for (name, value) in &self.named {
            // One that the SQL does not use has no place.
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

/// On the thread: takes rows off the statement and sends them in pieces. The latest row is held
/// back until the next was seen.
pub(super) struct Sender<'a> {
    checked: &'a Checked,
    pieces: mpsc::Sender<Piece>,
    packed: Vec<u8>,
    count: u64,
    /// Keys of this read, where the catalogue does not prove that each occurs once.
    keys: HashSet<Vec<u8>>,
}

/// The latest row, ready to be sent.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    reject: Option<(Cursor, Reject)>,
    cursor: Vec<u8>,
    filled: bool,
}

impl<'a> Sender<'a> {
    pub(super) fn new(checked: &'a Checked, pieces: mpsc::Sender<Piece>) -> Self {
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
        ticket: &Ticket,
        asked: &Asked,
        limit: usize,
    ) -> Result<End> {
        let fail = |error: rusqlite::Error| failure::of(&error);
        let mut statement = connection.prepare_cached(&asked.sql).map_err(fail)?;
        asked.bind(&mut statement).map_err(fail)?;
        let mut rows = statement.raw_query();
        let mut scratch = vec![String::new(); self.checked.schema.columns.len()];
        let (mut held, mut next) = (Held::default(), Held::default());
        let mut seen = 0_usize;
        let outcome = loop {
            if ticket.is_revoked() {
                break Ok(End::Revoked);
            }
            match rows.next().map_err(fail) {
                Ok(Some(row)) => {
                    seen += 1;
                    if let Err(error) = self.ready(row, &mut scratch, &mut next) {
                        break Err(error);
                    }
                    if held.filled && !held.cursor.is_empty() && held.cursor == next.cursor {
                        break Err(self.repeated());
                    }
                    if let Some(error) = self.repeated_key(row)? {
                        break Err(error);
                    }
                    if !self.push(&mut held) {
                        break Ok(End::Revoked);
                    }
                    std::mem::swap(&mut held, &mut next);
                }
                // The last row shows only that there is more.
                Ok(None) if seen > limit => break Ok(End::Limit),
                Ok(None) => {
                    self.push(&mut held);
                    break Ok(End::Drained);
                }
                Err(error) => break Err(error),
            }
        };
        // The statement ends before anybody waits for the receiver.
        drop(rows);
        drop(statement);
        self.flush();
        outcome
    }

    fn ready(&self, row: &Row<'_>, scratch: &mut [String], held: &mut Held) -> Result<()> {
        let fail = |error: rusqlite::Error| failure::of(&error);
        held.cursor.clear();
        for place in &self.checked.cursor {
            let value = scalar(row.get_ref(*place).map_err(fail)?)?;
            let value = match &value {
                Scalar::Int(number) => Value::Int(*number),
                Scalar::Text(text) => Value::Text(text),
            };
            pack(&[value], &mut held.cursor).map_err(|_| unpackable())?;
        }
        held.filled = true;
        held.bytes.clear();
        held.reject = None;
        let columns = &self.checked.schema.columns;
        let mut forms = Vec::with_capacity(columns.len());
        for (place, (column, scratch)) in columns.iter().zip(scratch.iter_mut()).enumerate() {
            match convert::form(&column.kind, row.get_ref(place).map_err(fail)?, scratch) {
                Ok(form) => forms.push(form),
                Err(reason) => {
                    held.reject = Some(self.reject(row, &column.name, reason)?);
                    return Ok(());
                }
            }
        }
        let mut values = Vec::with_capacity(columns.len());
        for (place, ((column, form), scratch)) in columns.iter().zip(&forms).zip(&*scratch).enumerate() {
            values.push(match form {
                Form::Scratch => Value::Text(scratch),
                Form::Direct => convert::direct(&column.kind, row.get_ref(place).map_err(fail)?),
            });
        }
        pack(&values, &mut held.bytes).map_err(|_| unpackable())
    }

    fn reject(&self, row: &Row<'_>, column: &str, reason: &str) -> Result<(Cursor, Reject)> {
        let at = |place: usize| {
            row.get_ref(place)
                .map_err(|error| failure::of(&error))
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

    /// The refusal of a row whose key a row of this read has. A key with a null is a reject.
    fn repeated_key(&mut self, row: &Row<'_>) -> Result<Option<Error>> {
        let Some(refusal) = &self.checked.key_repeated else {
            return Ok(None);
        };
        let value = |place| row.get_ref(place).map_err(|error| failure::of(&error));
        let Some(packed) = key::form(&self.checked.schema, value)? else {
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

    /// Sends the row held back; false when nobody takes it any more.
    fn push(&mut self, held: &mut Held) -> bool {
        if !held.filled {
            return true;
        }
        held.filled = false;
        if let Some((cursor, reject)) = held.reject.take() {
            return self.flush() && self.pieces.blocking_send(Piece::Reject(cursor, reject)).is_ok();
        }
        self.packed.extend_from_slice(&held.bytes);
        self.count += 1;
        self.packed.len() < PIECE || self.flush()
    }

    fn flush(&mut self) -> bool {
        if self.count == 0 {
            return true;
        }
        let piece = Piece::Rows(std::mem::take(&mut self.packed), std::mem::take(&mut self.count));
        self.pieces.blocking_send(piece).is_ok()
    }
}

pub(super) fn unpackable() -> Error {
    Error::new(
        ErrorKind::Database,
        "a row is too long to be carried",
        "leave its long columns out of the feed's sql",
    )
}

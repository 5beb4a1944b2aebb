//! COPY: rows are sent in the binary format if all of them fit it, otherwise as text.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::SinkExt;
use schemas::column::{ColumnType, RowSchema};
use schemas::value::Value;

use super::super::binary_cell::{self, BinaryFormat};
use super::super::session::Session;
use super::super::{cell, failure, numbers};
use crate::error::Result;
use crate::merge::{Fold, Version};
use crate::sql_name::listed;
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL};

/// COPY data is sent in pieces of about this size.
const COPY_CHUNK_BYTES: usize = 128 << 10;

/// Additional columns after a row's columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtraColumns {
    /// The chunk number.
    Number,
    /// The chunk number and the canonical key.
    Key,
    /// The chunk number, the canonical key, and whether the version deletes.
    Staged,
    /// The chunk number, the row's number in the chunk, and whether the version deletes.
    Version,
}

/// Rows with the same columns.
pub(super) struct RowBatch<'a> {
    pub(super) schema: &'a RowSchema,
    pub(super) fold: &'a Fold<'a>,
    pub(super) versions: &'a [&'a Version],
    /// The ordinal of a chunk's first row.
    pub(super) first: u64,
}

/// The types of a table's columns by name, as object identifiers.
pub(super) type ColumnTypes = HashMap<String, u32>;

/// Reads the types of the columns of each table. The tables must be locked.
pub(super) async fn column_types(session: &Session, tables: &[&str]) -> Result<Vec<ColumnTypes>> {
    const TYPES: &str = "SELECT t.place, a.attname::text, a.atttypid FROM unnest($1::text[]) WITH ORDINALITY AS t(name, place) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name) WHERE a.attnum > 0 AND NOT a.attisdropped";
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let statement = session.prepared(TYPES).await.map_err(fail)?;
    let rows = session.client.query(&statement, &[&tables]).await.map_err(fail)?;
    let mut types = vec![ColumnTypes::new(); tables.len()];
    for row in &rows {
        let (place, name): (i64, String) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
        let table = usize::try_from(place - 1).ok().and_then(|at| types.get_mut(at));
        if let Some(table) = table {
            table.insert(name, row.try_get(2).map_err(fail)?);
        }
    }
    Ok(types)
}

impl ExtraColumns {
    fn columns(self) -> &'static [(&'static str, ColumnType)] {
        const NUMBERED: &[(&str, ColumnType)] = &[(EPOCH, ColumnType::Int4), (NUMBER, ColumnType::Int8)];
        const KEYED: &[(&str, ColumnType)] = &[
            (EPOCH, ColumnType::Int4),
            (NUMBER, ColumnType::Int8),
            (KEY, ColumnType::Bytes),
        ];
        const STAGED: &[(&str, ColumnType)] = &[
            (EPOCH, ColumnType::Int4),
            (NUMBER, ColumnType::Int8),
            (KEY, ColumnType::Bytes),
            (DELETED, ColumnType::Bool),
        ];
        const VERSION: &[(&str, ColumnType)] = &[
            (EPOCH, ColumnType::Int4),
            (NUMBER, ColumnType::Int8),
            (ORDINAL, ColumnType::Int8),
            (DELETED, ColumnType::Bool),
        ];
        match self {
            Self::Number => NUMBERED,
            Self::Key => KEYED,
            Self::Staged => STAGED,
            Self::Version => VERSION,
        }
    }

    /// Returns the values of the columns, with surplus ones at the end.
    fn values<'a>(self, version: &'a Version, first: u64) -> [Value<'a>; 4] {
        let third = match self {
            Self::Version => Value::Int(numbers::int(first + version.ordinal)),
            _ => Value::Bytes(&version.key),
        };
        [
            Value::Int(i64::from(version.chunk_number.epoch)),
            Value::Int(numbers::int(version.chunk_number.number)),
            third,
            Value::Bool(version.deleted),
        ]
    }
}

/// The columns of a COPY.
struct CopyColumns<'a> {
    names: Vec<&'a str>,
    kinds: Vec<&'a ColumnType>,
    more: ExtraColumns,
}

/// Copies rows into a table and returns the number of written rows; `sent` are the store's names of their columns, and
/// `types` the types of the table's.
pub(super) async fn copy(
    session: &Session,
    (into, types): (&str, &ColumnTypes),
    sent: &[String],
    more: ExtraColumns,
    bulk: &RowBatch<'_>,
) -> std::result::Result<u64, tokio_postgres::Error> {
    let extra = more.columns();
    let columns = CopyColumns {
        names: (sent.iter().map(String::as_str))
            .chain(extra.iter().map(|(name, _)| *name))
            .collect(),
        kinds: (bulk.schema.columns.iter().map(|column| &column.kind))
            .chain(extra.iter().map(|(_, kind)| kind))
            .collect(),
        more,
    };
    let (pieces, format) = match columns.binary(types, bulk) {
        Some(pieces) => (pieces, " (FORMAT binary)"),
        None => (columns.text(bulk), ""),
    };
    let names = listed(columns.names);
    let sink = session
        .client
        .copy_in::<_, Bytes>(&format!("COPY {into} ({names}) FROM STDIN{format}"))
        .await?;
    futures_util::pin_mut!(sink);
    for piece in pieces {
        if sink.send(piece).await.is_err() {
            // The server has ended the COPY; its answer contains the reason.
            break;
        }
    }
    sink.finish().await
}

/// Bytes in pieces.
#[derive(Default)]
struct Pieces {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Pieces {
    /// Ends a row.
    fn end_row(&mut self) {
        if self.open.len() >= COPY_CHUNK_BYTES {
            let next = Vec::with_capacity(COPY_CHUNK_BYTES + 4_096);
            self.full
                .push(Bytes::from(std::mem::replace(&mut self.open, next)));
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.full.push(Bytes::from(self.open));
        }
        self.full
    }
}

impl CopyColumns<'_> {
    /// Returns the rows in the binary format, or `None` if a column or a value has none.
    fn binary(&self, types: &ColumnTypes, bulk: &RowBatch<'_>) -> Option<Vec<Bytes>> {
        const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
        const END: [u8; 2] = (-1_i16).to_be_bytes();
        let format = |(name, kind): (&&str, &&ColumnType)| BinaryFormat::of(kind, *types.get(*name)?);
        let formats: Vec<BinaryFormat> = (self.names.iter().zip(&self.kinds))
            .map(format)
            .collect::<Option<_>>()?;
        let width = i16::try_from(formats.len()).ok()?.to_be_bytes();
        let mut pieces = Pieces::default();
        pieces.open.extend_from_slice(HEAD);
        for version in bulk.versions {
            pieces.open.extend_from_slice(&width);
            let extra = self.more.values(version, bulk.first);
            let values = bulk.fold.values(version).iter().chain(&extra);
            for (format, value) in formats.iter().zip(values) {
                binary_cell::write(*format, *value, &mut pieces.open)?;
            }
            pieces.end_row();
        }
        pieces.open.extend_from_slice(&END);
        Some(pieces.finish())
    }

    /// Returns the rows as text.
    fn text(&self, bulk: &RowBatch<'_>) -> Vec<Bytes> {
        let mut pieces = Pieces::default();
        for version in bulk.versions {
            let extra = self.more.values(version, bulk.first);
            let values = bulk.fold.values(version).iter().chain(&extra);
            for (at, (kind, value)) in self.kinds.iter().zip(values).enumerate() {
                if at > 0 {
                    pieces.open.push(b'\t');
                }
                cell::write(kind, *value, &mut pieces.open);
            }
            pieces.open.push(b'\n');
            pieces.end_row();
        }
        pieces.finish()
    }
}

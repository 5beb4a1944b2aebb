//! Reads the rows of feeds' tables, in one snapshot and with the right to read only.
//!
//! Values are texts in the form that the feed's column type has on the wire (`schemas/src/column.rs`), so rows of both
//! databases are comparable. The bookkeeping in the store names tables and columns, so no configuration is needed.

use std::borrow::Cow;
use std::fmt::Write as _;

use async_trait::async_trait;
use schemas::column::{Column, ColumnType};
use schemas::key::pack_key;
use schemas::name::Lane;
use schemas::value::Value;

use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::record::{LaneRecord, broken};
use crate::sql_name::quoted;
use crate::table::{EPOCH, KEY, NUMBER, ORDINAL};

/// A lane's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneContents {
    /// The lane.
    pub lane: Lane,
    /// The table, in SQL.
    pub table: String,
    /// The columns that the feed sends or sent, with its names for them.
    pub columns: Vec<Column>,
    /// The names of the columns that identify a row; of a history it is a chunk number and the row's place in the chunk.
    pub key: Vec<String>,
    /// Whether it is a history: the store keeps no table of newest versions.
    pub is_history: bool,
    /// The last chunk up to which everything is stored without a gap.
    pub frontier: ChunkNumber,
    /// The names of the columns in the table, in the order of `columns`.
    stored_names: Vec<String>,
}

/// A row of a feed's table.
#[derive(Debug)]
pub struct StoredRow<'a> {
    /// Its canonical key: equal keys have equal bytes, in both databases.
    pub key: &'a [u8],
    /// The chunk of this version.
    pub chunk_number: ChunkNumber,
    /// The values in the order of the columns; `None` is null.
    pub values: &'a [Option<Cow<'a, str>>],
}

/// Takes the rows of a table.
pub type RowVisitor<'a> = dyn FnMut(&StoredRow<'_>) + Send + 'a;

/// The rows of a store, as of one moment.
#[async_trait]
pub trait Contents: Send {
    /// Returns the lanes that have a table.
    async fn lanes(&mut self) -> Result<Vec<LaneContents>>;

    /// Passes every row of a lane's table that is of a chunk, in any order.
    async fn rows(&mut self, lane: &LaneContents, visit: &mut RowVisitor<'_>) -> Result<()>;
}

impl LaneContents {
    /// Returns the table of a lane; `None` before its tables are created.
    pub(crate) fn of(lane: Lane, record: &LaneRecord) -> Option<Self> {
        let shape = record.shape.as_ref()?;
        let layout = shape.layout.as_ref()?;
        let is_history = !layout.mode.keeps_current();
        let table = if is_history {
            &layout.history
        } else {
            &layout.table
        };
        let columns = shape.known.columns.clone();
        Some(Self {
            lane,
            table: layout.sql(table),
            stored_names: columns
                .iter()
                .map(|column| layout.column(&column.name).to_owned())
                .collect(),
            columns,
            key: shape.known.key.clone(),
            is_history,
            frontier: record.frontier.chunk_number(),
        })
    }

    /// Returns the query of its rows: epoch, number, what identifies the row, then the values, each through `value`.
    pub(crate) fn select(&self, has_key_column: bool, value: impl Fn(&str) -> String) -> String {
        let key = match (self.is_history, has_key_column) {
            (true, _) => ORDINAL,
            (false, true) => KEY,
            (false, false) => "NULL",
        };
        let mut sql = format!("SELECT {EPOCH}, {NUMBER}, {key}");
        for name in &self.stored_names {
            // Writing into a text does not fail.
            let _ = write!(sql, ", {}", value(&quoted(name)));
        }
        // A table of the insurer's own may have rows of no chunk.
        let _ = write!(sql, " FROM {} WHERE {EPOCH} > 0", self.table);
        sql
    }

    /// Packs the canonical key of a row into `out`. `stored` is the key that the table keeps.
    pub(crate) fn pack_row_key(
        &self,
        chunk_number: ChunkNumber,
        (stored, ordinal): (Option<&[u8]>, Option<i64>),
        values: &[Option<Cow<'_, str>>],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.clear();
        if let Some(ordinal) = ordinal.filter(|_| self.is_history) {
            // Writing into a vector does not fail.
            let place = (chunk_number.epoch, chunk_number.number, ordinal);
            out.extend_from_slice(format!("{}.{}/{}", place.0, place.1, place.2).as_bytes());
            return Ok(());
        }
        if let Some(stored) = stored {
            out.extend_from_slice(stored);
            return Ok(());
        }
        let place = |name: &String| self.columns.iter().position(|column| column.name == *name);
        let part = |index: usize| {
            let kind = &self.columns.get(index)?.kind;
            Some((kind, key_value(kind, values.get(index)?.as_deref())?))
        };
        let parts: Option<Vec<(&ColumnType, Value<'_>)>> =
            self.key.iter().map(|name| part(place(name)?)).collect();
        let unreadable = || broken(&format!("the key of a row of {}", self.table));
        pack_key(parts.ok_or_else(unreadable)?, out).map_err(|_| unreadable())
    }
}

/// PURE: returns a value of the wire from its text; `None` if the text is not one of the type. Bytes stay texts, which are
/// as different as the bytes are.
fn key_value<'a>(kind: &ColumnType, text: Option<&'a str>) -> Option<Value<'a>> {
    let Some(text) = text else {
        return Some(Value::Null);
    };
    Some(match kind {
        ColumnType::Bool => Value::Bool(text.parse().ok()?),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => Value::Int(text.parse().ok()?),
        ColumnType::Float4 | ColumnType::Float8 => Value::Float(text.parse().ok()?),
        _ => Value::Text(text),
    })
}

/// PURE: returns the same text for the same value: the two databases print floats in two forms.
pub(crate) fn comparable<'a>(kind: &ColumnType, text: Cow<'a, str>) -> Cow<'a, str> {
    match kind {
        ColumnType::Float4 => match text.parse::<f32>() {
            Ok(number) => Cow::Owned(format!("{number:?}")),
            Err(_) => text,
        },
        ColumnType::Float8 => match text.parse::<f64>() {
            Ok(number) => Cow::Owned(format!("{number:?}")),
            Err(_) => text,
        },
        _ => text,
    }
}

/// Returns the table of a lane with these columns, for tests.
#[cfg(test)]
pub(crate) fn sample(lane: Lane, schema: schemas::column::RowSchema, frontier: ChunkNumber) -> LaneContents {
    LaneContents {
        lane,
        table: quoted(&schema.name),
        stored_names: schema.columns.iter().map(|column| column.name.clone()).collect(),
        columns: schema.columns,
        key: schema.key,
        is_history: false,
        frontier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_floats_of_both_databases_are_equal() {
        let text = |kind: &ColumnType, text: &'static str| comparable(kind, Cow::Borrowed(text)).into_owned();
        assert_eq!(
            text(&ColumnType::Float8, "1e+21"),
            text(&ColumnType::Float8, "1000000000000000000000")
        );
        assert_eq!(
            text(&ColumnType::Float4, "0.1"),
            text(&ColumnType::Float4, "0.10000000149011612")
        );
        assert_ne!(
            text(&ColumnType::Float8, "0.1"),
            text(&ColumnType::Float8, "0.10000000149011612")
        );
        let decimal = ColumnType::Decimal {
            precision: None,
            scale: None,
        };
        assert_ne!(text(&decimal, "1.0"), text(&decimal, "1.00"));
    }

    #[test]
    fn contents_key_of_a_text_is_that_of_the_wire() {
        let number = key_value(&ColumnType::Int8, Some("7"));
        assert_eq!(number, Some(Value::Int(7)));
        assert_eq!(
            key_value(&ColumnType::Bool, Some("true")),
            Some(Value::Bool(true))
        );
        assert_eq!(key_value(&ColumnType::Int8, Some("x")), None);
        assert_eq!(key_value(&ColumnType::Int8, None), Some(Value::Null));
    }
}

//! Columns and their types.
//!
//! On the wire a value has one of six shapes (see [`crate::value`]); the column's type defines the meaning of a text.
//! The format of each text is PostgreSQL's ISO output under fixed session settings (`DateStyle=ISO`, `TimeZone=UTC`,
//! `IntervalStyle=iso_8601`). It is exact and documented, and every store can read it back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One column of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Its name in the feed.
    pub name: String,
    /// The type of its values.
    #[serde(flatten)]
    pub kind: ColumnType,
    /// Whether the source declares it nullable. A store makes every column outside the key nullable, because a core
    /// that relaxes a constraint must not stop the feed.
    pub nullable: bool,
}

/// The type of a column's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnType {
    /// true, false.
    Bool,
    /// A signed integer of 16 bits.
    Int2,
    /// A signed integer of 32 bits.
    Int4,
    /// A signed integer of 64 bits.
    Int8,
    /// An IEEE 754 single.
    Float4,
    /// An IEEE 754 double.
    Float8,
    /// An exact decimal, as text: `-?digits[.digits]`, `NaN`, `Infinity`, `-Infinity`.
    Decimal {
        /// Total digits, where declared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        precision: Option<u16>,
        /// Digits after the point, where declared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<i16>,
    },
    /// Unicode text.
    Text {
        /// Maximum number of characters, where declared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
    },
    /// Bytes.
    Bytes,
    /// `yyyy-mm-dd`, followed by ` BC` before 1 AD; `infinity`, `-infinity`.
    Date,
    /// `hh:mm:ss[.ffffff]`.
    Time,
    /// `hh:mm:ss[.ffffff]±hh[:mm[:ss]]`.
    TimeTz,
    /// `yyyy-mm-dd hh:mm:ss[.ffffff]` without a zone.
    Timestamp,
    /// `yyyy-mm-dd hh:mm:ss[.ffffff]+00`: an instant, in UTC.
    TimestampTz,
    /// ISO 8601 duration.
    Interval,
    /// `8-4-4-4-12` hex.
    Uuid,
    /// JSON text, as written.
    Json,
    /// JSON text, normalised by PostgreSQL.
    Jsonb,
    /// Each value has its own type: SQLite's columns without a declared type.
    Any,
    /// Another type of the source, as its text form: arrays, enums, domains, ranges, ….
    Other {
        /// Its name as the source spells it, for example `int4[]` or `public.mood`.
        native: String,
    },
}

/// The columns of a feed, in the order of the values in each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowSchema {
    /// The feed's name; also the table's name at the store unless configured there.
    pub name: String,
    /// Incremented by the feed's owner when the columns change.
    pub version: u32,
    /// The columns.
    pub columns: Vec<Column>,
    /// Names of the columns that identify a row.
    pub key: Vec<String>,
    /// Name of the column that marks a deleted row. A publisher sends only rows whose mark is one of a few known values:
    /// see `docs/store.md`. Of a received row, any value but null, false, 0, `0`, `f`, `F`, `false`, `FALSE`, `n`, `N` and the
    /// empty text counts as deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstone: Option<String>,
}

impl RowSchema {
    /// Returns the index of a column in a row.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the indices of the key columns in key order, or `None` if a name is missing.
    #[must_use]
    pub fn key_indices(&self) -> Option<Vec<usize>> {
        self.key.iter().map(|name| self.index_of(name)).collect()
    }

    /// Returns the index of the tombstone column.
    #[must_use]
    pub fn tombstone_index(&self) -> Option<usize> {
        self.tombstone.as_deref().and_then(|name| self.index_of(name))
    }
}

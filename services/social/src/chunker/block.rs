//! The chunker's output and errors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::manifest::{Reject, Resync, Totals};

use crate::mask::MaskError;

/// A closed block: the rows of a chunk, without a position in a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Packed rows.
    pub plain: Vec<u8>,
    /// Control totals.
    pub totals: Totals,
    /// Rows that could not be carried.
    pub rejects: Vec<Reject>,
    /// Withheld rows, by the hold's id. They are in no body.
    pub withheld: BTreeMap<String, u64>,
    /// The position before its first row.
    pub cursor_before: Option<Cursor>,
    /// The position after its last row.
    pub cursor_after: Option<Cursor>,
    /// When the quantum of its first row began.
    pub read_from: Timestamp,
    /// Whether it completes a resynchronisation.
    pub completes_resync: bool,
}

impl Block {
    /// Returns the rows in its range that it does not carry.
    #[must_use]
    pub fn excluded_rows(&self) -> u64 {
        self.rejects.len() as u64 + self.totals.withheld
    }

    /// Returns the progress of a resynchronisation including this block. `before` counts the rows that no earlier chunk of the
    /// epoch carries; `None` if none is under way.
    #[must_use]
    pub fn resync(&self, before: Option<u64>) -> Option<Resync> {
        before.map(|before| Resync {
            excluded_rows: before + self.excluded_rows(),
            is_complete: self.completes_resync,
        })
    }
}

/// Why a feed's rows cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkerError {
    /// The schema lacks a column that the feed names.
    #[error("the feed's {what} column {name:?} is not among its output columns; correct the feed")]
    Column {
        /// `key`, `cursor`, `money`, `tombstone` or `person`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A row has no usable cursor, so reading cannot pass it.
    #[error("a row of the feed has no usable cursor: {0}")]
    Cursor(String),
    /// A mask does not match the columns.
    #[error("a mask does not match the feed: {0}")]
    Mask(#[from] MaskError),
}

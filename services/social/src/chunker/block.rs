//! What the chunker makes, and why it may not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::manifest::{Reject, Resync, Totals};

use crate::mask::MaskError;

/// A closed block: the rows of a chunk, without its place in any chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Packed rows.
    pub plain: Vec<u8>,
    /// Control totals.
    pub totals: Totals,
    /// Rows that could not be carried.
    pub rejects: Vec<Reject>,
    /// Rows that holds keep back, by the hold's id. They are in no body.
    pub withheld: BTreeMap<String, u64>,
    /// The position before its first row.
    pub cursor_before: Option<Cursor>,
    /// The position after its last row.
    pub cursor_after: Option<Cursor>,
    /// When the quantum began that brought its first row.
    pub read_from: Timestamp,
    /// Whether it completes a resynchronisation.
    pub completes_resync: bool,
}

impl Block {
    /// Rows in its range that it does not carry.
    #[must_use]
    pub fn kept_back(&self) -> u64 {
        self.rejects.len() as u64 + self.totals.withheld
    }

    /// The progress of a resynchronisation with this block. `before` counts the rows that no chunk of the epoch before it
    /// carries; `None` where none is under way.
    #[must_use]
    pub fn resync(&self, before: Option<u64>) -> Option<Resync> {
        before.map(|before| Resync {
            kept_back: before + self.kept_back(),
            is_complete: self.completes_resync,
        })
    }
}

/// What is wrong with a feed's rows, so that it cannot go on.
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
    /// A row cannot be passed, for its cursor is no position.
    #[error("a row of the feed has no usable cursor: {0}")]
    Cursor(String),
    /// A mask does not go with the columns, so nothing is packed.
    #[error("a mask of the feed cannot be: {0}")]
    Mask(#[from] MaskError),
}

//! Reads the newest versions of a lane's rows, to compare them with the core, and keeps the reports of such comparisons.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::name::Lane;
use schemas::value::Value;

use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::Layout;
use crate::quarantine::Quarantine;
use crate::table::shape::Shape;

/// The number of reports that are kept of a lane.
pub const MAX_REPORTS: u32 = 30;

/// Takes the rows of a table.
pub trait RowVisitor: Send {
    /// Takes the columns of the rows that follow, under the feed's names.
    fn begin(&mut self, columns: &RowSchema);

    /// Takes a row, in the order of the columns, with the chunk that it arrived in.
    fn row(&mut self, chunk_number: ChunkNumber, row: &[Value<'_>]);
}

/// A visitor that an operation of a store uses while it runs.
pub type SharedVisitor = Arc<Mutex<dyn RowVisitor>>;

/// Operations of a reconciliation.
#[async_trait]
pub trait StoredRows: Quarantine {
    /// Reads every row of a lane's table in one snapshot, in any order. A table that no longer exists has no rows.
    ///
    /// # Errors
    /// `Refused` if the store has nothing of the lane, or keeps no newest versions.
    async fn read_rows(&self, lane: &Lane, visitor: SharedVisitor) -> Result<()>;

    /// Keeps a report of a lane, and removes the oldest above [`MAX_REPORTS`].
    async fn keep_report(&self, lane: &Lane, report: &str) -> Result<()>;

    /// Records that a comparison which began after chunk `as_of` found the lane's rows equal to the source's.
    async fn settle(&self, lane: &Lane, as_of: ChunkNumber) -> Result<()>;

    /// Returns the last reports of a lane, newest first, each with the time at which it was kept.
    async fn reports_kept(&self, lane: &Lane, limit: u32) -> Result<Vec<(Timestamp, String)>>;
}

/// Calls `then` with the visitor.
pub(crate) fn with(visitor: &SharedVisitor, then: impl FnOnce(&mut dyn RowVisitor)) {
    let mut visitor = visitor.lock().unwrap_or_else(PoisonError::into_inner);
    then(&mut *visitor);
}

/// A table to read.
#[derive(Debug)]
pub(crate) struct TableRead {
    /// The feed's columns that are still sent.
    pub(crate) schema: RowSchema,
    /// The table's name of each.
    pub(crate) names: Vec<String>,
    /// The table in SQL; `None` if it does not exist.
    pub(crate) table: Option<String>,
}

impl TableRead {
    /// Returns all columns of a table that are still sent.
    pub(crate) fn of(shape: &Shape, layout: &Layout) -> Self {
        let sent = shape.known.columns.iter();
        let sent = sent.filter(|column| !shape.gone.contains(&column.name)).cloned();
        let schema = RowSchema {
            columns: sent.collect(),
            ..shape.known.clone()
        };
        let name = |column: &Column| layout.column(&column.name).to_owned();
        Self {
            names: schema.columns.iter().map(name).collect(),
            table: Some(layout.sql(&layout.table)),
            schema,
        }
    }

    /// Leaves out all columns that are not of the key.
    pub(crate) fn only_key(mut self) -> Self {
        let key = self.schema.key.clone();
        let columns = std::mem::take(&mut self.schema.columns)
            .into_iter()
            .zip(self.names);
        (self.schema.columns, self.names) = columns.filter(|(column, _)| key.contains(&column.name)).unzip();
        self
    }

    /// Returns the types of its columns.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &ColumnType> {
        self.schema.columns.iter().map(|column| &column.kind)
    }
}

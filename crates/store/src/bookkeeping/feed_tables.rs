//! What a database does with the tables of feeds, for the bookkeeping's operations.

use std::future::Future;
use std::time::Duration;

use schemas::column::RowSchema;

use super::quarantine::{RowRetry, TryOutcome};
use super::sql::SqlSession;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ownership::FoundTable;
use crate::refill::Rows;
use crate::repair::RowSearch;
use crate::stored_rows::TableRead;
use crate::table::shape::Shape;

/// The tables of feeds.
pub(crate) trait FeedTables: SqlSession {
    /// Returns the object under the name of a lane's table.
    fn find_table(
        &self,
        tables: &LaneTables,
        role: Role,
        table: &str,
    ) -> impl Future<Output = Result<FoundTable>> + Send;

    /// Checks that the tables of these roles may be written, and holds them until the transaction ends; `false` if one
    /// of them must be adopted first.
    fn hold_tables(&self, tables: &LaneTables, roles: &[Role]) -> impl Future<Output = Result<bool>> + Send;

    /// Creates missing tables of a lane, in a transaction.
    fn make_missing(&self, tables: &LaneTables, shape: &Shape) -> impl Future<Output = Result<()>> + Send;

    /// Removes the rows of earlier epochs and returns their number; `None` if a trigger, a policy or a reference keeps
    /// one of them, so that all stay. `table` is in SQL.
    fn remove_older(&self, table: &str, epoch: u32) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// Removes the rows that a search finds and returns their number; `None` if a trigger, a policy or a reference keeps one of them,
    /// so that all stay.
    fn remove_found(
        &self,
        rows: &TableRead,
        search: RowSearch,
    ) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// Compares the rows of a lane's table with the ledger within `limit` ([`compare`]), and begins to count rows that
    /// were not counted when they were stored ([`begin`]).
    ///
    /// [`compare`]: super::row_counts::compare
    /// [`begin`]: super::row_counts::begin
    fn count(
        &self,
        tables: &LaneTables,
        counted: (Role, &str),
        limit: Duration,
    ) -> impl Future<Output = Result<Rows>> + Send;
}

/// Rows that are stored one by one, from the quarantine.
pub(crate) trait FeedRows: FeedTables {
    /// A column, and how its unique value is freed.
    type Freed: Send + Sync;

    /// Prepares the storing of rows with these columns, outside of a transaction.
    fn prepare_rows(
        &mut self,
        tables: &LaneTables,
        shape: &Shape,
        schema: &RowSchema,
        chunk_number: ChunkNumber,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores one row under its chunk's number.
    fn try_row(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
    ) -> impl Future<Output = Result<TryOutcome>> + Send;

    /// Returns the columns whose unique values can be freed, so that rows which hold each other's values are stored
    /// together; `None` if they cannot be stored together.
    fn columns_to_free(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
    ) -> impl Future<Output = Result<Option<Vec<Self::Freed>>>> + Send;

    /// Frees the unique values of the older version of a row; `false` if its table does not allow it.
    fn free_unique_values(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
        columns: &[Self::Freed],
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Begins to store a set of rows within a transaction.
    fn begin_set(&self) -> impl Future<Output = Result<()>> + Send;

    /// Keeps the set; `false` if a constraint that was deferred does not hold, so that it must be undone.
    fn keep_set(&self) -> impl Future<Output = Result<bool>> + Send;

    /// Undoes the set.
    fn undo_set(&self) -> impl Future<Output = Result<()>> + Send;
}

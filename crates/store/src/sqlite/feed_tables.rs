//! The tables of feeds, for the operations of the bookkeeping.

use std::future::{Future, ready};
use std::time::Duration;

use rusqlite::types::Value as Owned;
use rusqlite::{params, params_from_iter};
use schemas::column::RowSchema;

use super::rows::{ChunkTarget, FreedColumns, StoredRows, columns_to_free, free_unique_values, store};
use super::sql::{Session, now};
use super::stored_rows::scan;
use super::{failure, ownership, steps};
use crate::bookkeeping::feed_tables::{FeedRows, FeedTables};
use crate::bookkeeping::quarantine::{RefusedRow, RowRetry, TryOutcome};
use crate::bookkeeping::{Begin, SqlSession as _, row_counts};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ownership::FoundTable;
use crate::refill::Rows;
use crate::repair::RowSearch;
use crate::sql_name::quoted;
use crate::stored_rows::TableRead;
use crate::table::shape::Shape;
use crate::table::{EPOCH, NUMBER};

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

impl Session<'_> {
    fn remove_older_rows(&self, table: &str, epoch: u32) -> Result<Option<u64>> {
        let connection = self.connection;
        sql(connection.execute_batch("SAVEPOINT resync"))?;
        let delete = format!("DELETE FROM {table} WHERE {EPOCH} < ?1");
        let gone = match connection.execute(&delete, params![epoch]) {
            Ok(rows) => {
                let left = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {EPOCH} < ?1)");
                let left = connection.query_row(&left, params![epoch], |row| row.get::<_, bool>(0));
                (!sql(left)?).then_some(rows as u64)
            }
            // If a trigger rolled back the whole transaction, there is no savepoint.
            Err(error) if failure::of_row(&error).is_some() && !connection.is_autocommit() => None,
            Err(error) => return Err(failure::of(&error)),
        };
        let back = if gone.is_some() {
            ""
        } else {
            "ROLLBACK TO resync; "
        };
        sql(connection.execute_batch(&format!("{back}RELEASE resync")))?;
        Ok(gone)
    }

    /// Rows are found by their keys as they are stored, compared by their bytes.
    fn remove_found_rows(&self, rows: &TableRead, mut search: RowSearch) -> Result<Option<u64>> {
        let connection = self.connection;
        let mut found: Vec<Vec<Owned>> = Vec::new();
        let scanned = scan(connection, rows, |chunk_number, row, stored| {
            if search.removes(chunk_number, row) {
                let key = (2..rows.names.len() + 2).map(|place| stored.get(place));
                let numbers = [stored.get(0), stored.get(1)].into_iter();
                found.push(key.chain(numbers).collect::<rusqlite::Result<_>>()?);
            }
            Ok(())
        });
        sql(scanned)?;
        let (Some(table), false) = (&rows.table, found.is_empty()) else {
            return Ok(Some(0));
        };
        let key: Vec<String> = rows
            .names
            .iter()
            .map(|name| format!("{} COLLATE BINARY IS ?", quoted(name)))
            .collect();
        let delete = format!(
            "DELETE FROM {table} WHERE {} AND {EPOCH} IS ? AND {NUMBER} IS ?",
            key.join(" AND ")
        );
        sql(connection.execute_batch("SAVEPOINT repair"))?;
        let removed = connection.prepare(&delete).and_then(|mut statement| {
            let one = |row: &Vec<Owned>| statement.execute(params_from_iter(row));
            found.iter().map(one).sum::<rusqlite::Result<usize>>()
        });
        let gone = match removed {
            Ok(removed) => (removed >= found.len()).then_some(removed as u64),
            // If a trigger rolled back the whole transaction, there is no savepoint.
            Err(error) if failure::of_row(&error).is_some() && !connection.is_autocommit() => None,
            Err(error) => return Err(failure::of(&error)),
        };
        let back = if gone.is_some() {
            ""
        } else {
            "ROLLBACK TO repair; "
        };
        sql(connection.execute_batch(&format!("{back}RELEASE repair")))?;
        Ok(gone)
    }

    fn counted(&self, tables: &LaneTables, counted: (Role, &str)) -> Result<Rows> {
        if let Some(rows) = now(row_counts::compare(self, tables, counted))? {
            return Ok(rows);
        }
        now(self.begin(Begin::Bookkeeping))?;
        let begun = now(row_counts::begin(self, tables, counted)).and_then(|()| now(self.commit()));
        self.rollback();
        begun.map(|()| Rows::Unknown)
    }

    fn tried(&self, tables: &LaneTables, shape: &Shape, row: &RowRetry) -> Result<TryOutcome> {
        steps::prepare_tables(self.connection, tables, shape)?;
        let rolled_back = &mut self.rolled_back.borrow_mut();
        let to = target(tables, shape, row);
        let StoredRows { refused, net } =
            store(self.connection, &tables.lane, &to, &row.arrival, rolled_back)?;
        Ok(match refused.into_iter().next() {
            None => TryOutcome::Stored(Some(net)),
            Some(refused) => TryOutcome::Refused(RefusedRow {
                reason: refused.reason,
                is_retryable: refused.is_retryable,
            }),
        })
    }
}

/// Returns the target of a single row.
fn target<'a>(tables: &'a LaneTables, shape: &'a Shape, row: &RowRetry) -> ChunkTarget<'a> {
    ChunkTarget {
        layout: &tables.layout,
        shape,
        first: row.entry.ordinal.unwrap_or(0),
        is_whole: false,
    }
}

impl FeedTables for Session<'_> {
    fn find_table(
        &self,
        tables: &LaneTables,
        role: Role,
        table: &str,
    ) -> impl Future<Output = Result<FoundTable>> + Send {
        ready(ownership::find_table(self.connection, tables, role, table))
    }

    fn hold_tables(&self, tables: &LaneTables, roles: &[Role]) -> impl Future<Output = Result<bool>> + Send {
        ready(ownership::check_tables(self.connection, tables, roles))
    }

    fn make_missing(&self, tables: &LaneTables, shape: &Shape) -> impl Future<Output = Result<()>> + Send {
        ready(steps::make_missing(self.connection, tables, shape))
    }

    fn remove_older(&self, table: &str, epoch: u32) -> impl Future<Output = Result<Option<u64>>> + Send {
        ready(self.remove_older_rows(table, epoch))
    }

    fn remove_found(
        &self,
        rows: &TableRead,
        search: RowSearch,
    ) -> impl Future<Output = Result<Option<u64>>> + Send {
        ready(self.remove_found_rows(rows, search))
    }

    /// No statement of SQLite is cancelled: there is no limit.
    fn count(
        &self,
        tables: &LaneTables,
        counted: (Role, &str),
        _: Duration,
    ) -> impl Future<Output = Result<Rows>> + Send {
        ready(self.counted(tables, counted))
    }
}

impl FeedRows for Session<'_> {
    type Freed = FreedColumns;

    /// Rows are written without a preparation.
    fn prepare_rows(
        &mut self,
        _: &LaneTables,
        _: &Shape,
        _: &RowSchema,
        _: ChunkNumber,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    fn try_row(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
    ) -> impl Future<Output = Result<TryOutcome>> + Send {
        ready(self.tried(tables, shape, row))
    }

    fn columns_to_free(
        &self,
        tables: &LaneTables,
        _: &Shape,
        row: &RowRetry,
    ) -> impl Future<Output = Result<Option<Vec<FreedColumns>>>> + Send {
        let key = &row.arrival.chunk.manifest.content.schema.key;
        let key: Vec<&str> = key.iter().map(|name| tables.layout.column(name)).collect();
        ready(sql(columns_to_free(self.connection, &tables.layout.table, &key)))
    }

    fn free_unique_values(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
        columns: &[FreedColumns],
    ) -> impl Future<Output = Result<bool>> + Send {
        let to = target(tables, shape, row);
        ready(free_unique_values(
            self.connection,
            &tables.lane,
            &to,
            &row.arrival,
            columns,
        ))
    }

    fn begin_set(&self) -> impl Future<Output = Result<()>> + Send {
        ready(sql(self.connection.execute_batch("SAVEPOINT together")))
    }

    fn keep_set(&self) -> impl Future<Output = Result<bool>> + Send {
        ready(sql(self.connection.execute_batch("RELEASE together")).map(|()| true))
    }

    fn undo_set(&self) -> impl Future<Output = Result<()>> + Send {
        ready(sql(self
            .connection
            .execute_batch("ROLLBACK TO together; RELEASE together")))
    }
}

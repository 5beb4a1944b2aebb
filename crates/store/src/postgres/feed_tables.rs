//! The tables of feeds, for the operations of the bookkeeping.

use std::time::Duration;

use schemas::column::RowSchema;

use super::rows::{FreedColumns, Target, columns_to_free, is_partitioned, stage};
use super::session::{IMMEDIATE, Session};
use super::stored_rows::scan;
use super::{failure, ownership, steps};
use crate::bookkeeping::feed_tables::{FeedRows, FeedTables};
use crate::bookkeeping::quarantine::{RefusedRow, RowRetry, TryOutcome};
use crate::bookkeeping::row_counts;
use crate::chunk_number::ChunkNumber;
use crate::error::{ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::FoundTable;
use crate::quarantine::RetryOutcome;
use crate::refill::Rows;
use crate::repair::RowSearch;
use crate::stored_rows::TableRead;
use crate::table::EPOCH;
use crate::table::shape::Shape;

/// Identifies one version of a row: its place, its partition and the transaction that wrote it.
const ROW_VERSION: &str = "ctid::text || ' ' || tableoid::text || ' ' || xmin::text";

impl FeedTables for Session {
    async fn find_table(&self, tables: &LaneTables, role: Role, table: &str) -> Result<FoundTable> {
        ownership::find_table(self, tables, role, table).await
    }

    async fn hold_tables(&self, tables: &LaneTables, roles: &[Role]) -> Result<bool> {
        ownership::lock_tables(self, tables, roles).await
    }

    async fn make_missing(&self, tables: &LaneTables, shape: &Shape) -> Result<()> {
        steps::make_missing(self, tables, shape).await
    }

    async fn remove_older(&self, table: &str, epoch: u32) -> Result<Option<u64>> {
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let epoch = i32::try_from(epoch).unwrap_or(i32::MAX);
        self.run("SAVEPOINT resync").await?;
        let delete = format!("DELETE FROM {table} WHERE {EPOCH} < $1");
        let gone = match self.client.execute(&delete, &[&epoch]).await {
            Ok(rows) => {
                let left = format!("SELECT EXISTS (SELECT FROM {table} WHERE {EPOCH} < $1)");
                let left = self.client.query_one(&left, &[&epoch]).await.map_err(fail)?;
                (!left.try_get::<_, bool>(0).map_err(fail)?).then_some(rows)
            }
            Err(error) if failure::of_row(&error, &[]).is_some() => None,
            Err(error) => return Err(failure::of(&error)),
        };
        let back = if gone.is_some() {
            ""
        } else {
            "ROLLBACK TO SAVEPOINT resync; "
        };
        self.run(&format!("{back}RELEASE SAVEPOINT resync")).await?;
        Ok(gone)
    }

    async fn remove_found(&self, rows: &TableRead, mut search: RowSearch) -> Result<Option<u64>> {
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let (mut places, mut versions) = (Vec::new(), Vec::new());
        scan(self, rows, ROW_VERSION, |chunk_number, version, row| {
            if let Some(version) = version
                && search.removes(chunk_number, row)
            {
                places.push(version.split(' ').next().unwrap_or_default().to_owned());
                versions.push(version.to_owned());
            }
        })
        .await?;
        let (Some(table), false) = (&rows.table, places.is_empty()) else {
            return Ok(Some(0));
        };
        self.run("SAVEPOINT repair").await?;
        // A place may have another row meanwhile; its version identifies the row.
        let delete = format!(
            "DELETE FROM {table} WHERE ctid = ANY ($1::text[]::tid[]) AND {ROW_VERSION} = ANY ($2::text[])"
        );
        let gone = match self.client.execute(&delete, &[&places, &versions]).await {
            Ok(removed) => {
                let left = format!(
                    "SELECT EXISTS (SELECT FROM {table} WHERE ctid = ANY ($1::text[]::tid[]) AND {ROW_VERSION} = ANY ($2::text[]))"
                );
                let left = self
                    .client
                    .query_one(&left, &[&places, &versions])
                    .await
                    .map_err(fail)?;
                (!left.try_get::<_, bool>(0).map_err(fail)?).then_some(removed)
            }
            Err(error) if failure::of_row(&error, &[]).is_some() => None,
            Err(error) => return Err(failure::of(&error)),
        };
        let back = if gone.is_some() {
            ""
        } else {
            "ROLLBACK TO SAVEPOINT repair; "
        };
        self.run(&format!("{back}RELEASE SAVEPOINT repair")).await?;
        Ok(gone)
    }

    async fn count(&self, tables: &LaneTables, counted: (Role, &str), limit: Duration) -> Result<Rows> {
        let table = tables.layout.sql(counted.1);
        // The server does not report new rows of a partitioned table.
        if is_partitioned(self, &table).await? {
            return Ok(Rows::Unknown);
        }
        let limit = limit.as_millis();
        let first = format!("SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}");
        Session::begin(self, &first).await?;
        let compared = async {
            let rows = row_counts::compare(self, tables, counted).await?;
            if rows.is_none() {
                row_counts::begin(self, tables, counted).await?;
            }
            Session::commit(self).await?;
            Ok(rows.unwrap_or(Rows::Unknown))
        };
        let compared: Result<Rows> = compared.await;
        let Err(error) = compared else { return compared };
        self.rollback().await;
        match error.kind {
            ErrorKind::Contended => Ok(Rows::Unknown),
            // The statement was cancelled because it took too long: the connection is still open.
            ErrorKind::Unreachable if !self.client.is_closed() => Ok(Rows::Unknown),
            // The table may have been dropped between the check and the count.
            ErrorKind::Refused => Ok(Rows::Gone),
            _ => Err(error),
        }
    }
}

/// Returns the target of a row, or why it is not tried.
async fn target<'a>(
    session: &Session,
    tables: &'a LaneTables,
    shape: &Shape,
    row: &'a RowRetry,
) -> Result<std::result::Result<Target<'a>, RetryOutcome>> {
    let is_held = ownership::lock_tables(session, tables, &[Role::Current, Role::History]).await?;
    if !is_held || steps::is_form_missing(session, tables, shape).await? {
        return Ok(Err(RetryOutcome::Waits {
            reason: "its table is taken over or changed with the next chunk: repeat then".to_owned(),
        }));
    }
    let schema = &row.arrival.chunk.manifest.content.schema;
    let mapping = shape.mapping(schema, ChunkNumber::of(&row.arrival), &tables.layout);
    let target = Target::new(session, tables, shape, schema, mapping).await?;
    Ok(Ok(target.row_at(row.entry.ordinal.unwrap_or(0))))
}

impl FeedRows for Session {
    type Freed = FreedColumns;

    /// Creates the staging table, which the rollback of a transaction would drop.
    async fn prepare_rows(
        &mut self,
        tables: &LaneTables,
        shape: &Shape,
        schema: &RowSchema,
        chunk_number: ChunkNumber,
    ) -> Result<()> {
        let layout = &tables.layout;
        if !layout.mode.keeps_current() {
            return Ok(());
        }
        let mapping = shape.mapping(schema, chunk_number, layout);
        stage(self, layout, &tables.lane, shape, &mapping).await
    }

    async fn try_row(&self, tables: &LaneTables, shape: &Shape, row: &RowRetry) -> Result<TryOutcome> {
        let target = match target(self, tables, shape, row).await? {
            Ok(target) => target,
            Err(outcome) => return Ok(TryOutcome::Not(outcome)),
        };
        let (refused, _) = target.store(self, &[(0, &row.arrival)], false).await?;
        Ok(match refused.into_iter().next() {
            None => TryOutcome::Stored(target.net()),
            Some(refused) => TryOutcome::Refused(RefusedRow {
                reason: refused.reason,
                is_retryable: refused.is_retryable,
            }),
        })
    }

    /// Constraints that are checked at the end need no column to be freed.
    async fn columns_to_free(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
    ) -> Result<Option<Vec<FreedColumns>>> {
        let columns = match target(self, tables, shape, row).await? {
            Ok(target) => columns_to_free(self, tables, target.key()).await?,
            Err(_) => None,
        };
        Ok(Some(columns.unwrap_or_default()))
    }

    async fn free_unique_values(
        &self,
        tables: &LaneTables,
        shape: &Shape,
        row: &RowRetry,
        columns: &[FreedColumns],
    ) -> Result<bool> {
        match target(self, tables, shape, row).await? {
            Ok(target) => target.free_unique_values(self, &row.arrival, columns).await,
            Err(_) => Ok(false),
        }
    }

    async fn begin_set(&self) -> Result<()> {
        self.run("SAVEPOINT together; SET CONSTRAINTS ALL DEFERRED").await
    }

    async fn keep_set(&self) -> Result<bool> {
        if self.run(IMMEDIATE).await.is_err() {
            return Ok(false);
        }
        self.run("RELEASE SAVEPOINT together").await?;
        Ok(true)
    }

    async fn undo_set(&self) -> Result<()> {
        self.run(&format!(
            "ROLLBACK TO SAVEPOINT together; RELEASE SAVEPOINT together; {IMMEDIATE}"
        ))
        .await
    }
}

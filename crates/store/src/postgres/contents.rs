//! Reads the rows of feeds' tables in one read-only transaction.

use std::borrow::Cow;
use std::pin::pin;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;

use super::failure;
use super::session::{Pool, Session};
use crate::bookkeeping::{LaneLock, lanes};
use crate::chunk_number::ChunkNumber;
use crate::contents::{Contents, LaneContents, RowVisitor, StoredRow, comparable};
use crate::error::Result;
use crate::table::KEY;

/// One snapshot. The transaction waits while another store is read, and tables may be large.
const BEGIN: &str = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; \
     BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The rows of a store in PostgreSQL. The account needs `SELECT` on `slacktide.lanes` and on the feeds' tables.
pub struct PostgresContents {
    session: Session,
}

impl PostgresContents {
    /// Connects, and begins a read-only transaction.
    ///
    /// # Errors
    /// If the URL cannot be used, or the server refuses.
    pub async fn open(url: &str) -> Result<Self> {
        let session = Pool::new(url)?.connect().await?;
        session.run(BEGIN).await?;
        Ok(Self { session })
    }

    async fn has_key_column(&self, table: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute \
             WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped)";
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let row = self.session.client.query_one(sql, &[&table, &KEY]).await;
        row.map_err(fail)?.try_get(0).map_err(fail)
    }
}

#[async_trait]
impl Contents for PostgresContents {
    async fn lanes(&mut self) -> Result<Vec<LaneContents>> {
        let mut all = Vec::new();
        for lane in lanes::list(&self.session).await? {
            let record = lanes::read(&self.session, &lane, LaneLock::Free).await?;
            all.extend(record.and_then(|record| LaneContents::of(lane, &record)));
        }
        Ok(all)
    }

    async fn rows(&mut self, lane: &LaneContents, visit: &mut RowVisitor<'_>) -> Result<()> {
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let has_key_column = self.has_key_column(&lane.table).await?;
        let sql = lane.select(has_key_column, |column| format!("CAST({column} AS text)"));
        let parameters: [i32; 0] = [];
        let rows = self
            .session
            .client
            .query_raw(sql.as_str(), parameters)
            .await
            .map_err(fail)?;
        let (mut rows, mut key) = (pin!(rows), Vec::new());
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            let epoch: i32 = row.try_get(0).map_err(fail)?;
            let number: i64 = row.try_get(1).map_err(fail)?;
            let chunk_number = ChunkNumber {
                epoch: u32::try_from(epoch).unwrap_or(0),
                number: u64::try_from(number).unwrap_or(0),
            };
            let ordinal = lane.is_history.then(|| row.try_get::<_, i64>(2)).transpose();
            let is_key = has_key_column && !lane.is_history;
            let stored = is_key.then(|| row.try_get::<_, Option<&[u8]>>(2)).transpose();
            let mut values = Vec::with_capacity(lane.columns.len());
            for (index, column) in lane.columns.iter().enumerate() {
                let text: Option<&str> = row.try_get(index + 3).map_err(fail)?;
                values.push(text.map(|text| comparable(&column.kind, Cow::Borrowed(text))));
            }
            let identity = (stored.map_err(fail)?.flatten(), ordinal.map_err(fail)?);
            lane.pack_row_key(chunk_number, identity, &values, &mut key)?;
            visit(&StoredRow {
                key: &key,
                chunk_number,
                values: &values,
            });
        }
        Ok(())
    }
}

//! Identity, chunks stored again and row counts: their tables, and their operations on a connection.

use std::time::Duration;

use async_trait::async_trait;
use schemas::name::Lane;
use schemas::receipt::StoreId;

use super::PostgresStore;
use super::session::Session;
use super::table_lock::make_unless;
use crate::bookkeeping::{refill, row_counts};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::Database;
use crate::port::Approval;
use crate::refill::{Identity, Refill, RowCount};

/// Tables and columns added by an upgrade.
const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide.store (
    singleton boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    id text NOT NULL, created_at timestamptz NOT NULL, replaces text NOT NULL);
CREATE TABLE IF NOT EXISTS slacktide.declarations (
    declared_at timestamptz NOT NULL, declaration text NOT NULL, actor text NOT NULL, reason text NOT NULL);
ALTER TABLE slacktide.ledger ADD COLUMN IF NOT EXISTS rows_net bigint;
ALTER TABLE slacktide.tables ADD COLUMN IF NOT EXISTS base_rows bigint;
";

const TABLES_EXIST_SQL: &str = "SELECT to_regclass('slacktide.store') IS NOT NULL AND to_regclass('slacktide.declarations') IS NOT NULL \
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.ledger') AND attname = 'rows_net') \
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.tables') AND attname = 'base_rows')";

/// Creates the bookkeeping and the identity.
pub(super) async fn prepare(session: &Session) -> Result<()> {
    make_unless(session, TABLES_EXIST_SQL, TABLES_SQL).await?;
    refill::make_identity(session).await
}

impl PostgresStore {
    pub(super) async fn counted_rows(&self, limit: Duration) -> Result<Vec<RowCount>> {
        let session = self.pool.take().await?;
        let done = row_counts::count(&*session, &self.options, Database::Postgres, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    pub(super) async fn identified(&self) -> Result<Identity> {
        let session = self.pool.take().await?;
        let done = refill::identity(&*session).await;
        self.pool.release(session, &done).await;
        done
    }
}

#[async_trait]
impl Refill for PostgresStore {
    async fn mark_awaited(&self, lane: &Lane, from: ChunkNumber, to: ChunkNumber) -> Result<u64> {
        let session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, lane);
        let done = refill::mark_awaited(&*session, &tables, from, to).await;
        let done = Self::ended(&session, done).await;
        self.pool.release(session, &done).await;
        self.forget(lane);
        done
    }

    async fn awaited(&self, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
        let session = self.pool.take().await?;
        let done = refill::awaited(&*session, lane, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn mark_stored(&self, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
        let session = self.pool.take().await?;
        let done = refill::mark_stored(&*session, lane, chunk_number).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn accept_row_count(&self, lane: &Lane, by: Option<&Approval>) -> Result<()> {
        let session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, lane);
        let done = Self::ended(&session, row_counts::accept(&*session, &tables, by).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn replace(&self, stores: &[StoreId], by: &Approval) -> Result<Identity> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, refill::replace(&*session, stores, by).await).await;
        self.pool.release(session, &done).await;
        done
    }
}

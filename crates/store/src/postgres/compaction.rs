//! Folded ledger entries: the upgrade, and the operation.

use std::collections::BTreeMap;

use schemas::name::Lane;

use super::PostgresStore;
use super::session::Session;
use super::table_lock::make_unless;
use crate::bookkeeping::compaction;
use crate::chunk_number::ChunkNumber;
use crate::compaction::LedgerRetention;
use crate::error::Result;

/// The column of folded entries, added by an upgrade.
const TABLES_SQL: &str = "ALTER TABLE slacktide.lanes ADD COLUMN IF NOT EXISTS compaction text;";

const TABLES_EXIST_SQL: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.lanes') \
     AND attname = 'compaction')";

pub(super) async fn prepare(session: &Session) -> Result<()> {
    make_unless(session, TABLES_EXIST_SQL, TABLES_SQL).await
}

impl PostgresStore {
    pub(super) async fn compacted(
        &self,
        retention: &LedgerRetention,
        covered: &BTreeMap<Lane, ChunkNumber>,
    ) -> Result<u64> {
        let session = self.pool.take().await?;
        let done = compaction::compact(&*session, retention, covered).await;
        let done = Self::ended(&session, done).await;
        self.pool.release(session, &done).await;
        done
    }
}

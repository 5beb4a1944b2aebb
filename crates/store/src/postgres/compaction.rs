//! Folded ledger entries: the upgrade, and the operation.

use std::collections::BTreeMap;

use schemas::name::Lane;

use super::session::Session;
use super::{PostgresStore, failure, tables};
use crate::bookkeeping::compaction;
use crate::compaction::LedgerRetention;
use crate::error::Result;
use crate::merge::ChunkNumber;

/// The column of folded entries, added by an upgrade.
const TABLES_SQL: &str = "ALTER TABLE slacktide.lanes ADD COLUMN IF NOT EXISTS compaction text;";

const TABLES_EXIST_SQL: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.lanes') \
     AND attname = 'compaction')";

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let row = pg(session.client.query_one(TABLES_EXIST_SQL, &[]).await)?;
    if pg(row.try_get::<_, bool>(0))? {
        return Ok(());
    }
    let lock = tables::LOCK;
    session
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({lock}); {TABLES_SQL} COMMIT"
        ))
        .await
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

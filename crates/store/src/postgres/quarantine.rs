//! The quarantine: its tables, and its operations on a connection.

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::name::Lane;

use super::PostgresStore;
use super::session::Session;
use super::table_lock::make_unless;
use crate::arrival::Arrival;
use crate::bookkeeping::quarantine::{self, queries, retry, waiting};
use crate::error::Result;
use crate::layout::Database;
use crate::ledger::Judgement;
use crate::quarantine::{Content, Decision, Entry, EntryFilter, Quarantine, QuarantineCount, RetryOutcome};

/// Columns and a table added by an upgrade.
const TABLES_SQL: &str = "
ALTER TABLE slacktide.quarantine
    ADD COLUMN IF NOT EXISTS kind text, ADD COLUMN IF NOT EXISTS ended text, ADD COLUMN IF NOT EXISTS ended_digest text,
    ADD COLUMN IF NOT EXISTS ended_by text, ADD COLUMN IF NOT EXISTS ended_reason text,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz, ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS retry_at timestamptz;
CREATE INDEX IF NOT EXISTS quarantine_waiting ON slacktide.quarantine (recipient, feed, retry_at) WHERE retry_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS slacktide.quarantine_manifests (
    recipient text NOT NULL, feed text NOT NULL, epoch integer NOT NULL, number bigint NOT NULL,
    manifest text NOT NULL,
    PRIMARY KEY (recipient, feed, epoch, number));
";

/// Whether all of them exist: only a table's owner may try to add columns.
const TABLES_EXIST_SQL: &str = "SELECT to_regclass('slacktide.quarantine_manifests') IS NOT NULL AND (SELECT count(*) = 8 \
     FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.quarantine') AND NOT attisdropped \
     AND attname IN ('kind', 'ended', 'ended_digest', 'ended_by', 'ended_reason', 'ended_at', 'tries', 'retry_at'))";

pub(super) async fn prepare(session: &Session) -> Result<()> {
    make_unless(session, TABLES_EXIST_SQL, TABLES_SQL).await
}

impl PostgresStore {
    /// Ends a failed transaction; the connection is dropped if that fails too.
    pub(super) async fn ended<T>(session: &Session, done: Result<T>) -> Result<T> {
        if done.is_err() {
            session.rollback().await;
        }
        done
    }
}

#[async_trait]
impl Quarantine for PostgresStore {
    async fn entries(&self, wanted: &EntryFilter) -> Result<Vec<Entry>> {
        let session = self.pool.take().await?;
        let done = queries::entries(&*session, wanted).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>> {
        let session = self.pool.take().await?;
        let done = queries::content(&*session, lane, id).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn judge(&self, arrival: &Arrival) -> Result<Judgement> {
        let session = self.pool.take().await?;
        let done = retry::judge(&*session, arrival).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let mut session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, lane);
        let done = retry::retry_rows(&mut *session, &tables, ids, by).await;
        let done = Self::ended(&session, done).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn finish(&self, arrival: &Arrival, id: &str, by: &Decision) -> Result<RetryOutcome> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, retry::finish(&*session, arrival, id, by).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn record_reason(&self, lane: &Lane, id: &str, reason: &str) -> Result<()> {
        let session = self.pool.take().await?;
        let done = quarantine::record_reason(&*session, lane, id, reason).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn discard(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, retry::discard(&*session, lane, ids, by).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn retry_waiting(&self, now: Timestamp) -> Result<u64> {
        let mut session = self.pool.take().await?;
        let done = async {
            let mut stored = 0;
            for lane in waiting::due(&*session, now).await? {
                let tables = self.options.tables(Database::Postgres, &lane);
                let retried = waiting::retry(&mut *session, &tables, false, now).await?;
                stored += retried.released.len() as u64;
            }
            Ok(stored)
        };
        let done = done.await;
        let done = Self::ended(&session, done).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn counts(&self) -> Result<Vec<QuarantineCount>> {
        let session = self.pool.take().await?;
        let done = queries::counts(&*session).await;
        self.pool.release(session, &done).await;
        done
    }
}

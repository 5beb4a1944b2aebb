//! The lock under which tables are created and changed, so that concurrent pollers do it once.

use super::failure;
use super::session::Session;
use crate::error::Result;

/// Number of the advisory lock, `slacktid` in ASCII.
const LOCK: i64 = 0x736c_6163_6b74_6964;

/// Returns the first statements of a transaction that changes tables.
pub(super) fn locked() -> String {
    format!("SELECT pg_advisory_xact_lock({LOCK}); SET LOCAL statement_timeout = 0")
}

/// Creates or changes bookkeeping tables, unless the query `exists` returns that it was done: an account without CREATE
/// may use existing tables.
pub(super) async fn make_unless(session: &Session, exists: &str, sql: &str) -> Result<()> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let row = session.client.query_one(exists, &[]).await.map_err(fail)?;
    if row.try_get::<_, bool>(0).map_err(fail)? {
        return Ok(());
    }
    session
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {sql} COMMIT"
        ))
        .await
}

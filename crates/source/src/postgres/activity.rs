//! The looks behind the fence: who has a transaction open.
//!
//! Sessions are looked at before prepared transactions, in two statements: a transaction that is
//! prepared in between shows in both, never in neither.

use gate::permit::Permit;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::session::Turn;
use crate::error::{Error, ErrorKind, Result};
use crate::fence::{OpenTransaction, TimeLook, TransactionId};

/// Sessions of this database without our own. `since` of a session that works but shows no
/// transaction yet is its statement's start. Server processes that write no rows are left out.
const SESSIONS: &str = "SELECT \
    (extract(epoch FROM statement_timestamp()) * 1000000)::int8, a.pid, \
    (extract(epoch FROM COALESCE(a.xact_start, CASE WHEN a.state <> 'idle' THEN a.query_start END)) * 1000000)::int8, \
    COALESCE(a.usename::text, ''), COALESCE(a.application_name, ''), \
    a.pid IS NOT NULL AND a.backend_type IS NULL, COALESCE(a.state = 'disabled', false), a.backend_xid::text \
    FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid <> pg_backend_pid() \
    AND (a.datname = current_database() OR a.datname IS NULL) \
    AND NOT (a.usename IS NOT DISTINCT FROM current_user AND a.application_name = 'slacktide') \
    AND (a.backend_type IS NULL OR a.backend_type NOT IN ('autovacuum launcher', 'autovacuum worker', \
    'archiver', 'background writer', 'checkpointer', 'io worker', 'logger', \
    'logical replication launcher', 'slotsync worker', 'startup', 'walreceiver', 'walsender', \
    'walsummarizer', 'walwriter'))";

const PREPARED: &str = "SELECT gid, (extract(epoch FROM prepared) * 1000000)::int8, owner::text, transaction::text \
    FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()";

/// Looks for open transactions, but those of `read_only_roles`.
pub(super) async fn look(
    turn: &mut Turn<'_>,
    permit: &Permit,
    read_only_roles: &[String],
) -> Result<TimeLook> {
    let rows = turn.query(permit, SESSIONS, &[]).await?;
    let mut at = None;
    let mut open = Vec::new();
    for row in &rows {
        let session = session(row).ok_or_else(unreadable)?;
        at = Some(session.at);
        if session.hidden || session.unobserved {
            return Err(blind(&session));
        }
        if let Some(transaction) = session.transaction
            && !read_only_roles.contains(&transaction.role)
        {
            open.push(transaction);
        }
    }
    for row in &turn.query(permit, PREPARED, &[]).await? {
        open.push(prepared(row).ok_or_else(unreadable)?);
    }
    Ok(TimeLook {
        at: at.ok_or_else(unreadable)?,
        open,
    })
}

struct Session {
    at: Timestamp,
    hidden: bool,
    unobserved: bool,
    role: String,
    transaction: Option<OpenTransaction>,
}

fn session(row: &Row) -> Option<Session> {
    let pid: Option<i32> = row.try_get(1).ok()?;
    let since: Option<i64> = row.try_get(2).ok()?;
    let role: String = row.try_get(3).ok()?;
    let application: String = row.try_get(4).ok()?;
    let xid: Option<String> = row.try_get(7).ok()?;
    let transaction = match pid.zip(since) {
        Some((pid, started_us)) => Some(OpenTransaction {
            id: TransactionId::Session { pid, started_us },
            xid: xid.and_then(|xid| xid.parse().ok()),
            role: role.clone(),
            application,
            since: Timestamp::from_microsecond(started_us).ok()?,
        }),
        None => None,
    };
    Some(Session {
        at: Timestamp::from_microsecond(row.try_get(0).ok()?).ok()?,
        hidden: row.try_get(5).ok()?,
        unobserved: row.try_get(6).ok()?,
        role,
        transaction,
    })
}

fn prepared(row: &Row) -> Option<OpenTransaction> {
    let name: String = row.try_get(0).ok()?;
    let xid: String = row.try_get(3).ok()?;
    Some(OpenTransaction {
        // A name is given again; with the number it is one transaction's.
        id: TransactionId::Prepared(format!("{xid} {name}")),
        xid: Some(xid.parse().ok()?),
        role: row.try_get(2).ok()?,
        application: name,
        since: Timestamp::from_microsecond(row.try_get(1).ok()?).ok()?,
    })
}

/// A look that misses a transaction would open the fence instead of closing it.
fn blind(session: &Session) -> Error {
    if session.hidden {
        return Error::new(
            ErrorKind::Refused,
            "the account cannot see the transactions of others, so late commits would be skipped",
            "GRANT pg_read_all_stats to it; `slacktide doctor` prints the statement",
        );
    }
    Error::new(
        ErrorKind::Refused,
        format!(
            "role {} runs with track_activities off, so its transactions cannot be seen",
            session.role
        ),
        "set track_activities = on for it, or declare cursor_set_by = \"application\" with a lag",
    )
}

fn unreadable() -> Error {
    Error::new(
        ErrorKind::Database,
        "pg_stat_activity gave what this version does not understand",
        "report the version of the database",
    )
}

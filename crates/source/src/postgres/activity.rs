//! The open transactions of other sessions, by which the fence is taken.
//!
//! Sessions are read before prepared transactions, in two statements: a transaction that is prepared in between is in both.
//!
//! One snapshot serves all feeds of a connection for a second ([`observe_after`]):
//!
//! - A time fence is a lower bound while the source's clock goes forward, so it stays valid. The clocks are compared as of the
//!   snapshot.
//! - A maximum must be read before the snapshot that it waits for. So a feed with a new maximum takes a new snapshot
//!   ([`observe`]), which others may use. Any later snapshot can settle an earlier maximum.
//!
//! No feed uses one snapshot twice: a single feed takes a new one with each fence.

pub(super) mod snapshots;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use tokio_postgres::Row;

use self::snapshots::Activity;
use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::fence::{OpenTransaction, TransactionId, TransactionSnapshot};

/// How long a snapshot serves other feeds. This delays rows by at most as much.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// Sessions of this database without the agent's. `since` of an active session without a transaction start is its statement's
/// start. Server processes that write no rows are excluded.
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

/// Returns the last snapshot if it began after `after` and is not too old, or a new one.
///
/// # Errors
/// Those of [`observe`].
pub(super) async fn observe_after(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    read_only_roles: &[String],
    after: Instant,
) -> Result<Arc<Activity>> {
    let last = locked.connection()?.activities.last.clone();
    let serves = |one: &Arc<Activity>| one.began > after && one.ended.elapsed() < SHARED_FOR;
    match last.filter(serves) {
        Some(last) => Ok(last),
        None => observe(locked, permit, read_only_roles).await,
    }
}

/// Takes a new snapshot of open transactions, without those of `read_only_roles`.
///
/// # Errors
/// `Refused` if a transaction may be hidden.
pub(super) async fn observe(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    read_only_roles: &[String],
) -> Result<Arc<Activity>> {
    let began = Instant::now();
    let mut seen = ask(locked, permit, read_only_roles).await?;
    let (ended, agent) = (Instant::now(), Timestamp::now());
    let activities = &mut locked.connection_mut()?.activities;
    let steady = |at: Instant| at.saturating_duration_since(activities.connected);
    activities
        .prepared
        .trace(seen.at, (steady(began), steady(ended)), &mut seen.open);
    let activity = Arc::new(Activity {
        seen,
        began,
        ended,
        agent,
    });
    activities.last = Some(Arc::clone(&activity));
    Ok(activity)
}

async fn ask(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    read_only_roles: &[String],
) -> Result<TransactionSnapshot> {
    let rows = locked.query(permit, SESSIONS, &[]).await?;
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
    for row in &locked.query(permit, PREPARED, &[]).await? {
        open.push(prepared(row).ok_or_else(unreadable)?);
    }
    Ok(TransactionSnapshot {
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
            origin: None,
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
        // A name may be reused; number and name together identify one transaction.
        id: TransactionId::Prepared(format!("{xid} {name}")),
        xid: Some(xid.parse().ok()?),
        role: row.try_get(2).ok()?,
        application: name,
        since: Timestamp::from_microsecond(row.try_get(1).ok()?).ok()?,
        origin: None,
    })
}

/// Creates the error of a snapshot that may miss a transaction. Such a snapshot would move the fence too far.
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
        "unexpected result of pg_stat_activity",
        "report the version of the database",
    )
}

//! The identity of the database behind a connection, as manifests contain it. Shared by all feeds of the connection.

pub(super) mod identity;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gate::permit::Permit;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::{SourceIdentity, fingerprint};
use tokio_postgres::types::Type;

use self::identity::{Log, ServerIdentity};
use super::catalogue::unexpected_result;
use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result};

/// How long the feeds of a source share a log position, if no transactions were observed.
const LOG_EVERY: Duration = Duration::from_millis(200);

/// How long they share the list of tables.
const TABLES_EVERY: Duration = Duration::from_secs(5);

/// What one feed needs.
pub(super) struct MarkQuery<'a> {
    /// The log position must be read after this. `None`: a recent one is valid.
    pub(super) log_after: Option<Instant>,
    /// Quoted names of its tables.
    pub(super) tables: &'a [String],
    /// The tables must be read after this.
    pub(super) tables_after: Instant,
}

/// Returns the database's identity.
///
/// # Errors
/// Those of the statements.
pub(super) async fn ask(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    asked: &MarkQuery<'_>,
) -> Result<SourceIdentity> {
    let server = server_identity(locked, permit).await?;
    let log = log(locked, permit, asked.log_after).await?;
    Ok(SourceIdentity {
        system: server.system,
        database: Some(server.database),
        timeline: log.as_ref().map(|(timeline, _)| *timeline),
        written: log.map(|(_, written)| written),
        tables: tables(locked, permit, asked.tables, asked.tables_after).await?,
    })
}

/// Whether the server lacks a function, or denies it to the account.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Database
    )
}

/// Reads the identifiers of server and database, once per connection.
async fn server_identity(locked: &mut SessionGuard<'_>, permit: &Permit) -> Result<ServerIdentity> {
    if let Some(server) = &locked.connection()?.identity.server {
        return Ok(server.clone());
    }
    let server = query_server_identity(locked, permit).await?;
    locked.connection_mut()?.identity.server = Some(server.clone());
    Ok(server)
}

/// Returns the timeline and the log position, or `None` if the server does not report them.
async fn log(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    after: Option<Instant>,
) -> Result<Option<(u32, Cursor)>> {
    let serves = |asked: Instant| match after {
        Some(after) => asked >= after,
        None => asked.elapsed() < LOG_EVERY,
    };
    match &locked.connection()?.identity.log {
        Some(Log::Unavailable) => return Ok(None),
        Some(Log::At(asked, log)) if serves(*asked) => return Ok(Some(log.clone())),
        _ => {}
    }
    let asked = Instant::now();
    let (answer, log) = match query_log(locked, permit).await {
        Ok(log) => (Some(log.clone()), Log::At(asked, log)),
        Err(error) if is_refusal(&error) => (None, Log::Unavailable),
        Err(error) => return Err(error),
    };
    locked.connection_mut()?.identity.log = Some(log);
    Ok(answer)
}

async fn query_server_identity(locked: &mut SessionGuard<'_>, permit: &Permit) -> Result<ServerIdentity> {
    let rows = locked
        .query(
            permit,
            "SELECT d.oid::int8, has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') \
             FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
            &[],
        )
        .await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            ErrorKind::Database,
            "the database reports no identity",
            "it is retried",
        )
    })?;
    let read = || -> std::result::Result<(i64, bool), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    let (database, may_ask) = read().map_err(|error| unexpected_result(&error))?;
    let mut system = None;
    if may_ask {
        let asked = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
        match locked.query(permit, asked, &[]).await {
            Ok(rows) => {
                let identifier = rows.first().and_then(|row| row.try_get::<_, String>(0).ok());
                system = identifier.map(|identifier| fingerprint(&["postgresql", &identifier]));
            }
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ServerIdentity {
        system,
        database: fingerprint(&["postgresql database", &database.to_string()]),
    })
}

/// Reads the timeline, and how many bytes of the log are durable: a crash does not lose them.
async fn query_log(locked: &mut SessionGuard<'_>, permit: &Permit) -> Result<(u32, Cursor)> {
    let rows = locked
        .query(
            permit,
            "SELECT ('x' || substr(pg_catalog.pg_walfile_name(l.at), 1, 8))::bit(32)::int8, (l.at - '0/0'::pg_lsn)::int8 \
             FROM (SELECT pg_catalog.pg_current_wal_flush_lsn() AS at) l",
            &[],
        )
        .await?;
    let unknown = || {
        Error::new(
            ErrorKind::Database,
            "the server does not report its log position",
            "it is retried",
        )
    };
    let row = rows.first().ok_or_else(unknown)?;
    let read = || -> std::result::Result<(i64, i64), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    let (timeline, log) = read().map_err(|error| unexpected_result(&error))?;
    let written = Cursor(vec![Scalar::Int(durable_position(log))]);
    Ok((u32::try_from(timeline).map_err(|_| unknown())?, written))
}

/// PURE: returns the log position below which a crash loses nothing. The flushed log may end within a record, which recovery
/// truncates. The same amount is subtracted everywhere, so a later reading is never smaller.
fn durable_position(log: i64) -> i64 {
    const LONGEST_RECORD: i64 = 8 * 8_192;
    log.saturating_sub(LONGEST_RECORD).max(0)
}

/// Returns the tables of one feed, from the last reading if it is recent enough. Otherwise those of all feeds are read at once.
async fn tables(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    names: &[String],
    after: Instant,
) -> Result<BTreeMap<String, String>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = &mut locked.connection_mut()?.identity.tables;
    known.names.extend(names.iter().cloned());
    let serves = |(asked, _): &(Instant, _)| *asked >= after && asked.elapsed() < TABLES_EVERY;
    if !known.marks.as_ref().is_some_and(serves) {
        let (asked, wanted) = (Instant::now(), known.names.iter().cloned().collect());
        let marks = query_tables(locked, permit, wanted).await?;
        locked.connection_mut()?.identity.tables.marks = Some((asked, marks));
    }
    let read = locked.connection()?.identity.tables.marks.as_ref();
    let marks = |name: &String| read?.1.get(name).cloned();
    Ok(names.iter().filter_map(marks).collect())
}

/// Reads the fingerprints of names and tables. Skips names without a table.
async fn query_tables(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    names: Vec<String>,
) -> Result<BTreeMap<String, (String, String)>> {
    let rows = locked
        .query(
            permit,
            "SELECT u.name, to_regclass(u.name)::oid::int8 FROM unnest($1) AS u(name) \
             WHERE to_regclass(u.name) IS NOT NULL",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<_, tokio_postgres::Error> {
        let (name, oid): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let marks = (
            fingerprint(&["table", &name]),
            fingerprint(&["table", &name, &oid.to_string()]),
        );
        Ok((name, marks))
    };
    let read: std::result::Result<_, _> = rows.iter().map(read).collect();
    read.map_err(|error| unexpected_result(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_that_ends_with_a_page_may_end_within_a_record() {
        assert_eq!(durable_position(8_192 * 100), 8_192 * 92);
        assert_eq!(durable_position(5), 0);
        // Also across the end of a page: what is written later is never behind.
        for log in 8_192 * 100 - 3..8_192 * 100 + 3 {
            assert!(durable_position(log) < durable_position(log + 1), "{log}");
        }
    }
}

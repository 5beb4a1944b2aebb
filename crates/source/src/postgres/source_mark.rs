//! Which database a connection leads to, as manifests name it: asked for all feeds of the connection together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gate::permit::Permit;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::{SourceMark, fingerprint};
use tokio_postgres::types::Type;

use super::catalogue::odd;
use super::session::Turn;
use crate::error::{Error, ErrorKind, Result};

/// How long the feeds of a source share what was told of its log, where no transactions were looked at.
const LOG_EVERY: Duration = Duration::from_millis(200);

/// How long they share which tables there are.
const TABLES_EVERY: Duration = Duration::from_secs(5);

/// What was asked on a connection, for all feeds.
#[derive(Debug, Default)]
pub(super) struct Identity {
    told: Option<Told>,
    log: Option<Log>,
    tables: Tables,
}

#[derive(Debug, Clone)]
struct Told {
    system: Option<String>,
    database: String,
}

#[derive(Debug)]
enum Log {
    At(Instant, (u32, Cursor)),
    /// The server does not tell.
    Untold,
}

#[derive(Debug, Default)]
struct Tables {
    /// Quoted names of the tables that feeds read.
    names: BTreeSet<String>,
    /// When they were asked for, and what was told.
    told: Option<(Instant, TableMarks)>,
}

/// By name the fingerprints of the name and of the table.
type TableMarks = BTreeMap<String, (String, String)>;

/// What one feed wants to know.
pub(super) struct Asked<'a> {
    /// How much was written is to be asked after this; `None`: a short time ago will do.
    pub(super) log_after: Option<Instant>,
    /// Quoted names of its tables.
    pub(super) tables: &'a [String],
    /// Which tables there are is to be asked after this.
    pub(super) tables_after: Instant,
}

/// Returns which database this is.
///
/// # Errors
/// Those of the statements.
pub(super) async fn ask(turn: &mut Turn<'_>, permit: &Permit, asked: &Asked<'_>) -> Result<SourceMark> {
    let told = told(turn, permit).await?;
    let log = log(turn, permit, asked.log_after).await?;
    Ok(SourceMark {
        system: told.system,
        database: Some(told.database),
        timeline: log.as_ref().map(|(timeline, _)| *timeline),
        written: log.map(|(_, written)| written),
        tables: tables(turn, permit, asked.tables, asked.tables_after).await?,
    })
}

/// The server has no such function, or keeps it from the account.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Database
    )
}

/// What names server and database, asked once on a connection.
async fn told(turn: &mut Turn<'_>, permit: &Permit) -> Result<Told> {
    if let Some(told) = &turn.live()?.identity.told {
        return Ok(told.clone());
    }
    let told = ask_once(turn, permit).await?;
    turn.live_mut()?.identity.told = Some(told.clone());
    Ok(told)
}

/// The timeline and how much was written; `None` where the server does not tell.
async fn log(turn: &mut Turn<'_>, permit: &Permit, after: Option<Instant>) -> Result<Option<(u32, Cursor)>> {
    let serves = |asked: Instant| match after {
        Some(after) => asked >= after,
        None => asked.elapsed() < LOG_EVERY,
    };
    match &turn.live()?.identity.log {
        Some(Log::Untold) => return Ok(None),
        Some(Log::At(asked, log)) if serves(*asked) => return Ok(Some(log.clone())),
        _ => {}
    }
    let asked = Instant::now();
    let (answer, log) = match ask_log(turn, permit).await {
        Ok(log) => (Some(log.clone()), Log::At(asked, log)),
        Err(error) if is_refusal(&error) => (None, Log::Untold),
        Err(error) => return Err(error),
    };
    turn.live_mut()?.identity.log = Some(log);
    Ok(answer)
}

async fn ask_once(turn: &mut Turn<'_>, permit: &Permit) -> Result<Told> {
    let rows = turn
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
            "the database does not name itself",
            "it is tried again",
        )
    })?;
    let read = || -> std::result::Result<(i64, bool), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    let (database, may_ask) = read().map_err(|error| odd(&error))?;
    let mut system = None;
    if may_ask {
        let asked = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
        match turn.query(permit, asked, &[]).await {
            Ok(rows) => {
                let identifier = rows.first().and_then(|row| row.try_get::<_, String>(0).ok());
                system = identifier.map(|identifier| fingerprint(&["postgresql", &identifier]));
            }
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Told {
        system,
        database: fingerprint(&["postgresql database", &database.to_string()]),
    })
}

/// The timeline, and how many bytes of the log are safe on disk: a crash takes none of them back.
async fn ask_log(turn: &mut Turn<'_>, permit: &Permit) -> Result<(u32, Cursor)> {
    let rows = turn
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
            "the server does not tell how much it has written",
            "it is tried again",
        )
    };
    let row = rows.first().ok_or_else(unknown)?;
    let read = || -> std::result::Result<(i64, i64), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    let (timeline, log) = read().map_err(|error| odd(&error))?;
    let written = Cursor(vec![Scalar::Int(surely_kept(log))]);
    Ok((u32::try_from(timeline).map_err(|_| unknown())?, written))
}

/// PURE: the place in the log below which nothing is lost in a crash. What is flushed may end within a record, which is then cut
/// off at its beginning. The same is taken off everywhere: two looks in their order never give less later.
fn surely_kept(log: i64) -> i64 {
    const LONGEST_RECORD: i64 = 8 * 8_192;
    log.saturating_sub(LONGEST_RECORD).max(0)
}

/// The tables of one feed, by the last answer if it is young enough; else those of all feeds are asked for at once.
async fn tables(
    turn: &mut Turn<'_>,
    permit: &Permit,
    names: &[String],
    after: Instant,
) -> Result<BTreeMap<String, String>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = &mut turn.live_mut()?.identity.tables;
    known.names.extend(names.iter().cloned());
    let serves = |(asked, _): &(Instant, _)| *asked >= after && asked.elapsed() < TABLES_EVERY;
    if !known.told.as_ref().is_some_and(serves) {
        let (asked, wanted) = (Instant::now(), known.names.iter().cloned().collect());
        let told = ask_tables(turn, permit, wanted).await?;
        turn.live_mut()?.identity.tables.told = Some((asked, told));
    }
    let told = turn.live()?.identity.tables.told.as_ref();
    let marks = |name: &String| told?.1.get(name).cloned();
    Ok(names.iter().filter_map(marks).collect())
}

/// By name, the fingerprints of the name and of the table; without names that no table has.
async fn ask_tables(
    turn: &mut Turn<'_>,
    permit: &Permit,
    names: Vec<String>,
) -> Result<BTreeMap<String, (String, String)>> {
    let rows = turn
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
    read.map_err(|error| odd(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_that_ends_with_a_page_may_end_within_a_record() {
        assert_eq!(surely_kept(8_192 * 100), 8_192 * 92);
        assert_eq!(surely_kept(5), 0);
        // Also over the end of a page: what was written later is never behind.
        for log in 8_192 * 100 - 3..8_192 * 100 + 3 {
            assert!(surely_kept(log) < surely_kept(log + 1), "{log}");
        }
    }
}

//! What is looked at beside the fence: whether the source is the one that was read before, whether its clock and its content
//! went back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::{SourceMark, fingerprint};
use tokio_postgres::types::Type;

use super::catalogue::odd;
use super::sequence::{self, Sequence};
use super::session::Turn;
use crate::backwards::{Greatest, beyond};
use crate::error::{Error, ErrorKind, Result};
use crate::fence::{ClockLook, ClockReading, SourceClock};
use crate::instant::TimeForm;
use crate::port::Standing;

/// What opening the feed found out for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Tables that the feed reads, quoted.
    pub(super) tables: Vec<String>,
    /// The sequence that fills the cursor.
    pub(super) sequence: Option<Sequence>,
    /// How the cursor holds times, where a fence is taken by them.
    pub(super) form: Option<TimeForm>,
}

/// A feed's clock: it outlives the feed's readers, so that a step while the source was not reached is found.
#[derive(Debug)]
pub(super) struct Clock {
    clock: Mutex<SourceClock>,
    began: Instant,
}

impl Clock {
    pub(super) fn new(margin: Duration) -> Self {
        Self {
            clock: Mutex::new(SourceClock::new(margin)),
            began: Instant::now(),
        }
    }
}

/// One feed's.
pub(super) struct Guard {
    facts: Facts,
    clock: Arc<Clock>,
    resolution: Duration,
    standings: Vec<Standing>,
    /// The tables, with the connection that told them, and when.
    tables: Option<(u64, Instant, BTreeMap<String, String>)>,
    /// The connection that the last fence was taken on.
    fenced_on: Option<u64>,
}

/// How long the feeds of a source share what was told of its log.
const LOG_EVERY: Duration = Duration::from_millis(200);

/// How often a feed's tables are looked at.
const TABLES_EVERY: Duration = Duration::from_secs(5);

/// What was asked on a connection, for all feeds.
#[derive(Debug, Default)]
pub(super) struct Identity {
    told: Option<Told>,
    log: Option<Log>,
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

impl Guard {
    pub(super) fn new(facts: Facts, clock: Arc<Clock>, resolution: Duration) -> Self {
        Self {
            facts,
            clock,
            resolution,
            standings: Vec::new(),
            tables: None,
            fenced_on: None,
        }
    }

    pub(super) fn stands_at(&mut self, standings: Vec<Standing>) {
        self.standings = standings;
    }

    /// What the cursor rounds times to, from now on.
    pub(super) fn round_to(&mut self, resolution: Duration) {
        self.resolution = resolution;
    }

    /// The steady clock.
    pub(super) fn steady(&self) -> Duration {
        self.clock.began.elapsed()
    }

    /// A fence is one connection's: behind another there may be another server.
    pub(super) fn admit(&self, turn: &Turn<'_>) -> Result<()> {
        let generation = turn.live()?.generation;
        if self.fenced_on.is_none_or(|fenced| fenced == generation) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            "the connection to the source was replaced",
            "the feed is opened again, and the source compared with what was read before",
        ))
    }

    /// Bounds a fence by what is known of the clock; gives the positions to be taken back, too.
    pub(super) fn clock(
        &self,
        source: Timestamp,
        began: Duration,
        below: Option<Timestamp>,
    ) -> (ClockReading, Vec<(Cursor, Cursor)>) {
        let reached = |position: &Cursor| self.facts.form?.reached(position.0.first()?);
        let look = ClockLook {
            source,
            agent: Timestamp::now(),
            steady: (began, self.steady()),
            position: self
                .standings
                .iter()
                .filter_map(|one| reached(&one.position))
                .max(),
            read_at: self.standings.iter().filter_map(|one| one.read_at).min(),
        };
        let mut clock = self.clock.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = clock.take(&look, below);
        let back = |position: &Cursor| {
            let again = reading.again.filter(|again| reached(position) >= Some(*again))?;
            let mut values = position.0.clone();
            *values.first_mut()? = self.facts.form?.before(again, self.resolution)?;
            Some((position.clone(), Cursor(values)))
        };
        let again = self
            .standings
            .iter()
            .filter_map(|one| back(&one.position))
            .collect();
        (reading, again)
    }

    /// Positions beyond everything that the source holds, by the greatest value of the first cursor column.
    pub(super) async fn beyond(
        &self,
        turn: &mut Turn<'_>,
        permit: &Permit,
        high: Option<&Scalar>,
    ) -> Result<Vec<Cursor>> {
        let mut given_out = None;
        if let Some(sequence) = self.facts.sequence.as_ref().filter(|one| one.is_readable) {
            given_out = sequence::last_value(turn, permit, sequence.oid).await?;
        }
        let greatest = Greatest {
            value: high,
            given_out,
            with_texts: false,
        };
        let positions: Vec<Cursor> = self.standings.iter().map(|one| one.position.clone()).collect();
        Ok(beyond(&positions, greatest))
    }

    /// Which database this is. Asked last: every row within the fence was committed before.
    pub(super) async fn identify(&mut self, turn: &mut Turn<'_>, permit: &Permit) -> Result<SourceMark> {
        let generation = turn.live()?.generation;
        let told = told(turn, permit).await?;
        let log = log(turn, permit).await?;
        let is_fresh =
            |(of, asked, _): &(u64, Instant, _)| *of == generation && asked.elapsed() < TABLES_EVERY;
        let tables = match self.tables.take().filter(is_fresh) {
            Some(known) => known,
            None => {
                let tables = tables(turn, permit, &self.facts.tables).await?;
                (generation, Instant::now(), tables)
            }
        };
        let mark = SourceMark {
            system: told.system,
            database: Some(told.database),
            timeline: log.as_ref().map(|(timeline, _)| *timeline),
            written: log.map(|(_, written)| written),
            tables: tables.2.clone(),
        };
        self.tables = Some(tables);
        self.fenced_on = Some(generation);
        Ok(mark)
    }
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

/// The timeline and how much was written, asked once for feeds that look at about the same time; none where the server
/// does not tell.
async fn log(turn: &mut Turn<'_>, permit: &Permit) -> Result<Option<(u32, Cursor)>> {
    match &turn.live()?.identity.log {
        Some(Log::Untold) => return Ok(None),
        Some(Log::At(asked, log)) if asked.elapsed() < LOG_EVERY => return Ok(Some(log.clone())),
        _ => {}
    }
    let (answer, log) = match ask_log(turn, permit).await {
        Ok(log) => (Some(log.clone()), Log::At(Instant::now(), log)),
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

async fn tables(turn: &mut Turn<'_>, permit: &Permit, names: &[String]) -> Result<BTreeMap<String, String>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = names.to_vec();
    let rows = turn
        .query(
            permit,
            "SELECT u.name, to_regclass(u.name)::oid::int8 FROM unnest($1) AS u(name) \
             WHERE to_regclass(u.name) IS NOT NULL",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<(String, String), tokio_postgres::Error> {
        let (name, oid): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((
            fingerprint(&["table", &name]),
            fingerprint(&["table", &name, &oid.to_string()]),
        ))
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

//! Rows into the tables: a bulk at a time, each under a savepoint; what is refused is sought by halves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowError;

use super::super::failure::Why;
use super::super::session::Session;
use super::super::{failure, fit, records};
use super::copy::{Bulk, More, copy};
use super::names::{How, Names};
use super::stage::{has_tombstones, staged};
use super::taken::{Taken, upserted};
use super::traits::{Merge, Traits, traits};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::LaneTables;
use crate::merge::{Fold, Version, every};
use crate::port::Arrival;
use crate::quarantine::LEFT_OUT;
use crate::table::shape::{Routes, Shape};
use crate::table::{EPOCH, NUMBER, ORDINAL};

/// A row that was refused.
pub(in crate::postgres) struct Refused {
    pub(in crate::postgres) arrival: usize,
    pub(in crate::postgres) ordinal: u64,
    pub(in crate::postgres) reason: String,
    pub(in crate::postgres) bytes: Vec<u8>,
    /// Another row may make room for it.
    pub(in crate::postgres) waits: bool,
}

/// Rows that share their columns, on their way.
pub(in crate::postgres) struct Target<'a> {
    lane: &'a Lane,
    schema: &'a RowSchema,
    names: Names,
    current: Option<Current>,
    history: Option<String>,
    /// Whether rows of this lane may be deleted.
    tombstones: bool,
    /// The ordinal of a chunk's first row: above 0 where the chunk is a single row of one.
    first: u64,
    how: How,
    /// How many more rows the table of newest versions has, or without one the history.
    net: AtomicI64,
}

struct Current {
    table: String,
    stage: String,
    traits: Traits,
}

/// Which way a bulk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By COPY into the table of newest versions.
    Direct,
    /// By a staging table, and from there where nothing newer stands.
    Staged,
    /// By COPY into the history.
    History,
}

/// Why a bulk was not stored.
enum Stop {
    /// A value or a constraint; something else may store the rest.
    Data(Why),
    /// The environment.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Target<'a> {
    /// Over a staging table that was made. The table must be held.
    pub(in crate::postgres) async fn new(
        session: &Session,
        tables: &'a LaneTables,
        shape: &Shape,
        schema: &'a RowSchema,
        routes: Routes,
    ) -> Result<Self> {
        let (layout, lane) = (&tables.layout, &tables.lane);
        let tombstones = has_tombstones(shape, schema);
        let staged = staged(shape, &routes);
        let names = Names::of(schema, layout, routes);
        let current = match layout.mode.keeps_current() {
            false => None,
            true => {
                let stage = session.stage(lane, &staged).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Database,
                        format!("lane {lane} has no staging table"),
                        "it is tried again",
                    )
                })?;
                Some(Current {
                    table: layout.sql(&layout.table),
                    stage: format!("pg_temp.{stage}"),
                    traits: traits(session, tables, (&names.come, &names.key), tombstones).await?,
                })
            }
        };
        Ok(Self {
            lane,
            schema,
            names,
            current,
            history: layout.mode.keeps_history().then(|| layout.sql(&layout.history)),
            tombstones,
            first: 0,
            how: How {
                older: "<=",
                is_counted: session.is_counted(lane),
            },
            net: AtomicI64::new(0),
        })
    }

    /// Returns how many more rows the table has since; `None` where the server does not tell new rows from others.
    pub(in crate::postgres) fn net(&self) -> Option<i64> {
        self.how.is_counted.then(|| self.net.load(Ordering::Relaxed))
    }

    /// For a single row, which stood in this place of its chunk.
    pub(in crate::postgres) fn row_at(self, ordinal: u64) -> Self {
        let how = How {
            older: "<",
            ..self.how
        };
        Self {
            first: ordinal,
            how,
            ..self
        }
    }

    /// Stores arrivals; `direct` tries COPY into the target first. Says what was refused, and
    /// whether `direct` met a row that was there.
    ///
    /// A row is in all tables or in none: what one of them refuses is taken back from the other.
    pub(in crate::postgres) async fn store(
        &self,
        session: &Session,
        arrivals: &[(usize, &Arrival)],
        direct: bool,
    ) -> Result<(Vec<Refused>, bool)> {
        let mut refused = Vec::new();
        if self.history.is_some() {
            let all = every(self.schema, arrivals).map_err(|error| unread(&error))?;
            let versions: Vec<&Version> = all.versions.iter().collect();
            self.halve(session, &all, &versions, Way::History, &mut refused)
                .await?;
        }
        if self.current.is_none() {
            return Ok((refused, false));
        }
        let out: BTreeSet<(usize, u64)> = refused.iter().map(|row| (row.arrival, row.ordinal)).collect();
        let (more, conflict) = self.store_current(session, arrivals, direct, &out).await?;
        if let Some(history) = &self.history {
            for row in &more {
                take_back(session, history, arrivals, row).await?;
            }
        }
        refused.extend(more);
        Ok((refused, conflict))
    }

    async fn store_current(
        &self,
        session: &Session,
        arrivals: &[(usize, &Arrival)],
        direct: bool,
        out: &BTreeSet<(usize, u64)>,
    ) -> Result<(Vec<Refused>, bool)> {
        let wanted = |version: &Version| !out.contains(&(version.arrival, self.first + version.ordinal));
        let all = every(self.schema, arrivals)
            .map_err(|error| unread(&error))?
            .newest(wanted);
        let versions: Vec<&Version> = all.versions.iter().collect();
        let mut conflict = false;
        if direct && self.goes_directly() {
            match self.attempt(session, &all, &versions, Way::Direct).await {
                Ok(()) => return Ok((Vec::new(), false)),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Data(why)) => conflict = why.is_duplicate,
            }
        }
        match self.attempt(session, &all, &versions, Way::Staged).await {
            Ok(()) => return Ok((Vec::new(), conflict)),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Data(_)) => {}
        }
        // Each chunk by itself: a row that is refused must leave the older version of its key
        // standing, whichever chunks came in the same call.
        let mut refused = Vec::new();
        for one in arrivals {
            let chunk = every(self.schema, &[*one])
                .map_err(|error| unread(&error))?
                .newest(wanted);
            let versions: Vec<&Version> = chunk.versions.iter().collect();
            self.halve(session, &chunk, &versions, Way::Staged, &mut refused)
                .await?;
        }
        Ok((refused, conflict))
    }

    /// Whether COPY into the table does what the way by staging does. A row that goes in directly passes by the
    /// tombstones, leaves defaults where nothing comes, and cannot leave out what the table computes.
    fn goes_directly(&self) -> bool {
        let plain = |current: &Current| {
            let traits = &current.traits;
            let is_computed = |name: &String| traits.generated.contains(name);
            !traits.is_secured && traits.merge != Merge::Guarded && !self.names.come.iter().any(is_computed)
        };
        !self.tombstones && self.names.missing.is_empty() && self.current.as_ref().is_some_and(plain)
    }

    /// Stores what can be stored, in halves.
    async fn halve(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
        way: Way,
        refused: &mut Vec<Refused>,
    ) -> Result<()> {
        let mut open = vec![versions];
        while let Some(part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            match (self.attempt(session, fold, part, way).await, part) {
                (Ok(()), _) => {}
                (Err(Stop::Failed(error)), _) => return Err(error),
                (Err(Stop::Data(why)), [version]) => {
                    let mut bytes = Vec::new();
                    schemas::rows::pack(fold.values(version), &mut bytes).map_err(|error| unread(&error))?;
                    refused.push(Refused {
                        arrival: version.arrival,
                        ordinal: self.first + version.ordinal,
                        reason: why.reason,
                        bytes,
                        waits: why.waits,
                    });
                }
                (Err(Stop::Data(_)), part) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
            }
        }
        Ok(())
    }

    /// One bulk under a savepoint.
    async fn attempt(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
        way: Way,
    ) -> std::result::Result<(), Stop> {
        let live = versions.iter().filter(|version| !version.deleted);
        let unfit = |version: &&Version| fit::unfit(&self.schema.columns, fold.values(version));
        if let Some(reason) = live.copied().find_map(|version| unfit(&version)) {
            return Err(Stop::Data(Why::of(reason)));
        }
        session.run("SAVEPOINT bulk").await?;
        let (bulk, come) = (self.bulk(fold, versions), &self.names.come);
        let copied = |rows: u64| Taken {
            is_whole: rows == versions.len() as u64,
            net: records::signed(rows),
        };
        let done = match (way, &self.current, &self.history) {
            (Way::Direct, Some(current), _) => {
                let more = match current.traits.merge {
                    Merge::Keyed => More::Key,
                    _ => More::Nothing,
                };
                let rows = copy(session, &current.table, come, more, &bulk).await;
                rows.map(copied)
            }
            (Way::Staged, Some(current), _) => self.staged(session, current, &bulk).await,
            (Way::History, current, Some(history)) => {
                let rows = copy(session, history, come, More::Version, &bulk).await;
                // The history is counted where there is no other table.
                rows.map(copied).map(|taken| match current {
                    Some(_) => Taken { net: 0, ..taken },
                    None => taken,
                })
            }
            _ => Ok(Taken {
                is_whole: true,
                net: 0,
            }),
        };
        let why = match done {
            Ok(taken) if taken.is_whole => {
                session.run("RELEASE SAVEPOINT bulk").await?;
                self.net.fetch_add(taken.net, Ordering::Relaxed);
                return Ok(());
            }
            Ok(_) => Why::of(LEFT_OUT.to_owned()),
            Err(error) => {
                let columns: Vec<&str> = self.names.come.iter().map(String::as_str).collect();
                match failure::of_row(&error, &columns) {
                    Some(why) => why,
                    None => return Err(Stop::Failed(failure::of(&error))),
                }
            }
        };
        session
            .run("ROLLBACK TO SAVEPOINT bulk; RELEASE SAVEPOINT bulk")
            .await?;
        Err(Stop::Data(why))
    }

    fn bulk<'b>(&'b self, fold: &'b Fold<'b>, versions: &'b [&'b Version]) -> Bulk<'b> {
        Bulk {
            schema: self.schema,
            fold,
            versions,
            first: self.first,
        }
    }

    /// Brings rows by the staging table, and returns whether each became what it is to be.
    async fn staged(
        &self,
        session: &Session,
        current: &Current,
        bulk: &Bulk<'_>,
    ) -> std::result::Result<Taken, tokio_postgres::Error> {
        let Current {
            table, stage, traits, ..
        } = current;
        self.fill(session, current, bulk).await?;
        let mut upsert = if self.tombstones {
            self.names
                .upsert_past_tombstones(self.lane, table, stage, self.how, traits)
        } else {
            self.names.upsert(table, stage, "", self.how, traits)
        };
        if traits.is_claimed {
            upsert = format!("{}; {upsert}", self.names.claim(table, stage));
        }
        let answers = session.client.simple_query(&upsert).await?;
        let upserted = upserted(&answers, self.tombstones);
        let taken = |is_whole| Taken {
            is_whole,
            net: upserted.net,
        };
        if !traits.is_watched && upserted.rows == bulk.versions.len() as u64 {
            return Ok(taken(true));
        }
        // Older than what is there, or deleted since: or a trigger left it out.
        let lane = self.tombstones.then_some(self.lane);
        let left_out = self.names.left_out(lane, table, stage, self.how, traits);
        let found = session.client.query_typed(&left_out, &[]).await?;
        Ok(taken(found.is_empty()))
    }

    /// Puts rows into the staging table, in the place of those of the bulk before in the same transaction.
    async fn fill(
        &self,
        session: &Session,
        current: &Current,
        bulk: &Bulk<'_>,
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let stage = &current.stage;
        session
            .client
            .batch_execute(&format!("DELETE FROM {stage}"))
            .await?;
        copy(session, stage, &self.names.come, More::Staged, bulk)
            .await
            .map(|_| ())
    }
}

impl Target<'_> {
    pub(super) fn schema(&self) -> &RowSchema {
        self.schema
    }

    /// The names of the columns of the key.
    pub(in crate::postgres) fn key(&self) -> &[String] {
        &self.names.key
    }

    /// The table of newest versions, its staging table, and what relates their rows.
    pub(super) fn current_by_stage(&self) -> Option<(&str, &str, String)> {
        let current = self.current.as_ref()?;
        let same = self.names.same(&current.traits);
        Some((&current.table, &current.stage, same))
    }

    /// Puts rows into the staging table.
    pub(super) async fn fill_stage(&self, session: &Session, fold: &Fold<'_>) -> Result<()> {
        let Some(current) = &self.current else {
            return Ok(());
        };
        let versions: Vec<&Version> = fold.versions.iter().collect();
        let bulk = self.bulk(fold, &versions);
        self.fill(session, current, &bulk)
            .await
            .map_err(|error| failure::of(&error))
    }
}

async fn take_back(
    session: &Session,
    history: &str,
    arrivals: &[(usize, &Arrival)],
    row: &Refused,
) -> Result<()> {
    let Some((_, arrival)) = arrivals.iter().find(|(index, _)| *index == row.arrival) else {
        return Ok(());
    };
    let place = crate::merge::Place::of(arrival);
    session
        .client
        .execute(
            &format!("DELETE FROM {history} WHERE {EPOCH} = $1 AND {NUMBER} = $2 AND {ORDINAL} = $3"),
            &[
                &records::small(place.epoch),
                &records::int(place.number),
                &records::int(row.ordinal),
            ],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}

pub(super) fn unread(error: &RowError) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("a verified chunk does not read: {error}"),
        "report it",
    )
}

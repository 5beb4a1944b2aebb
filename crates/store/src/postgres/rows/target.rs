//! Rows into the tables: a bulk at a time, each under a savepoint; what is refused is sought by halves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowError;

use super::super::session::Session;
use super::super::{failure, fit, records};
use super::copy::{Bulk, More, copy};
use super::names::{How, Names};
use super::stage::{has_tombstones, staged};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::merge::{Fold, Version, every};
use crate::port::Arrival;
use crate::table::shape::{Routes, Shape};
use crate::table::{EPOCH, NUMBER, ORDINAL};
use tokio_postgres::SimpleQueryMessage;

/// A row that was refused.
pub(in crate::postgres) struct Refused {
    pub(in crate::postgres) arrival: usize,
    pub(in crate::postgres) ordinal: u64,
    pub(in crate::postgres) reason: String,
    pub(in crate::postgres) bytes: Vec<u8>,
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
    Data { reason: String, duplicate: bool },
    /// The environment.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Target<'a> {
    /// Over a staging table that was made.
    pub(in crate::postgres) fn new(
        session: &Session,
        layout: &Layout,
        lane: &'a Lane,
        shape: &Shape,
        schema: &'a RowSchema,
        routes: Routes,
    ) -> Result<Self> {
        let current = match layout.mode.keeps_current() {
            false => None,
            true => {
                let stage = session
                    .stage(lane, &staged(shape, schema, &routes))
                    .ok_or_else(|| {
                        Error::new(
                            ErrorKind::Database,
                            format!("lane {lane} has no staging table"),
                            "it is tried again",
                        )
                    })?;
                Some(Current {
                    table: layout.sql(&layout.table),
                    stage: format!("pg_temp.{stage}"),
                })
            }
        };
        Ok(Self {
            lane,
            schema,
            names: Names::of(schema, layout, routes),
            current,
            history: layout.mode.keeps_history().then(|| layout.sql(&layout.history)),
            tombstones: has_tombstones(shape, schema),
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

    fn add(&self, rows: i64) {
        self.net.fetch_add(rows, Ordering::Relaxed);
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
        // A row that goes in directly passes by the tombstones, and leaves defaults where
        // nothing comes.
        if direct && !self.tombstones && self.names.missing.is_empty() {
            match self.attempt(session, &all, &versions, Way::Direct).await {
                Ok(()) => return Ok((Vec::new(), false)),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Data { duplicate, .. }) => conflict = duplicate,
            }
        }
        match self.attempt(session, &all, &versions, Way::Staged).await {
            Ok(()) => return Ok((Vec::new(), conflict)),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Data { .. }) => {}
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
                (Err(Stop::Data { reason, .. }), [version]) => {
                    let mut bytes = Vec::new();
                    schemas::rows::pack(fold.values(version), &mut bytes).map_err(|error| unread(&error))?;
                    refused.push(Refused {
                        arrival: version.arrival,
                        ordinal: self.first + version.ordinal,
                        reason,
                        bytes,
                    });
                }
                (Err(Stop::Data { .. }), part) => {
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
            return Err(Stop::Data {
                reason,
                duplicate: false,
            });
        }
        session.run("SAVEPOINT bulk").await?;
        let (bulk, come) = (self.bulk(fold, versions), &self.names.come);
        let done = match (way, &self.current, &self.history) {
            (Way::Direct, Some(current), _) => copy(session, &current.table, come, More::Nothing, &bulk)
                .await
                .map(records::signed),
            (Way::Staged, Some(current), _) => self.staged(session, current, &bulk).await,
            (Way::History, current, Some(history)) => copy(session, history, come, More::Version, &bulk)
                .await
                .map(|rows| {
                    if current.is_none() {
                        records::signed(rows)
                    } else {
                        0
                    }
                }),
            _ => Ok(0),
        };
        match done {
            Ok(net) => {
                session.run("RELEASE SAVEPOINT bulk").await?;
                self.add(net);
                Ok(())
            }
            Err(error) => {
                let columns: Vec<&str> = self.names.come.iter().map(String::as_str).collect();
                let Some(reason) = failure::of_row(&error, &columns) else {
                    return Err(Stop::Failed(failure::of(&error)));
                };
                session
                    .run("ROLLBACK TO SAVEPOINT bulk; RELEASE SAVEPOINT bulk")
                    .await?;
                Err(Stop::Data {
                    reason,
                    duplicate: failure::is_duplicate(&error),
                })
            }
        }
    }

    fn bulk<'b>(&'b self, fold: &'b Fold<'b>, versions: &'b [&'b Version]) -> Bulk<'b> {
        Bulk {
            schema: self.schema,
            fold,
            versions,
            first: self.first,
        }
    }

    async fn staged(
        &self,
        session: &Session,
        Current { table, stage }: &Current,
        bulk: &Bulk<'_>,
    ) -> std::result::Result<i64, tokio_postgres::Error> {
        // Rows of the bulk before, in the same transaction.
        session
            .client
            .batch_execute(&format!("DELETE FROM {stage}"))
            .await?;
        let (more, upsert) = if self.tombstones {
            let sql = self
                .names
                .upsert_past_tombstones(self.lane, table, stage, self.how);
            (More::Tombstone, sql)
        } else {
            (More::Nothing, self.names.upsert(table, stage, "", self.how))
        };
        copy(session, stage, &self.names.come, more, bulk).await?;
        let answers = session.client.simple_query(&upsert).await?;
        Ok(net(&answers, self.tombstones))
    }
}

/// How many more rows there are, by what the server answered to the statements of [`Names::upsert`]. With tombstones the
/// second statement is the one that deletes.
fn net(answers: &[SimpleQueryMessage], with_tombstones: bool) -> i64 {
    let mut done = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    let deleted = done.nth(1).filter(|_| with_tombstones).unwrap_or(0);
    let fresh = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<i64>().ok(),
        _ => None,
    });
    fresh.unwrap_or(0) - records::signed(deleted)
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

fn unread(error: &RowError) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("a verified chunk does not read: {error}"),
        "report it",
    )
}

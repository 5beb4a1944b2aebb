//! Writes rows into the tables, one bulk at a time under a savepoint. Refused rows are found by halving.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowError;

use super::super::failure::RowRefusal;
use super::super::session::Session;
use super::super::{failure, numbers, value_check};
use super::copy::{ColumnTypes, ExtraColumns, RowBatch, column_types, copy};
use super::stage::{has_tombstones, stage_key};
use super::traits::{Merge, Traits, traits};
use super::upsert_sql::{UpsertOptions, UpsertSql};
use super::write_result::{WriteResult, read_counts};
use crate::arrival::Arrival;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::LaneTables;
use crate::merge::{Fold, Version, every};
use crate::quarantine::LEFT_OUT;
use crate::table::shape::{ColumnMapping, Shape};
use crate::table::{EPOCH, NUMBER, ORDINAL};

/// A refused row.
pub(in crate::postgres) struct Refused {
    pub(in crate::postgres) arrival: usize,
    pub(in crate::postgres) ordinal: u64,
    pub(in crate::postgres) reason: String,
    pub(in crate::postgres) bytes: Vec<u8>,
    /// Whether another row may make room for it.
    pub(in crate::postgres) is_retryable: bool,
}

/// The target of rows that share their columns.
pub(in crate::postgres) struct Target<'a> {
    lane: &'a Lane,
    schema: &'a RowSchema,
    pub(super) names: UpsertSql,
    pub(super) current: Option<Current>,
    history: Option<History>,
    /// Whether rows of this lane may be deleted.
    tombstones: bool,
    /// The number of a chunk's first row: above 0 if the chunk is a single row.
    first: u64,
    pub(super) options: UpsertOptions,
    /// The number of additional rows in the table of newest versions, or in the history if it is the only table.
    pub(super) net: AtomicI64,
}

pub(super) struct Current {
    pub(super) table: String,
    stage: String,
    pub(super) traits: Traits,
    pub(super) types: ColumnTypes,
    stage_types: ColumnTypes,
}

struct History {
    table: String,
    types: ColumnTypes,
}

/// The write path of a bulk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePath {
    /// COPY into the table of newest versions.
    Direct,
    /// COPY into a staging table, then an upsert of rows that are not older.
    Staged,
    /// COPY into the history.
    History,
}

/// Why a bulk was not stored.
pub(super) enum BatchError {
    /// A row was refused; the rest may be stored.
    Data(RowRefusal),
    /// The environment failed.
    Failed(Error),
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Target<'a> {
    /// Creates a target. Its staging table must exist and the table must be locked.
    pub(in crate::postgres) async fn new(
        session: &Session,
        tables: &'a LaneTables,
        shape: &Shape,
        schema: &'a RowSchema,
        mapping: ColumnMapping,
    ) -> Result<Self> {
        let (layout, lane) = (&tables.layout, &tables.lane);
        let tombstones = has_tombstones(shape, schema);
        let stage_key = stage_key(shape, &mapping);
        let names = UpsertSql::of(schema, layout, mapping);
        let current = match layout.mode.keeps_current() {
            false => None,
            true => {
                let stage = session.stage(lane, &stage_key).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Database,
                        format!("lane {lane} has no staging table"),
                        "it is retried",
                    )
                })?;
                let (table, stage) = (layout.sql(&layout.table), format!("pg_temp.{stage}"));
                let traits = traits(session, tables, (&names.sent, &names.key), tombstones).await?;
                let mut types = column_types(session, &[&table, &stage]).await?;
                Some(Current {
                    stage_types: types.pop().unwrap_or_default(),
                    types: types.pop().unwrap_or_default(),
                    table,
                    stage,
                    traits,
                })
            }
        };
        let history = match layout.mode.keeps_history() {
            false => None,
            true => {
                let table = layout.sql(&layout.history);
                let mut types = column_types(session, &[&table]).await?;
                Some(History {
                    types: types.pop().unwrap_or_default(),
                    table,
                })
            }
        };
        Ok(Self {
            lane,
            schema,
            names,
            current,
            history,
            tombstones,
            first: 0,
            options: UpsertOptions {
                older: "<=",
                is_counted: session.is_counted(lane),
            },
            net: AtomicI64::new(0),
        })
    }

    /// Returns the number of additional rows; `None` if the server does not report new rows.
    pub(in crate::postgres) fn net(&self) -> Option<i64> {
        self.options.is_counted.then(|| self.net.load(Ordering::Relaxed))
    }

    /// Sets the number in its chunk of a single row.
    pub(in crate::postgres) fn row_at(self, ordinal: u64) -> Self {
        let options = UpsertOptions {
            older: "<",
            ..self.options
        };
        Self {
            first: ordinal,
            options,
            ..self
        }
    }

    /// Stores arrivals; `direct` tries COPY into the target first. Returns the refused rows, and whether `direct` met
    /// an existing row.
    ///
    /// A row is in all tables or in none: a row that one table refuses is removed from the other.
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
            self.halve(session, &all, &versions, WritePath::History, &mut refused)
                .await?;
        }
        if self.current.is_none() {
            return Ok((refused, false));
        }
        let out: BTreeSet<(usize, u64)> = refused.iter().map(|row| (row.arrival, row.ordinal)).collect();
        let (more, conflict) = self.store_current(session, arrivals, direct, &out).await?;
        if let Some(history) = &self.history {
            for row in &more {
                take_back(session, &history.table, arrivals, row).await?;
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
        let (mut conflict, mut may_split) = (false, true);
        if direct && self.goes_directly() {
            match self.attempt(session, &all, &versions, WritePath::Direct).await {
                Ok(()) => return Ok((Vec::new(), false)),
                Err(BatchError::Failed(error)) => return Err(error),
                Err(BatchError::Data(why)) => (conflict, may_split) = (why.is_duplicate, why.is_duplicate),
            }
        }
        if may_split && self.store_split(session, &all, &versions).await? {
            return Ok((Vec::new(), conflict));
        }
        match self.attempt(session, &all, &versions, WritePath::Staged).await {
            Ok(()) => return Ok((Vec::new(), conflict)),
            Err(BatchError::Failed(error)) => return Err(error),
            Err(BatchError::Data(_)) => {}
        }
        // Each chunk is written separately: a refused row must leave the older version of its key in place, for any
        // grouping of chunks.
        let mut refused = Vec::new();
        for one in arrivals {
            let chunk = every(self.schema, &[*one])
                .map_err(|error| unread(&error))?
                .newest(wanted);
            let versions: Vec<&Version> = chunk.versions.iter().collect();
            self.halve(session, &chunk, &versions, WritePath::Staged, &mut refused)
                .await?;
        }
        Ok((refused, conflict))
    }

    /// Returns whether COPY into the table has the same result as staging, for new keys.
    fn goes_directly(&self) -> bool {
        !self.tombstones && self.takes_copies().is_some()
    }

    /// Stores as many rows as possible, by halving.
    async fn halve(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
        way: WritePath,
        refused: &mut Vec<Refused>,
    ) -> Result<()> {
        let mut open = vec![versions];
        while let Some(part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            match (self.attempt(session, fold, part, way).await, part) {
                (Ok(()), _) => {}
                (Err(BatchError::Failed(error)), _) => return Err(error),
                (Err(BatchError::Data(why)), [version]) => {
                    let mut bytes = Vec::new();
                    schemas::rows::pack(fold.values(version), &mut bytes).map_err(|error| unread(&error))?;
                    refused.push(Refused {
                        arrival: version.arrival,
                        ordinal: self.first + version.ordinal,
                        reason: why.reason,
                        bytes,
                        is_retryable: why.is_retryable,
                    });
                }
                (Err(BatchError::Data(_)), part) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
            }
        }
        Ok(())
    }

    /// Writes one bulk under a savepoint.
    pub(super) async fn attempt(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
        way: WritePath,
    ) -> std::result::Result<(), BatchError> {
        let live = versions.iter().filter(|version| !version.deleted);
        let unfit = |version: &&Version| value_check::unfit(&self.schema.columns, fold.values(version));
        if let Some(reason) = live.copied().find_map(|version| unfit(&version)) {
            return Err(BatchError::Data(RowRefusal::of(reason)));
        }
        session.run("SAVEPOINT bulk").await?;
        let (bulk, sent) = (self.bulk(fold, versions), &self.names.sent);
        let copied = |rows: u64| WriteResult {
            is_whole: rows == versions.len() as u64,
            net: numbers::int(rows),
        };
        let done = match (way, &self.current, &self.history) {
            (WritePath::Direct, Some(current), _) => {
                let more = match current.traits.merge {
                    Merge::Keyed => ExtraColumns::Key,
                    _ => ExtraColumns::Number,
                };
                let rows = copy(session, (&current.table, &current.types), sent, more, &bulk).await;
                rows.map(copied)
            }
            (WritePath::Staged, Some(current), _) => self.staged(session, current, &bulk).await,
            (WritePath::History, current, Some(history)) => {
                let into = (history.table.as_str(), &history.types);
                let rows = copy(session, into, sent, ExtraColumns::Version, &bulk).await;
                // The history is counted if it is the only table.
                rows.map(copied).map(|taken| match current {
                    Some(_) => WriteResult { net: 0, ..taken },
                    None => taken,
                })
            }
            _ => Ok(WriteResult {
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
            Ok(_) => RowRefusal::of(LEFT_OUT.to_owned()),
            Err(error) => {
                let columns: Vec<&str> = self.names.sent.iter().map(String::as_str).collect();
                match failure::of_row(&error, &columns) {
                    Some(why) => why,
                    None => return Err(BatchError::Failed(failure::of(&error))),
                }
            }
        };
        session
            .run("ROLLBACK TO SAVEPOINT bulk; RELEASE SAVEPOINT bulk")
            .await?;
        Err(BatchError::Data(why))
    }

    fn bulk<'b>(&'b self, fold: &'b Fold<'b>, versions: &'b [&'b Version]) -> RowBatch<'b> {
        RowBatch {
            schema: self.schema,
            fold,
            versions,
            first: self.first,
        }
    }

    /// Writes rows through the staging table and returns whether each has its expected result.
    async fn staged(
        &self,
        session: &Session,
        current: &Current,
        bulk: &RowBatch<'_>,
    ) -> std::result::Result<WriteResult, tokio_postgres::Error> {
        let Current {
            table, stage, traits, ..
        } = current;
        self.fill(session, current, bulk).await?;
        let mut upsert = if self.tombstones {
            self.names
                .upsert_past_tombstones(self.lane, table, stage, self.options, traits)
        } else {
            self.names.upsert(table, stage, "", self.options, traits)
        };
        if traits.is_claimed {
            upsert = format!("{}; {upsert}", self.names.claim(table, stage));
        }
        let answers = session.client.simple_query(&upsert).await?;
        let read_counts = read_counts(&answers, self.tombstones);
        let taken = |is_whole| WriteResult {
            is_whole,
            net: read_counts.net,
        };
        if !traits.is_watched && read_counts.rows == bulk.versions.len() as u64 {
            return Ok(taken(true));
        }
        // Older than the stored row, deleted since, or ignored by a trigger.
        let lane = self.tombstones.then_some(self.lane);
        let left_out = self.names.left_out(lane, table, stage, self.options, traits);
        let found = session.client.query_typed(&left_out, &[]).await?;
        Ok(taken(found.is_empty()))
    }

    /// Fills the staging table, replacing the previous bulk of the same transaction.
    async fn fill(
        &self,
        session: &Session,
        current: &Current,
        bulk: &RowBatch<'_>,
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let stage = &current.stage;
        session
            .client
            .batch_execute(&format!("DELETE FROM {stage}"))
            .await?;
        let into = (stage.as_str(), &current.stage_types);
        copy(session, into, &self.names.sent, ExtraColumns::Staged, bulk)
            .await
            .map(|_| ())
    }
}

impl Target<'_> {
    pub(super) fn schema(&self) -> &RowSchema {
        self.schema
    }

    pub(super) fn lane(&self) -> &Lane {
        self.lane
    }

    /// Returns whether rows of the lane may be deleted.
    pub(super) fn has_tombstones(&self) -> bool {
        self.tombstones
    }

    /// Returns the names of the key columns.
    pub(in crate::postgres) fn key(&self) -> &[String] {
        &self.names.key
    }

    /// Returns the table of newest versions, its staging table, and the condition that relates their rows.
    pub(super) fn current_by_stage(&self) -> Option<(&str, &str, String)> {
        let current = self.current.as_ref()?;
        let same = self.names.same(&current.traits);
        Some((&current.table, &current.stage, same))
    }

    /// Fills the staging table.
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
    let chunk_number = crate::chunk_number::ChunkNumber::of(arrival);
    session
        .client
        .execute(
            &format!("DELETE FROM {history} WHERE {EPOCH} = $1 AND {NUMBER} = $2 AND {ORDINAL} = $3"),
            &[
                &numbers::small(chunk_number.epoch),
                &numbers::int(chunk_number.number),
                &numbers::int(row.ordinal),
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

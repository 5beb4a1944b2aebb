//! Rows into the target: bulk first, and when the server refuses the bulk, halves of it, down
//! to the rows at fault.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::SinkExt;
use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowError;

use super::session::{Session, Staged};
use super::{cell, failure, fit};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::merge::{Fold, Version, every};
use crate::port::Arrival;
use crate::table::shape::{Routes, Shape};
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, listed, quoted};

/// COPY data is sent in pieces of about this size.
const PIECE: usize = 128 << 10;

/// A lane whose columns changed more often than this has its staging tables made anew.
const MOST_STAGES: usize = 8;

/// A row that was refused.
pub(super) struct Refused {
    pub(super) arrival: usize,
    pub(super) ordinal: u64,
    pub(super) reason: String,
    pub(super) bytes: Vec<u8>,
}

/// Rows that share their columns, on their way.
pub(super) struct Target<'a> {
    lane: &'a Lane,
    schema: &'a RowSchema,
    /// The store's names of the columns, in their order.
    names: Vec<String>,
    /// Columns of the tables that do not come.
    missing: Vec<String>,
    /// The store's names of the key.
    key: Vec<String>,
    current: Option<Current>,
    history: Option<String>,
    /// Whether rows of this lane may be deleted.
    tombstones: bool,
    /// The ordinal of a chunk's first row: above 0 where the chunk is a single row of one.
    first: u64,
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

/// Makes the staging table of these columns, for as long as the connection lives. Not within a
/// transaction: undoing it would undo the table.
pub(super) async fn stage(
    session: &mut Session,
    layout: &Layout,
    lane: &Lane,
    shape: &Shape,
    schema: &RowSchema,
    routes: &Routes,
) -> Result<()> {
    let staged = staged(shape, schema, routes);
    if session.stage(lane, &staged).is_some() {
        return Ok(());
    }
    if session
        .stages
        .get(lane)
        .is_some_and(|stages| stages.len() >= MOST_STAGES)
    {
        for (_, name) in session.stages.remove(lane).unwrap_or_default() {
            session
                .run(&format!("DROP TABLE IF EXISTS pg_temp.{name}"))
                .await?;
        }
    }
    session.made += 1;
    let name = format!("slacktide_stage_{}", session.made);
    let names = routes.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
    let extra = if has_tombstones(shape, schema) {
        ", NULL::bytea AS _slacktide_key, false AS _slacktide_deleted"
    } else {
        ""
    };
    session
        .run(&format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DELETE ROWS AS SELECT {}{extra} FROM {} WITH NO DATA",
            listed(names),
            layout.sql(&layout.table),
        ))
        .await?;
    session
        .stages
        .entry(lane.clone())
        .or_default()
        .push((staged, name));
    Ok(())
}

/// What a staging table was made for: the tables as they were, and the columns of it.
fn staged(shape: &Shape, schema: &RowSchema, routes: &Routes) -> Staged {
    (shape.clone(), routes.names.clone(), has_tombstones(shape, schema))
}

/// Whether rows of the lane may be deleted. A chunk from before the feed had a tombstone column
/// must not pass by the tombstones of later ones.
fn has_tombstones(shape: &Shape, schema: &RowSchema) -> bool {
    shape.known.tombstone.is_some() || schema.tombstone.is_some()
}

impl<'a> Target<'a> {
    /// Over a staging table that was made.
    pub(super) fn new(
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
            key: schema
                .key
                .iter()
                .map(|name| layout.column(name).to_owned())
                .collect(),
            names: routes.names,
            missing: routes.missing,
            current,
            history: layout.mode.keeps_history().then(|| layout.sql(&layout.history)),
            tombstones: has_tombstones(shape, schema),
            first: 0,
        })
    }

    /// For a single row, which stood in this place of its chunk.
    pub(super) fn row_at(self, ordinal: u64) -> Self {
        Self {
            first: ordinal,
            ..self
        }
    }

    /// Stores arrivals; `direct` tries COPY into the target first. Says what was refused, and
    /// whether `direct` met a row that was there.
    ///
    /// A row is in all tables or in none: what one of them refuses is taken back from the other.
    pub(super) async fn store(
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
        if direct && !self.tombstones && self.missing.is_empty() {
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
        let done = match (way, &self.current, &self.history) {
            (Way::Direct, Some(current), _) => {
                self.copy(session, &current.table, More::Nothing, fold, versions)
                    .await
            }
            (Way::Staged, Some(current), _) => self.staged(session, current, fold, versions).await,
            (Way::History, _, Some(history)) => {
                self.copy(session, history, More::Version, fold, versions).await
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => Ok(session.run("RELEASE SAVEPOINT bulk").await?),
            Err(error) => {
                let columns: Vec<&str> = self.names.iter().map(String::as_str).collect();
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

    async fn staged(
        &self,
        session: &Session,
        Current { table, stage }: &Current,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        // Rows of the bulk before, in the same transaction.
        session
            .client
            .batch_execute(&format!("DELETE FROM {stage}"))
            .await?;
        let more = if self.tombstones {
            More::Tombstone
        } else {
            More::Nothing
        };
        self.copy(session, stage, more, fold, versions).await?;
        let upsert = |only: &str| self.upsert(table, stage, only);
        if !self.tombstones {
            return session.client.batch_execute(&upsert("")).await;
        }
        let (recipient, feed) = (self.lane.recipient.as_str(), self.lane.feed.as_str());
        let same: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("t.{0} = s.{0}", quoted(name)))
            .collect();
        let upsert = upsert(&format!(
            "WHERE NOT s._slacktide_deleted AND NOT EXISTS (SELECT FROM slacktide.tombstones x \
             WHERE x.recipient = '{recipient}' AND x.feed = '{feed}' AND x.key = s._slacktide_key \
             AND (x.epoch, x.number) >= (s.{EPOCH}, s.{NUMBER}))"
        ));
        // Names of lanes hold no quote.
        session
            .client
            .batch_execute(&format!(
                "INSERT INTO slacktide.tombstones SELECT '{recipient}', '{feed}', _slacktide_key, {EPOCH}, {NUMBER} \
                 FROM {stage} WHERE _slacktide_deleted ON CONFLICT (recipient, feed, key) DO UPDATE \
                 SET epoch = excluded.epoch, number = excluded.number \
                 WHERE (tombstones.epoch, tombstones.number) < (excluded.epoch, excluded.number); \
                 DELETE FROM {table} t USING {stage} s WHERE s._slacktide_deleted AND {} \
                 AND (t.{EPOCH}, t.{NUMBER}) < (s.{EPOCH}, s.{NUMBER}); {upsert}",
                same.join(" AND "),
            ))
            .await
    }

    /// What does not come is NULL afterwards: a version is whole, whatever stood there before.
    fn upsert(&self, table: &str, stage: &str, only: &str) -> String {
        let names = || self.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
        let missing = || self.missing.iter().map(String::as_str);
        let sets: Vec<String> = names()
            .chain(missing())
            .filter(|name| !self.key.iter().any(|key| key == name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let nulls = ", NULL".repeat(self.missing.len());
        format!(
            "INSERT INTO {table} AS t ({}) SELECT {}{nulls} FROM {stage} s {only} ON CONFLICT ({}) DO UPDATE SET {} \
             WHERE (t.{EPOCH}, t.{NUMBER}) < (excluded.{EPOCH}, excluded.{NUMBER})",
            listed(names().chain(missing())),
            listed(names()),
            listed(self.key.iter().map(String::as_str)),
            sets.join(", "),
        )
    }

    async fn copy(
        &self,
        session: &Session,
        into: &str,
        more: More,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let mut names: Vec<&str> = self
            .names
            .iter()
            .map(String::as_str)
            .chain([EPOCH, NUMBER])
            .collect();
        match more {
            More::Nothing => {}
            More::Tombstone => names.extend(["_slacktide_key", "_slacktide_deleted"]),
            More::Version => names.extend([ORDINAL, DELETED]),
        }
        let sql = format!("COPY {into} ({}) FROM STDIN", listed(names));
        let sink = session.client.copy_in::<_, Bytes>(&sql).await?;
        futures_util::pin_mut!(sink);
        let mut piece = Vec::with_capacity(PIECE + 4_096);
        for version in versions {
            for (column, value) in self.schema.columns.iter().zip(fold.values(version)) {
                cell::write(&column.kind, *value, &mut piece);
                piece.push(b'\t');
            }
            cell::number(i64::from(version.place.epoch), &mut piece);
            piece.push(b'\t');
            cell::number(super::records::int(version.place.number), &mut piece);
            match more {
                More::Nothing => {}
                More::Tombstone => {
                    piece.push(b'\t');
                    cell::hex(&version.key, &mut piece);
                    piece.extend_from_slice(flag(version.deleted));
                }
                More::Version => {
                    piece.push(b'\t');
                    cell::number(super::records::int(self.first + version.ordinal), &mut piece);
                    piece.extend_from_slice(flag(version.deleted));
                }
            }
            piece.push(b'\n');
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE + 4_096));
                if sink.send(Bytes::from(full)).await.is_err() {
                    // The server has ended the COPY; its answer says why.
                    return sink.finish().await.map(|_| ());
                }
            }
        }
        if !piece.is_empty() && sink.send(Bytes::from(piece)).await.is_err() {
            return sink.finish().await.map(|_| ());
        }
        sink.finish().await.map(|_| ())
    }
}

/// What goes behind a row's columns and its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Nothing,
    /// Its key as tombstones keep it, and whether it deletes.
    Tombstone,
    /// Its place in the chunk, and whether it deletes.
    Version,
}

fn flag(deleted: bool) -> &'static [u8] {
    if deleted { b"\tt" } else { b"\tf" }
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
                &super::records::small(place.epoch),
                &super::records::int(place.number),
                &super::records::int(row.ordinal),
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

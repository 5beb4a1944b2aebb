//! Rows into the target: bulk first, and when the server refuses the bulk, halves of it, down
//! to the rows at fault.

use bytes::Bytes;
use futures_util::SinkExt;
use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowError;

use super::session::Session;
use super::{cell, failure, fit};
use crate::error::{Error, ErrorKind, Result};
use crate::merge::{Fold, Version, fold};
use crate::port::Arrival;
use crate::table::{EPOCH, NUMBER, listed, quoted};

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
    table: String,
    stage: String,
    tombstones: bool,
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
    schema_name: &str,
    lane: &Lane,
    schema: &RowSchema,
) -> Result<()> {
    if session.stage(lane, schema).is_some() {
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
    let names = schema
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .chain([EPOCH, NUMBER]);
    let extra = if schema.tombstone.is_some() {
        ", NULL::bytea AS _slacktide_key, false AS _slacktide_deleted"
    } else {
        ""
    };
    session
        .run(&format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DELETE ROWS AS SELECT {}{extra} FROM {} WITH NO DATA",
            listed(names),
            target(schema_name, lane),
        ))
        .await?;
    session
        .stages
        .entry(lane.clone())
        .or_default()
        .push((schema.clone(), name));
    Ok(())
}

fn target(schema_name: &str, lane: &Lane) -> String {
    format!("{}.{}", quoted(schema_name), quoted(lane.feed.as_str()))
}

impl<'a> Target<'a> {
    /// Over a staging table that was made.
    pub(super) fn new(
        session: &Session,
        schema_name: &str,
        lane: &'a Lane,
        schema: &'a RowSchema,
    ) -> Result<Self> {
        let stage = session.stage(lane, schema).ok_or_else(|| {
            Error::new(
                ErrorKind::Database,
                format!("lane {lane} has no staging table"),
                "it is tried again",
            )
        })?;
        let (table, stage) = (target(schema_name, lane), format!("pg_temp.{stage}"));
        Ok(Self {
            lane,
            schema,
            table,
            stage,
            tombstones: schema.tombstone.is_some(),
        })
    }

    /// Stores arrivals; `direct` tries COPY into the target first. Says what was refused, and
    /// whether `direct` met a row that was there.
    pub(super) async fn store(
        &self,
        session: &Session,
        arrivals: &[(usize, &Arrival)],
        direct: bool,
    ) -> Result<(Vec<Refused>, bool)> {
        let all = fold(self.schema, arrivals).map_err(|error| unread(&error))?;
        let versions: Vec<&Version> = all.versions.iter().collect();
        let mut conflict = false;
        if direct {
            match self.attempt(session, &all, &versions, true).await {
                Ok(()) => return Ok((Vec::new(), false)),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Data { duplicate, .. }) => conflict = duplicate,
            }
        }
        match self.attempt(session, &all, &versions, false).await {
            Ok(()) => return Ok((Vec::new(), conflict)),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Data { .. }) => {}
        }
        // Each chunk by itself: a row that is refused must leave the older version of its key
        // standing, whichever chunks came in the same call.
        let mut refused = Vec::new();
        for one in arrivals {
            let chunk = fold(self.schema, &[*one]).map_err(|error| unread(&error))?;
            let versions: Vec<&Version> = chunk.versions.iter().collect();
            self.halve(session, &chunk, &versions, &mut refused).await?;
        }
        Ok((refused, conflict))
    }

    /// Stores what can be stored, in halves.
    async fn halve(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
        refused: &mut Vec<Refused>,
    ) -> Result<()> {
        let mut open = vec![versions];
        while let Some(part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            match (self.attempt(session, fold, part, false).await, part) {
                (Ok(()), _) => {}
                (Err(Stop::Failed(error)), _) => return Err(error),
                (Err(Stop::Data { reason, .. }), [version]) => {
                    let mut bytes = Vec::new();
                    schemas::rows::pack(fold.values(version), &mut bytes).map_err(|error| unread(&error))?;
                    refused.push(Refused {
                        arrival: version.arrival,
                        ordinal: version.ordinal,
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
        direct: bool,
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
        let done = if direct {
            self.copy(session, &self.table, false, fold, versions).await
        } else {
            self.staged(session, fold, versions).await
        };
        match done {
            Ok(()) => Ok(session.run("RELEASE SAVEPOINT bulk").await?),
            Err(error) => {
                let columns: Vec<&str> = self
                    .schema
                    .columns
                    .iter()
                    .map(|column| column.name.as_str())
                    .collect();
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
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        // Rows of the bulk before, in the same transaction.
        session
            .client
            .batch_execute(&format!("DELETE FROM {}", self.stage))
            .await?;
        self.copy(session, &self.stage, self.tombstones, fold, versions)
            .await?;
        if !self.tombstones {
            return session.client.batch_execute(&self.upsert("")).await;
        }
        let Self { table, stage, .. } = self;
        let (recipient, feed) = (self.lane.recipient.as_str(), self.lane.feed.as_str());
        let same: Vec<String> = self
            .schema
            .key
            .iter()
            .map(|name| format!("t.{0} = s.{0}", quoted(name)))
            .collect();
        let upsert = self.upsert(&format!(
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

    fn upsert(&self, only: &str) -> String {
        let names: Vec<&str> = self
            .schema
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .chain([EPOCH, NUMBER])
            .collect();
        let sets: Vec<String> = names
            .iter()
            .filter(|name| !self.schema.key.iter().any(|key| key == *name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let columns = listed(names.iter().copied());
        format!(
            "INSERT INTO {} AS t ({columns}) SELECT {columns} FROM {} s {only} ON CONFLICT ({}) DO UPDATE SET {} \
             WHERE (t.{EPOCH}, t.{NUMBER}) < (excluded.{EPOCH}, excluded.{NUMBER})",
            self.table,
            self.stage,
            listed(self.schema.key.iter().map(String::as_str)),
            sets.join(", "),
        )
    }

    async fn copy(
        &self,
        session: &Session,
        into: &str,
        tombstones: bool,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let mut names: Vec<&str> = self
            .schema
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .chain([EPOCH, NUMBER])
            .collect();
        if tombstones {
            names.extend(["_slacktide_key", "_slacktide_deleted"]);
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
            if tombstones {
                piece.push(b'\t');
                cell::hex(&version.key, &mut piece);
                piece.extend_from_slice(if version.deleted { b"\tt" } else { b"\tf" });
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

fn unread(error: &RowError) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("a verified chunk does not read: {error}"),
        "report it",
    )
}

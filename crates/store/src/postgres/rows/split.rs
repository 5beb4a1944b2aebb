//! Writes a bulk in two parts: versions of new keys by COPY into the table, and only the others through the staging table.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use tokio_postgres::types::{ToSql, Type};

use super::super::failure;
use super::super::session::Session;
use super::target::{BatchError, Current, Target, WritePath};
use super::traits::Merge;
use crate::error::Result;
use crate::merge::{Fold, Version};
use crate::sql_name::quoted;
use crate::table::KEY;
use schemas::value::Value;

/// The share of new keys, as a divisor, below which a second COPY does not pay.
const MIN_NEW_SHARE: usize = 4;

/// A column by which versions of a key are found, with its values as texts.
struct KeyColumn<'a> {
    name: &'a str,
    /// The type that the texts are cast to.
    cast: &'static str,
    values: Vec<String>,
}

impl Target<'_> {
    /// Returns the table if COPY into it has the same result as staging, for keys that neither it nor a tombstone has. A
    /// direct row leaves defaults in missing columns, and cannot leave out computed columns.
    pub(super) fn takes_copies(&self) -> Option<&Current> {
        let plain = |current: &&Current| {
            let traits = &current.traits;
            let is_computed = |name: &String| traits.generated.contains(name);
            !traits.is_secured && traits.merge != Merge::Guarded && !self.names.sent.iter().any(is_computed)
        };
        self.current
            .as_ref()
            .filter(|_| self.names.missing.is_empty())
            .filter(plain)
    }

    /// Returns the table if a bulk for it may be split by whether a key is new. Rows without a canonical key would not be
    /// found by it.
    fn current_to_split(&self) -> Option<&Current> {
        self.takes_copies()
            .filter(|current| !current.traits.is_claimed && self.options.older == "<=")
    }

    /// Stores versions of different keys. Returns `false`, with nothing written, if a row was refused or if the keys
    /// cannot be split.
    pub(super) async fn store_split(
        &self,
        session: &Session,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> Result<bool> {
        let Some(current) = self.current_to_split() else {
            return Ok(false);
        };
        let Some(existing) = self.existing(session, current, fold, versions).await? else {
            return Ok(false);
        };
        let (mut new, mut known) = (Vec::new(), Vec::new());
        for (place, version) in versions.iter().enumerate() {
            let part = if version.deleted || existing.contains(&place) {
                &mut known
            } else {
                &mut new
            };
            part.push(*version);
        }
        if new.len() * MIN_NEW_SHARE < versions.len() {
            return Ok(false);
        }
        session.run("SAVEPOINT split").await?;
        let before = self.net.load(Ordering::Relaxed);
        for (part, way) in [(new, WritePath::Direct), (known, WritePath::Staged)] {
            if part.is_empty() {
                continue;
            }
            match self.attempt(session, fold, &part, way).await {
                Ok(()) => {}
                Err(BatchError::Failed(error)) => return Err(error),
                Err(BatchError::Data(_)) => {
                    self.net.store(before, Ordering::Relaxed);
                    session
                        .run("ROLLBACK TO SAVEPOINT split; RELEASE SAVEPOINT split")
                        .await?;
                    return Ok(false);
                }
            }
        }
        session.run("RELEASE SAVEPOINT split").await?;
        Ok(true)
    }

    /// Returns the places of the versions whose key is in the table, or in a tombstone; `None` if the keys cannot be
    /// compared by an index. Another poller may insert the same key meanwhile; the COPY of its version fails then.
    ///
    /// Tombstones of other transactions are visible: a call that writes some has the lane alone.
    async fn existing(
        &self,
        session: &Session,
        current: &Current,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> Result<Option<HashSet<usize>>> {
        let keys: Vec<&[u8]> = versions.iter().map(|version| version.key.as_slice()).collect();
        let first: &(dyn ToSql + Sync) = &keys;
        let mut lists = vec![(first, Type::BYTEA_ARRAY)];
        let columns = match current.traits.merge {
            Merge::Typed => match self.key_columns(current, fold, versions) {
                Some(columns) => columns,
                None => return Ok(None),
            },
            Merge::Keyed | Merge::Guarded => Vec::new(),
        };
        let (mut unnest, mut names, mut same) = (String::from("$1"), String::from("key"), Vec::new());
        for (number, column) in (2..).zip(&columns) {
            lists.push((&column.values, Type::TEXT_ARRAY));
            unnest.push_str(&format!(", ${number}"));
            names.push_str(&format!(", k{number}"));
            same.push(format!(
                "t.{} = s.k{number}::{}",
                quoted(column.name),
                column.cast
            ));
        }
        if same.is_empty() {
            same.push(format!("t.{KEY} = s.key"));
        }
        // The limits keep the planner from reading the whole table.
        let found = |from: &str, alias: &str| {
            format!(" LEFT JOIN LATERAL (SELECT 1 AS there FROM {from} LIMIT 1) {alias} ON true")
        };
        let mut sql = format!(
            "SELECT s.place FROM unnest({unnest}) WITH ORDINALITY AS s({names}, place){}",
            found(
                &format!("{} t WHERE {}", current.table, same.join(" AND ")),
                "stored"
            )
        );
        let mut conditions = String::from("stored.there IS NOT NULL");
        if self.has_tombstones() {
            let lane = self.lane();
            // Names of lanes contain no quote.
            let tombstones = format!(
                "slacktide.tombstones d WHERE d.recipient = '{}' AND d.feed = '{}' AND d.key = s.key",
                lane.recipient.as_str(),
                lane.feed.as_str()
            );
            sql.push_str(&found(&tombstones, "deleted"));
            conditions.push_str(" OR deleted.there IS NOT NULL");
        }
        let sql = format!("{sql} WHERE {conditions}");
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let rows = session.client.query_typed(&sql, &lists).await.map_err(fail)?;
        let place = |row: &tokio_postgres::Row| -> Result<usize> {
            let place: i64 = row.try_get(0).map_err(fail)?;
            // Counted from 1.
            Ok(usize::try_from(place - 1).unwrap_or_default())
        };
        rows.iter().map(place).collect::<Result<_>>().map(Some)
    }

    /// Returns the columns of the key with their values, or `None` if one has a type without a simple text.
    fn key_columns<'b>(
        &'b self,
        current: &Current,
        fold: &Fold<'_>,
        versions: &[&Version],
    ) -> Option<Vec<KeyColumn<'b>>> {
        let places = self.schema().key_indices()?;
        let column = |(name, place): (&'b String, usize)| {
            let cast = match Type::from_oid(*current.types.get(name)?)? {
                Type::INT2 | Type::INT4 | Type::INT8 => "int8",
                Type::TEXT | Type::VARCHAR => "text",
                Type::BOOL => "bool",
                _ => return None,
            };
            let value = |version: &&Version| match (cast, *fold.values(version).get(place)?) {
                ("int8", Value::Int(number)) => Some(number.to_string()),
                ("text", Value::Text(text)) => Some(text.to_owned()),
                ("bool", Value::Bool(flag)) => Some(flag.to_string()),
                _ => None,
            };
            Some(KeyColumn {
                name,
                cast,
                values: versions.iter().map(value).collect::<Option<_>>()?,
            })
        };
        self.key().iter().zip(places).map(column).collect()
    }
}

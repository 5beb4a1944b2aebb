//! Rows into the target, one prepared statement over and over. A row that a constraint refuses
//! fails alone: the statement is undone and the transaction goes on.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use schemas::column::RowSchema;
use schemas::name::Lane;

use super::cell::{Cell, is_text};
use super::failure;
use super::records::int;
use crate::error::{Error, ErrorKind, Result};
use crate::merge::{Effect, Fold, Place, Version, effect, fold};
use crate::port::Arrival;
use crate::table::{EPOCH, NUMBER, listed, quoted};

/// A row that was refused.
pub(super) struct Refused {
    pub(super) ordinal: u64,
    pub(super) reason: String,
    pub(super) bytes: Vec<u8>,
}

struct Target<'tx> {
    tx: &'tx Transaction<'tx>,
    lane: &'tx Lane,
    upsert: CachedStatement<'tx>,
    with_tombstones: Option<(CachedStatement<'tx>, CachedStatement<'tx>)>,
    keys: Vec<usize>,
    text: Vec<bool>,
}

/// Stores the rows of one chunk. Each chunk by itself: a row that is refused must leave the
/// older version of its key standing, whichever chunks came in the same call.
pub(super) fn store(tx: &Transaction<'_>, lane: &Lane, arrival: &Arrival) -> Result<Vec<Refused>> {
    let schema = &arrival.chunk.manifest.schema;
    let fold = fold(schema, &[(0, arrival)]).map_err(|error| {
        Error::new(
            ErrorKind::Database,
            format!("a verified chunk does not read: {error}"),
            "report it",
        )
    })?;
    let fail = |error: rusqlite::Error| failure::of(&error);
    let mut target = Target::new(tx, lane, schema).map_err(fail)?;
    let mut refused = Vec::new();
    for version in &fold.versions {
        match target.put(&fold, version) {
            Ok(()) => {}
            Err(error) => {
                let reason = failure::of_row(&error).ok_or_else(|| failure::of(&error))?;
                let mut bytes = Vec::new();
                // Rows that were unpacked can be packed.
                let _ = schemas::rows::pack(fold.values(version), &mut bytes);
                refused.push(Refused {
                    ordinal: version.ordinal,
                    reason,
                    bytes,
                });
            }
        }
    }
    Ok(refused)
}

impl<'tx> Target<'tx> {
    fn new(tx: &'tx Transaction<'tx>, lane: &'tx Lane, schema: &RowSchema) -> rusqlite::Result<Self> {
        let table = quoted(lane.feed.as_str());
        let names: Vec<&str> = schema
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .chain([EPOCH, NUMBER])
            .collect();
        let key: Vec<&str> = schema.key.iter().map(String::as_str).collect();
        let sets: Vec<String> = names
            .iter()
            .filter(|name| !key.contains(name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let upsert = tx.prepare_cached(&format!(
            "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {} \
             WHERE ({table}.{EPOCH}, {table}.{NUMBER}) < (excluded.{EPOCH}, excluded.{NUMBER})",
            listed(names.iter().copied()),
            vec!["?"; names.len()].join(", "),
            listed(key.iter().copied()),
            sets.join(", "),
        ))?;
        let matches: Vec<String> = key.iter().map(|name| format!("{} IS ?", quoted(name))).collect();
        let matches = matches.join(" AND ");
        let with_tombstones = match schema.tombstone {
            Some(_) => Some((
                tx.prepare_cached(&format!("SELECT {EPOCH}, {NUMBER} FROM {table} WHERE {matches}"))?,
                tx.prepare_cached(&format!("DELETE FROM {table} WHERE {matches}"))?,
            )),
            None => None,
        };
        let keys = schema.key_indices().unwrap_or_default();
        let text = schema
            .columns
            .iter()
            .map(|column| is_text(&column.kind))
            .collect();
        Ok(Self {
            tx,
            lane,
            upsert,
            with_tombstones,
            keys,
            text,
        })
    }

    fn put(&mut self, fold: &Fold<'_>, version: &Version) -> rusqlite::Result<()> {
        let values = fold.values(version);
        if let Some((find, delete)) = &mut self.with_tombstones {
            let key = |statement: &mut CachedStatement<'_>| -> rusqlite::Result<()> {
                for (parameter, index) in self.keys.iter().enumerate() {
                    let text = self.text.get(*index).copied().unwrap_or_default();
                    statement.raw_bind_parameter(parameter + 1, Cell(values.get(*index), text))?;
                }
                Ok(())
            };
            key(find)?;
            let row = find.raw_query().next()?.map(place).transpose()?;
            let (recipient, feed) = (self.lane.recipient.as_str(), self.lane.feed.as_str());
            let tombstone = self
                .tx
                .prepare_cached("SELECT epoch, number FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND key = ?3")?
                .query_row(params![recipient, feed, version.key], place)
                .optional()?;
            match effect(version.place, version.deleted, row, tombstone) {
                Effect::Keep => return Ok(()),
                Effect::Write => {}
                Effect::Remove => {
                    key(delete)?;
                    delete.raw_execute()?;
                    self.tx
                        .prepare_cached(
                            "INSERT OR REPLACE INTO slacktide_tombstones VALUES (?1, ?2, ?3, ?4, ?5)",
                        )?
                        .execute(params![
                            recipient,
                            feed,
                            version.key,
                            version.place.epoch,
                            int(version.place.number)
                        ])?;
                    return Ok(());
                }
            }
        }
        let mut parameter = 0;
        for (index, value) in values.iter().enumerate() {
            parameter = index + 1;
            let text = self.text.get(index).copied().unwrap_or_default();
            self.upsert
                .raw_bind_parameter(parameter, Cell(Some(value), text))?;
        }
        self.upsert
            .raw_bind_parameter(parameter + 1, version.place.epoch)?;
        self.upsert
            .raw_bind_parameter(parameter + 2, int(version.place.number))?;
        self.upsert.raw_execute().map(|_| ())
    }
}

fn place(row: &rusqlite::Row<'_>) -> rusqlite::Result<Place> {
    let number: i64 = row.get(1)?;
    Ok(Place {
        epoch: row.get(0)?,
        number: u64::try_from(number).unwrap_or(0),
    })
}

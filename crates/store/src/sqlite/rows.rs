//! Rows into the target, one prepared statement over and over. A row that a constraint refuses
//! fails alone: the statement is undone and the transaction goes on.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::name::Lane;
use schemas::value::Value;

use super::cell::{Cell, is_text};
use super::failure;
use super::records::int;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::merge::{Effect, Fold, Place, Version, effect, every};
use crate::port::Arrival;
use crate::table::shape::{Routes, Shape};
use crate::table::{DELETED, EPOCH, NUMBER, ORDINAL, STORED_AT, listed, quoted};

/// A row that was refused.
pub(super) struct Refused {
    pub(super) ordinal: u64,
    pub(super) reason: String,
    pub(super) bytes: Vec<u8>,
}

/// What became of a chunk's rows.
#[derive(Default)]
pub(super) struct Done {
    /// Those that were refused.
    pub(super) refused: Vec<Refused>,
    /// How many more rows the table of newest versions has, or without one the history.
    pub(super) net: i64,
}

/// Where a chunk's rows go.
pub(super) struct Tables<'a> {
    pub(super) layout: &'a Layout,
    pub(super) shape: &'a Shape,
    /// The ordinal of the chunk's first row: above 0 where the chunk is a single row of one.
    pub(super) first: u64,
    /// Whether the chunk is a whole one, which may be stored again over rows that others changed.
    pub(super) is_whole: bool,
}

struct Target<'tx> {
    tx: &'tx Transaction<'tx>,
    lane: &'tx Lane,
    upsert: CachedStatement<'tx>,
    find: CachedStatement<'tx>,
    delete: Option<CachedStatement<'tx>>,
    is_whole: bool,
    net: i64,
    keys: Vec<usize>,
    cells: Vec<Form>,
}

/// How a column's values are written.
#[derive(Clone, Copy)]
struct Form {
    text: bool,
    /// A date in a column of times.
    midnight: bool,
}

/// Stores the rows of one chunk. Each chunk by itself: a row that is refused must leave the
/// older version of its key standing, whichever chunks came in the same call. A row is in all
/// tables or in none: what one of them refuses is taken back from the other.
pub(super) fn store(tx: &Transaction<'_>, lane: &Lane, to: &Tables<'_>, arrival: &Arrival) -> Result<Done> {
    let schema = &arrival.chunk.manifest.schema;
    let routes = to.shape.routes(schema, Place::of(arrival), to.layout);
    let read = || {
        every(schema, &[(0, arrival)]).map_err(|error| {
            Error::new(
                ErrorKind::Database,
                format!("a verified chunk does not read: {error}"),
                "report it",
            )
        })
    };
    let fail = |error: rusqlite::Error| failure::of(&error);
    let (mut refused, mut net) = (Vec::new(), 0);
    let mut history = match to.layout.mode.keeps_history() {
        true => Some(History::new(tx, to, &routes, schema).map_err(fail)?),
        false => None,
    };
    if let Some(history) = &mut history {
        let all = read()?;
        for version in &all.versions {
            match history.put(&all, version) {
                Ok(()) => net += 1,
                Err(error) => refused.push(refusal(&all, version, to.first, &error)?),
            }
        }
    }
    if !to.layout.mode.keeps_current() {
        return Ok(Done { refused, net });
    }
    let out: BTreeSet<u64> = refused.iter().map(|row| row.ordinal).collect();
    let all = read()?.newest(|version| !out.contains(&(to.first + version.ordinal)));
    let mut target = Target::new(tx, lane, to, &routes, schema).map_err(fail)?;
    for version in &all.versions {
        if let Err(error) = target.put(&all, version) {
            refused.push(refusal(&all, version, to.first, &error)?);
            if let Some(history) = &mut history {
                history.take_back(version).map_err(fail)?;
            }
        }
    }
    let net = target.net;
    Ok(Done { refused, net })
}

/// A row that was refused by its own fault.
fn refusal(fold: &Fold<'_>, version: &Version, first: u64, error: &rusqlite::Error) -> Result<Refused> {
    let reason = failure::of_row(error).ok_or_else(|| failure::of(error))?;
    let mut bytes = Vec::new();
    // Rows that were unpacked can be packed.
    let _ = schemas::rows::pack(fold.values(version), &mut bytes);
    Ok(Refused {
        ordinal: first + version.ordinal,
        reason,
        bytes,
    })
}

fn forms(schema: &RowSchema, routes: &Routes) -> Vec<Form> {
    let form = |(column, kind): (&Column, &ColumnType)| Form {
        text: is_text(kind),
        midnight: column.kind == ColumnType::Date && *kind == ColumnType::Timestamp,
    };
    schema.columns.iter().zip(&routes.kinds).map(form).collect()
}

/// Binds the values of a row from the first parameter on, and says how many they were.
fn bind(
    statement: &mut CachedStatement<'_>,
    values: &[Value<'_>],
    forms: &[Form],
) -> rusqlite::Result<usize> {
    for (index, (value, form)) in values.iter().zip(forms).enumerate() {
        match value {
            Value::Text(date) if form.midnight => {
                statement.raw_bind_parameter(index + 1, midnight(date))?;
            }
            value => statement.raw_bind_parameter(index + 1, Cell(Some(value), form.text))?,
        }
    }
    Ok(values.len())
}

/// A date as the time that it begins with, as databases convert it.
fn midnight(date: &str) -> String {
    match date.strip_suffix(" BC") {
        _ if date.ends_with("infinity") || date.contains(':') => date.to_owned(),
        Some(day) => format!("{day} 00:00:00 BC"),
        None => format!("{date} 00:00:00"),
    }
}

/// Every version, as it came.
struct History<'tx> {
    insert: CachedStatement<'tx>,
    delete: CachedStatement<'tx>,
    cells: Vec<Form>,
    first: u64,
    now: String,
}

impl<'tx> History<'tx> {
    fn new(
        tx: &'tx Transaction<'tx>,
        to: &Tables<'_>,
        routes: &Routes,
        schema: &RowSchema,
    ) -> rusqlite::Result<Self> {
        let table = quoted(&to.layout.history);
        let own = [EPOCH, NUMBER, ORDINAL, DELETED, STORED_AT];
        let names: Vec<&str> = routes.names.iter().map(String::as_str).chain(own).collect();
        Ok(Self {
            insert: tx.prepare_cached(&format!(
                "INSERT INTO {table} ({}) VALUES ({})",
                listed(names.iter().copied()),
                vec!["?"; names.len()].join(", ")
            ))?,
            delete: tx.prepare_cached(&format!(
                "DELETE FROM {table} WHERE {EPOCH} = ?1 AND {NUMBER} = ?2 AND {ORDINAL} = ?3"
            ))?,
            cells: forms(schema, routes),
            first: to.first,
            now: Timestamp::now().to_string(),
        })
    }

    fn put(&mut self, fold: &Fold<'_>, version: &Version) -> rusqlite::Result<()> {
        let bound = bind(&mut self.insert, fold.values(version), &self.cells)?;
        self.insert.raw_bind_parameter(bound + 1, version.place.epoch)?;
        self.insert
            .raw_bind_parameter(bound + 2, int(version.place.number))?;
        self.insert
            .raw_bind_parameter(bound + 3, int(self.first + version.ordinal))?;
        self.insert.raw_bind_parameter(bound + 4, version.deleted)?;
        self.insert.raw_bind_parameter(bound + 5, &self.now)?;
        self.insert.raw_execute().map(|_| ())
    }

    fn take_back(&mut self, version: &Version) -> rusqlite::Result<()> {
        let ordinal = int(self.first + version.ordinal);
        self.delete
            .execute(params![version.place.epoch, int(version.place.number), ordinal])
            .map(|_| ())
    }
}

impl<'tx> Target<'tx> {
    fn new(
        tx: &'tx Transaction<'tx>,
        lane: &'tx Lane,
        to: &Tables<'_>,
        routes: &Routes,
        schema: &RowSchema,
    ) -> rusqlite::Result<Self> {
        let table = quoted(&to.layout.table);
        let bound = || routes.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
        // What does not come is NULL afterwards: a version is whole, whatever stood there before.
        let names: Vec<&str> = bound().chain(routes.missing.iter().map(String::as_str)).collect();
        let key: Vec<&str> = schema.key.iter().map(|name| to.layout.column(name)).collect();
        let sets: Vec<String> = names
            .iter()
            .filter(|name| !key.contains(name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let upsert = tx.prepare_cached(&format!(
            "INSERT INTO {table} ({}) VALUES ({}{}) ON CONFLICT ({}) DO UPDATE SET {} \
             WHERE ({table}.{EPOCH}, {table}.{NUMBER}) {} (excluded.{EPOCH}, excluded.{NUMBER})",
            listed(names.iter().copied()),
            vec!["?"; bound().count()].join(", "),
            ", NULL".repeat(routes.missing.len()),
            listed(key.iter().copied()),
            sets.join(", "),
            if to.is_whole { "<=" } else { "<" },
        ))?;
        let matches: Vec<String> = key.iter().map(|name| format!("{} IS ?", quoted(name))).collect();
        let matches = matches.join(" AND ");
        // A chunk from before the feed had a tombstone column must not pass by the tombstones of
        // later ones.
        let deletes = schema.tombstone.is_some() || to.shape.known.tombstone.is_some();
        let find = tx.prepare_cached(&format!("SELECT {EPOCH}, {NUMBER} FROM {table} WHERE {matches}"))?;
        let delete = match deletes {
            true => Some(tx.prepare_cached(&format!("DELETE FROM {table} WHERE {matches}"))?),
            false => None,
        };
        Ok(Self {
            tx,
            lane,
            upsert,
            find,
            delete,
            is_whole: to.is_whole,
            net: 0,
            keys: schema.key_indices().unwrap_or_default(),
            cells: forms(schema, routes),
        })
    }

    fn put(&mut self, fold: &Fold<'_>, version: &Version) -> rusqlite::Result<()> {
        let values = fold.values(version);
        let key = |statement: &mut CachedStatement<'_>| -> rusqlite::Result<()> {
            for (parameter, index) in self.keys.iter().enumerate() {
                let text = self.cells.get(*index).is_some_and(|form| form.text);
                statement.raw_bind_parameter(parameter + 1, Cell(values.get(*index), text))?;
            }
            Ok(())
        };
        key(&mut self.find)?;
        let row = self.find.raw_query().next()?.map(place).transpose()?;
        let is_new = row.is_none();
        if let Some(delete) = &mut self.delete {
            // A chunk that is stored again goes over what it stored before.
            let row = row.filter(|row| !self.is_whole || *row != version.place);
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
                    self.net -= i64::try_from(delete.raw_execute()?).unwrap_or(0);
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
        let bound = bind(&mut self.upsert, values, &self.cells)?;
        self.upsert.raw_bind_parameter(bound + 1, version.place.epoch)?;
        self.upsert
            .raw_bind_parameter(bound + 2, int(version.place.number))?;
        let written = self.upsert.raw_execute()?;
        if is_new {
            self.net += i64::try_from(written).unwrap_or(0);
        }
        Ok(())
    }
}

fn place(row: &rusqlite::Row<'_>) -> rusqlite::Result<Place> {
    let number: i64 = row.get(1)?;
    Ok(Place {
        epoch: row.get(0)?,
        number: u64::try_from(number).unwrap_or(0),
    })
}

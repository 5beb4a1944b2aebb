//! Writes rows into the target with a prepared statement. A refused row fails alone: its statement is rolled back and
//! the transaction continues.
//!
//! `OR ABORT` overrides a table's own conflict clauses: `UNIQUE ON CONFLICT REPLACE` would delete another row, `NOT
//! NULL ON CONFLICT REPLACE` would replace a null by a default.
//!
//! A trigger can do more than refuse. `RAISE(FAIL)` leaves earlier changes in place, so each row of a table with
//! triggers has its own savepoint. `RAISE(IGNORE)` ignores the row without an error, so the row is looked up.
//! `RAISE(ROLLBACK)` rolls back the transaction, so everything is repeated without the row ([`RolledBackRows`]).

mod free_unique;
mod history;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::key::has_canonical_form;
use schemas::name::Lane;
use schemas::value::Value;

use history::History;

use super::cell::{Cell, is_text};
use super::failure::{self, RowRefusal};
use super::numbers::int;
use super::traits::{Merge, Traits, traits};
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::merge::{Effect, Fold, Version, effect, every};
use crate::quarantine::LEFT_OUT;
use crate::sql_name::{listed, quoted};
use crate::table::shape::{ColumnMapping, Shape};
use crate::table::{EPOCH, KEY, NUMBER};

pub(super) use free_unique::{FreedColumns, columns_to_free, free_unique_values};

/// A refused row.
pub(super) struct Refused {
    pub(super) ordinal: u64,
    pub(super) reason: String,
    pub(super) bytes: Vec<u8>,
    /// Whether another row may make room for it.
    pub(super) is_retryable: bool,
}

/// The result of storing a chunk's rows.
#[derive(Default)]
pub(super) struct StoredRows {
    /// The refused rows.
    pub(super) refused: Vec<Refused>,
    /// The number of additional rows in the table of newest versions, or in the history if it is the only table.
    pub(super) net: i64,
}

/// Rows for which a trigger rolled back the whole transaction, with the reason: they are refused without another try.
#[derive(Debug, Default)]
pub(super) struct RolledBackRows {
    rows: BTreeMap<(ChunkNumber, u64), RowRefusal>,
    is_new: bool,
}

impl RolledBackRows {
    /// Returns whether the transaction was rolled back and must be repeated.
    pub(super) fn take(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }
}

/// The target of a chunk's rows.
pub(super) struct ChunkTarget<'a> {
    pub(super) layout: &'a Layout,
    pub(super) shape: &'a Shape,
    /// The number of the chunk's first row: above 0 if the chunk is a single row.
    pub(super) first: u64,
    /// Whether the chunk is complete, so that it may be stored again over rows that others changed.
    pub(super) is_whole: bool,
}

struct Target<'tx> {
    tx: &'tx Connection,
    lane: &'tx Lane,
    traits: Traits,
    upsert: CachedStatement<'tx>,
    /// Sets the canonical key of a row that existed before.
    claim: Option<CachedStatement<'tx>>,
    find: CachedStatement<'tx>,
    matches: String,
    delete: CachedStatement<'tx>,
    has_tombstones: bool,
    is_whole: bool,
    same: RowMatcher,
    /// How each value is written.
    cells: Vec<ColumnBinding>,
}

/// How a column's values are written.
#[derive(Clone, Copy)]
struct ColumnBinding {
    text: bool,
    /// A date in a timestamp column.
    midnight: bool,
    /// A computed column.
    left_out: bool,
}

/// Stores the rows of one chunk. Chunks are stored separately: a refused row must leave the older version of its key
/// in place, for any grouping of chunks. A row is in all tables or in none: a row that one table refuses is removed
/// from the other.
pub(super) fn store(
    tx: &Connection,
    lane: &Lane,
    to: &ChunkTarget<'_>,
    arrival: &Arrival,
    undone: &mut RolledBackRows,
) -> Result<StoredRows> {
    let schema = &arrival.chunk.manifest.content.schema;
    let mapping = to.shape.mapping(schema, ChunkNumber::of(arrival), to.layout);
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
        true => Some(History::new(tx, to, &mapping, schema).map_err(fail)?),
        false => None,
    };
    if let Some(history) = &mut history {
        let all = read()?;
        for version in &all.versions {
            let at = (version.chunk_number, to.first + version.ordinal);
            let why = match undone.rows.get(&at) {
                Some(why) => Some(why.clone()),
                None => refusal(tx, history.put(tx, &all, version), at, undone)?,
            };
            net += i64::from(why.is_none());
            refused.extend(why.map(|why| refused_row(&all, version, to.first, why)));
        }
    }
    if !to.layout.mode.keeps_current() {
        return Ok(StoredRows { refused, net });
    }
    net = 0;
    let out: BTreeSet<u64> = refused.iter().map(|row| row.ordinal).collect();
    let all = read()?.newest(|version| !out.contains(&(to.first + version.ordinal)));
    let mut target = Target::new(tx, lane, to, &mapping, schema).map_err(fail)?;
    for version in &all.versions {
        let at = (version.chunk_number, to.first + version.ordinal);
        let why = match undone.rows.get(&at) {
            Some(why) => Some(why.clone()),
            None => {
                let put = target.put(&all, version);
                net += put.as_ref().ok().copied().flatten().unwrap_or(0);
                refusal(tx, put.map(|more| more.is_some()), at, undone)?
            }
        };
        let Some(why) = why else { continue };
        refused.push(refused_row(&all, version, to.first, why));
        if let Some(history) = &mut history {
            history.take_back(version).map_err(fail)?;
        }
    }
    Ok(StoredRows { refused, net })
}

/// Returns why a row is not stored, if the row caused it. A row that rolled back the transaction is recorded and ends
/// the call with an error.
fn refusal(
    tx: &Connection,
    put: rusqlite::Result<bool>,
    at: (ChunkNumber, u64),
    undone: &mut RolledBackRows,
) -> Result<Option<RowRefusal>> {
    let error = match put {
        Ok(true) => return Ok(None),
        Ok(false) => return Ok(Some(RowRefusal::of(LEFT_OUT))),
        Err(error) => error,
    };
    let why = failure::of_row(&error).ok_or_else(|| failure::of(&error))?;
    if !tx.is_autocommit() {
        return Ok(Some(why));
    }
    undone.rows.insert(at, why);
    undone.is_new = true;
    Err(failure::of(&error))
}

fn refused_row(fold: &Fold<'_>, version: &Version, first: u64, why: RowRefusal) -> Refused {
    let mut bytes = Vec::new();
    // A row that was unpacked can be packed.
    let _ = schemas::rows::pack(fold.values(version), &mut bytes);
    Refused {
        ordinal: first + version.ordinal,
        reason: why.reason,
        bytes,
        is_retryable: why.is_retryable,
    }
}

/// Runs a statement for one row of a table with triggers: its changes are rolled back if it fails.
fn alone<T>(
    tx: &Connection,
    is_watched: bool,
    work: impl FnOnce() -> rusqlite::Result<T>,
    is_done: impl FnOnce(&T) -> bool,
) -> rusqlite::Result<T> {
    if !is_watched {
        return work();
    }
    tx.prepare_cached("SAVEPOINT slacktide_row")?.execute([])?;
    let done = work();
    // A rollback of the transaction also removed the savepoint.
    if !tx.is_autocommit() {
        if !done.as_ref().is_ok_and(is_done) {
            tx.prepare_cached("ROLLBACK TO slacktide_row")?.execute([])?;
        }
        tx.prepare_cached("RELEASE slacktide_row")?.execute([])?;
    }
    done
}

fn forms(schema: &RowSchema, mapping: &ColumnMapping, traits: &Traits) -> Vec<ColumnBinding> {
    let form = |((column, kind), name): ((&Column, &ColumnType), &String)| ColumnBinding {
        text: is_text(kind),
        midnight: column.kind == ColumnType::Date && *kind == ColumnType::Timestamp,
        left_out: !traits.writes(name),
    };
    let kinds = schema.columns.iter().zip(&mapping.kinds);
    kinds.zip(&mapping.names).map(form).collect()
}

/// Binds the values of a row from the first parameter on. Returns their number.
fn bind(
    statement: &mut CachedStatement<'_>,
    values: &[Value<'_>],
    forms: &[ColumnBinding],
) -> rusqlite::Result<usize> {
    let mut bound = 0;
    for (value, form) in values.iter().zip(forms).filter(|(_, form)| !form.left_out) {
        bound += 1;
        match value {
            Value::Text(date) if form.midnight => statement.raw_bind_parameter(bound, midnight(date))?,
            value => statement.raw_bind_parameter(bound, Cell(Some(value), form.text))?,
        }
    }
    Ok(bound)
}

/// Returns the midnight timestamp of a date, as databases convert it.
fn midnight(date: &str) -> String {
    match date.strip_suffix(" BC") {
        _ if date.ends_with("infinity") || date.contains(':') => date.to_owned(),
        Some(day) => format!("{day} 00:00:00 BC"),
        None => format!("{date} 00:00:00"),
    }
}

impl<'tx> Target<'tx> {
    fn new(
        tx: &'tx Connection,
        lane: &'tx Lane,
        to: &ChunkTarget<'_>,
        mapping: &ColumnMapping,
        schema: &RowSchema,
    ) -> rusqlite::Result<Self> {
        let table = quoted(&to.layout.table);
        let traits = traits(tx, &to.layout.table)?;
        let bound = mapping.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
        let bound: Vec<&str> = bound
            .filter(|name| traits.writes(name))
            .chain((traits.merge != Merge::Typed).then_some(KEY))
            .collect();
        // Columns that are not sent become NULL: a version is complete.
        let missing = mapping
            .missing
            .iter()
            .map(String::as_str)
            .filter(|name| traits.writes(name));
        let missing: Vec<&str> = missing.collect();
        let key: Vec<&str> = schema.key.iter().map(|name| to.layout.column(name)).collect();
        let has_canonical_form = |name: &str| {
            let chunk_number = mapping.names.iter().position(|known| known == name);
            let column = chunk_number.and_then(|chunk_number| schema.columns.get(chunk_number));
            column.is_some_and(|column| has_canonical_form(&column.kind))
        };
        let is_set =
            |name: &&&str| !key.contains(name) || (traits.merge != Merge::Typed && has_canonical_form(name));
        let sets: Vec<String> = bound
            .iter()
            .chain(&missing)
            .filter(is_set)
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let (arbiter, guard) = match traits.merge {
            Merge::Typed => (listed(key.iter().copied()), String::new()),
            Merge::Guarded => (
                listed(key.iter().copied()),
                format!(" AND ({table}.{KEY} IS NULL OR {table}.{KEY} = excluded.{KEY})"),
            ),
            Merge::Keyed => (KEY.to_owned(), String::new()),
        };
        let upsert = tx.prepare_cached(&format!(
            "INSERT OR ABORT INTO {table} ({}) VALUES ({}{}) ON CONFLICT ({arbiter}) DO UPDATE SET {} \
             WHERE ({table}.{EPOCH}, {table}.{NUMBER}) {} (excluded.{EPOCH}, excluded.{NUMBER}){guard}",
            listed(bound.iter().chain(&missing).copied()),
            vec!["?"; bound.len()].join(", "),
            ", NULL".repeat(missing.len()),
            sets.join(", "),
            if to.is_whole { "<=" } else { "<" },
        ))?;
        let typed: Vec<String> = key.iter().map(|name| format!("{} IS ?", quoted(name))).collect();
        let typed = typed.join(" AND ");
        let matches = match traits.merge {
            Merge::Typed => typed.clone(),
            Merge::Guarded => format!("{typed} AND ({KEY} IS NULL OR {KEY} = ?)"),
            Merge::Keyed => format!("{KEY} = ?"),
        };
        let claim = match traits.merge {
            Merge::Keyed => Some(tx.prepare_cached(&format!(
                "UPDATE OR ABORT {table} SET {KEY} = ? WHERE {KEY} IS NULL AND {typed}"
            ))?),
            _ => None,
        };
        let (keys, cells) = (
            schema.key_indices().unwrap_or_default(),
            forms(schema, mapping, &traits),
        );
        let is_text_at = |index: usize| cells.get(index).is_some_and(|form| form.text);
        Ok(Self {
            tx,
            lane,
            upsert,
            claim,
            find: tx.prepare_cached(&format!("SELECT {EPOCH}, {NUMBER} FROM {table} WHERE {matches}"))?,
            delete: tx.prepare_cached(&format!("DELETE FROM {table} WHERE {matches}"))?,
            matches,
            // A chunk from before the feed had a tombstone column must not ignore the tombstones of later chunks.
            has_tombstones: schema.tombstone.is_some() || to.shape.known.tombstone.is_some(),
            is_whole: to.is_whole,
            same: RowMatcher {
                merge: traits.merge,
                keys: keys.into_iter().map(|index| (index, is_text_at(index))).collect(),
            },
            cells,
            traits,
        })
    }

    /// Writes a version or removes the row that it deletes. Returns the number of additional rows; `None` if neither
    /// happened.
    fn put(&mut self, fold: &Fold<'_>, version: &Version) -> rusqlite::Result<Option<i64>> {
        let (tx, is_watched) = (self.tx, self.traits.is_watched);
        alone(tx, is_watched, || self.put_alone(fold, version), Option::is_some)
    }

    fn put_alone(&mut self, fold: &Fold<'_>, version: &Version) -> rusqlite::Result<Option<i64>> {
        let values = fold.values(version);
        if let Some(claim) = &mut self.claim {
            claim.raw_bind_parameter(1, &version.key)?;
            self.same.bind_key(claim, values, 2)?;
            claim.raw_execute()?;
        }
        let before = self.existing(values, version)?;
        if self.has_tombstones {
            // A chunk that is stored again overwrites its own rows.
            let row = before.filter(|row| !self.is_whole || *row != version.chunk_number);
            let (recipient, feed) = (self.lane.recipient.as_str(), self.lane.feed.as_str());
            let tombstone = self
                .tx
                .prepare_cached("SELECT epoch, number FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND key = ?3")?
                .query_row(params![recipient, feed, version.key], chunk_number)
                .optional()?;
            match effect(version.chunk_number, version.deleted, row, tombstone) {
                Effect::Keep => return Ok(Some(0)),
                Effect::Write => {}
                Effect::Remove => return self.remove(values, version),
            }
        }
        let bound = bind(&mut self.upsert, values, &self.cells)?;
        self.upsert
            .raw_bind_parameter(bound + 1, version.chunk_number.epoch)?;
        self.upsert
            .raw_bind_parameter(bound + 2, int(version.chunk_number.number))?;
        if self.same.merge != Merge::Typed {
            self.upsert.raw_bind_parameter(bound + 3, &version.key)?;
        }
        let more = i64::from(before.is_none());
        if self.upsert.raw_execute()? > 0 && !self.traits.is_watched {
            return Ok(Some(more));
        }
        // Nothing was written: a newer version is stored, the guard keeps another key's row, or a trigger ignored the
        // row.
        let existing = self.existing(values, version)?;
        let is_done = existing.is_some_and(|existing| existing >= version.chunk_number);
        Ok(is_done.then_some(more))
    }

    fn remove(&mut self, values: &[Value<'_>], version: &Version) -> rusqlite::Result<Option<i64>> {
        self.same.bind(&mut self.delete, values, version)?;
        let removed = self.delete.raw_execute()?;
        if self.traits.is_watched && self.existing(values, version)?.is_some() {
            return Ok(None);
        }
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO slacktide_tombstones VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                self.lane.recipient.as_str(),
                self.lane.feed.as_str(),
                version.key,
                version.chunk_number.epoch,
                int(version.chunk_number.number)
            ])?;
        Ok(Some(-i64::try_from(removed).unwrap_or(0)))
    }

    /// Returns the chunk number of the stored version.
    fn existing(&mut self, values: &[Value<'_>], version: &Version) -> rusqlite::Result<Option<ChunkNumber>> {
        self.same.bind(&mut self.find, values, version)?;
        self.find.raw_query().next()?.map(chunk_number).transpose()
    }
}

/// The condition that finds the older version of a row.
struct RowMatcher {
    merge: Merge,
    /// The indices of the key's values, and whether their columns hold texts.
    keys: Vec<(usize, bool)>,
}

impl RowMatcher {
    /// Binds the key columns from a parameter on. Returns the next parameter.
    fn bind_key(
        &self,
        statement: &mut CachedStatement<'_>,
        values: &[Value<'_>],
        from: usize,
    ) -> rusqlite::Result<usize> {
        for (parameter, (index, text)) in self.keys.iter().enumerate() {
            statement.raw_bind_parameter(from + parameter, Cell(values.get(*index), *text))?;
        }
        Ok(from + self.keys.len())
    }

    /// Binds the condition's parameters. Returns the next parameter.
    fn bind(
        &self,
        statement: &mut CachedStatement<'_>,
        values: &[Value<'_>],
        version: &Version,
    ) -> rusqlite::Result<usize> {
        let next = match self.merge {
            Merge::Keyed => 1,
            Merge::Typed | Merge::Guarded => self.bind_key(statement, values, 1)?,
        };
        if self.merge == Merge::Typed {
            return Ok(next);
        }
        statement.raw_bind_parameter(next, &version.key)?;
        Ok(next + 1)
    }
}

fn chunk_number(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChunkNumber> {
    let number: i64 = row.get(1)?;
    Ok(ChunkNumber {
        epoch: row.get(0)?,
        number: u64::try_from(number).unwrap_or(0),
    })
}

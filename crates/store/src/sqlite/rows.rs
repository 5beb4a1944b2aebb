//! Rows into the target, one prepared statement over and over. A row that a constraint refuses
//! fails alone: the statement is undone and the transaction goes on.
//!
//! `OR ABORT` stands for what a table's own conflict clauses say: `UNIQUE ON CONFLICT REPLACE` would delete another row,
//! `NOT NULL ON CONFLICT REPLACE` would put a default in the place of a null.
//!
//! A trigger may do more than refuse: `RAISE(FAIL)` leaves behind what was written until then, so a row of a table with
//! triggers has a savepoint of its own; `RAISE(IGNORE)` leaves the row out without an error, so it is looked for;
//! `RAISE(ROLLBACK)` undoes the transaction, so all is done again without the row ([`Undone`]).

mod history;
mod park;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::key::is_respelt;
use schemas::name::Lane;
use schemas::value::Value;

use history::History;

use super::cell::{Cell, is_text};
use super::failure::{self, Why};
use super::records::int;
use super::traits::{Merge, Traits, traits};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::merge::{Effect, Fold, Place, Version, effect, every};
use crate::port::Arrival;
use crate::quarantine::LEFT_OUT;
use crate::table::shape::{Routes, Shape};
use crate::table::{EPOCH, KEY, NUMBER, listed, quoted};

pub(super) use park::{Park, park, parks};

/// A row that was refused.
pub(super) struct Refused {
    pub(super) ordinal: u64,
    pub(super) reason: String,
    pub(super) bytes: Vec<u8>,
    /// Another row may make room for it.
    pub(super) waits: bool,
}

/// What became of a chunk's rows.
#[derive(Default)]
pub(super) struct Done {
    /// Those that were refused.
    pub(super) refused: Vec<Refused>,
    /// How many more rows the table of newest versions has, or without one the history.
    pub(super) net: i64,
}

/// Rows for which a trigger undid the whole transaction, with the reason: they are refused without another try.
#[derive(Debug, Default)]
pub(super) struct Undone {
    rows: BTreeMap<(Place, u64), Why>,
    is_new: bool,
}

impl Undone {
    /// Whether the transaction was undone and has to be done again.
    pub(super) fn take(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }
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
    traits: Traits,
    upsert: CachedStatement<'tx>,
    /// Gives a row that was in the table before the key in its one form.
    claim: Option<CachedStatement<'tx>>,
    find: CachedStatement<'tx>,
    matches: String,
    delete: CachedStatement<'tx>,
    has_tombstones: bool,
    is_whole: bool,
    same: Same,
    /// Which of the values are written, and how.
    cells: Vec<Form>,
}

/// How a column's values are written.
#[derive(Clone, Copy)]
struct Form {
    text: bool,
    /// A date in a column of times.
    midnight: bool,
    /// The table computes it.
    left_out: bool,
}

/// Stores the rows of one chunk. Each chunk by itself: a row that is refused must leave the
/// older version of its key standing, whichever chunks came in the same call. A row is in all
/// tables or in none: what one of them refuses is taken back from the other.
pub(super) fn store(
    tx: &Transaction<'_>,
    lane: &Lane,
    to: &Tables<'_>,
    arrival: &Arrival,
    undone: &mut Undone,
) -> Result<Done> {
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
            let at = (version.place, to.first + version.ordinal);
            let why = match undone.rows.get(&at) {
                Some(why) => Some(why.clone()),
                None => refusal(tx, history.put(tx, &all, version), at, undone)?,
            };
            net += i64::from(why.is_none());
            refused.extend(why.map(|why| refused_row(&all, version, to.first, why)));
        }
    }
    if !to.layout.mode.keeps_current() {
        return Ok(Done { refused, net });
    }
    net = 0;
    let out: BTreeSet<u64> = refused.iter().map(|row| row.ordinal).collect();
    let all = read()?.newest(|version| !out.contains(&(to.first + version.ordinal)));
    let mut target = Target::new(tx, lane, to, &routes, schema).map_err(fail)?;
    for version in &all.versions {
        let at = (version.place, to.first + version.ordinal);
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
    Ok(Done { refused, net })
}

/// Why a row is not stored, where that is its own fault. One for which the whole transaction was undone is noted, and
/// ends the call with an error.
fn refusal(
    tx: &Transaction<'_>,
    put: rusqlite::Result<bool>,
    at: (Place, u64),
    undone: &mut Undone,
) -> Result<Option<Why>> {
    let error = match put {
        Ok(true) => return Ok(None),
        Ok(false) => return Ok(Some(Why::of(LEFT_OUT))),
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

fn refused_row(fold: &Fold<'_>, version: &Version, first: u64, why: Why) -> Refused {
    let mut bytes = Vec::new();
    // Rows that were unpacked can be packed.
    let _ = schemas::rows::pack(fold.values(version), &mut bytes);
    Refused {
        ordinal: first + version.ordinal,
        reason: why.reason,
        bytes,
        waits: why.waits,
    }
}

/// Runs a statement for one row of a table with triggers: whatever it did is undone where it fails.
fn alone<T>(
    tx: &Transaction<'_>,
    is_watched: bool,
    work: impl FnOnce() -> rusqlite::Result<T>,
    is_done: impl FnOnce(&T) -> bool,
) -> rusqlite::Result<T> {
    if !is_watched {
        return work();
    }
    tx.prepare_cached("SAVEPOINT slacktide_row")?.execute([])?;
    let done = work();
    // Where the transaction was undone, so was the savepoint.
    if !tx.is_autocommit() {
        if !done.as_ref().is_ok_and(is_done) {
            tx.prepare_cached("ROLLBACK TO slacktide_row")?.execute([])?;
        }
        tx.prepare_cached("RELEASE slacktide_row")?.execute([])?;
    }
    done
}

fn forms(schema: &RowSchema, routes: &Routes, traits: &Traits) -> Vec<Form> {
    let form = |((column, kind), name): ((&Column, &ColumnType), &String)| Form {
        text: is_text(kind),
        midnight: column.kind == ColumnType::Date && *kind == ColumnType::Timestamp,
        left_out: !traits.writes(name),
    };
    let kinds = schema.columns.iter().zip(&routes.kinds);
    kinds.zip(&routes.names).map(form).collect()
}

/// Binds the values of a row from the first parameter on, and says how many they were.
fn bind(
    statement: &mut CachedStatement<'_>,
    values: &[Value<'_>],
    forms: &[Form],
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

/// A date as the time that it begins with, as databases convert it.
fn midnight(date: &str) -> String {
    match date.strip_suffix(" BC") {
        _ if date.ends_with("infinity") || date.contains(':') => date.to_owned(),
        Some(day) => format!("{day} 00:00:00 BC"),
        None => format!("{date} 00:00:00"),
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
        let traits = traits(tx, &to.layout.table)?;
        let bound = routes.names.iter().map(String::as_str).chain([EPOCH, NUMBER]);
        let bound: Vec<&str> = bound
            .filter(|name| traits.writes(name))
            .chain((traits.merge != Merge::Typed).then_some(KEY))
            .collect();
        // What does not come is NULL afterwards: a version is whole, whatever stood there before.
        let missing = routes
            .missing
            .iter()
            .map(String::as_str)
            .filter(|name| traits.writes(name));
        let missing: Vec<&str> = missing.collect();
        let key: Vec<&str> = schema.key.iter().map(|name| to.layout.column(name)).collect();
        let is_respelt = |name: &str| {
            let place = routes.names.iter().position(|known| known == name);
            let column = place.and_then(|place| schema.columns.get(place));
            column.is_some_and(|column| is_respelt(&column.kind))
        };
        let is_set = |name: &&&str| !key.contains(name) || (traits.merge != Merge::Typed && is_respelt(name));
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
            forms(schema, routes, &traits),
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
            // A chunk from before the feed had a tombstone column must not pass by the tombstones of later ones.
            has_tombstones: schema.tombstone.is_some() || to.shape.known.tombstone.is_some(),
            is_whole: to.is_whole,
            same: Same {
                merge: traits.merge,
                keys: keys.into_iter().map(|index| (index, is_text_at(index))).collect(),
            },
            cells,
            traits,
        })
    }

    /// Writes a version, or removes what it deletes, and returns how many more rows there are; `None` where neither
    /// came of it.
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
        let before = self.there(values, version)?;
        if self.has_tombstones {
            // A chunk that is stored again goes over what it stored before.
            let row = before.filter(|row| !self.is_whole || *row != version.place);
            let (recipient, feed) = (self.lane.recipient.as_str(), self.lane.feed.as_str());
            let tombstone = self
                .tx
                .prepare_cached("SELECT epoch, number FROM slacktide_tombstones WHERE recipient = ?1 AND feed = ?2 AND key = ?3")?
                .query_row(params![recipient, feed, version.key], place)
                .optional()?;
            match effect(version.place, version.deleted, row, tombstone) {
                Effect::Keep => return Ok(Some(0)),
                Effect::Write => {}
                Effect::Remove => return self.remove(values, version),
            }
        }
        let bound = bind(&mut self.upsert, values, &self.cells)?;
        self.upsert.raw_bind_parameter(bound + 1, version.place.epoch)?;
        self.upsert
            .raw_bind_parameter(bound + 2, int(version.place.number))?;
        if self.same.merge != Merge::Typed {
            self.upsert.raw_bind_parameter(bound + 3, &version.key)?;
        }
        let more = i64::from(before.is_none());
        if self.upsert.raw_execute()? > 0 && !self.traits.is_watched {
            return Ok(Some(more));
        }
        // Nothing was written because something newer stands there, because the guard keeps the row apart, or because a
        // trigger left it out.
        let there = self.there(values, version)?;
        let is_done = there.is_some_and(|there| there >= version.place);
        Ok(is_done.then_some(more))
    }

    fn remove(&mut self, values: &[Value<'_>], version: &Version) -> rusqlite::Result<Option<i64>> {
        self.same.bind(&mut self.delete, values, version)?;
        let removed = self.delete.raw_execute()?;
        if self.traits.is_watched && self.there(values, version)?.is_some() {
            return Ok(None);
        }
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO slacktide_tombstones VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                self.lane.recipient.as_str(),
                self.lane.feed.as_str(),
                version.key,
                version.place.epoch,
                int(version.place.number)
            ])?;
        Ok(Some(-i64::try_from(removed).unwrap_or(0)))
    }

    /// The place of the version that stands in the table.
    fn there(&mut self, values: &[Value<'_>], version: &Version) -> rusqlite::Result<Option<Place>> {
        self.same.bind(&mut self.find, values, version)?;
        self.find.raw_query().next()?.map(place).transpose()
    }
}

/// What finds the older version of a row.
struct Same {
    merge: Merge,
    /// Where the key's values are, and whether their columns hold texts.
    keys: Vec<(usize, bool)>,
}

impl Same {
    /// Binds the columns of the key from a parameter on, and says which comes next.
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

    /// Binds what finds the older version of a row, and says which parameter comes next.
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

fn place(row: &rusqlite::Row<'_>) -> rusqlite::Result<Place> {
    let number: i64 = row.get(1)?;
    Ok(Place {
        epoch: row.get(0)?,
        number: u64::try_from(number).unwrap_or(0),
    })
}

//! Older versions give up what is unique, so that rows which hold each other's values can be written.

use rusqlite::{Transaction, params};
use schemas::name::Lane;

use super::super::failure;
use super::super::records::int;
use super::super::traits::traits;
use super::{Tables, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::merge::{Place, every};
use crate::port::Arrival;
use crate::table::{EPOCH, KEY, NUMBER, quoted};

/// A column, and the expression that frees its value for a moment.
pub(in crate::sqlite) type Park = (String, String);

/// One column of each unique index beyond the key; preferably one that may be null. `None` where somebody would see the
/// moment: a trigger, or rows of another table that follow the column; or where there is none.
pub(in crate::sqlite) fn parks(
    tx: &Transaction<'_>,
    table: &str,
    key: &[&str],
) -> rusqlite::Result<Option<Vec<Park>>> {
    let traits = traits(tx, table)?;
    if traits.is_watched {
        return Ok(None);
    }
    let columns = tx
        .prepare(
            "SELECT l.name, i.name, c.\"notnull\", upper(c.type), EXISTS (SELECT 1 FROM sqlite_schema m \
             JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE \
             AND f.\"to\" = i.name COLLATE NOCASE) \
             FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) i JOIN pragma_table_xinfo(?1) c ON c.name = i.name \
             WHERE l.\"unique\" ORDER BY l.name, 3, i.seqno",
        )?
        .query_map(params![table], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<rusqlite::Result<Vec<(String, String, bool, String, bool)>>>()?;
    let is_free = |name: &str| {
        name != KEY && traits.writes(name) && !key.iter().any(|key| key.eq_ignore_ascii_case(name))
    };
    let (mut parks, mut done): (Vec<Park>, Option<String>) = (Vec::new(), None);
    for (index, name, is_bound, kind, is_followed) in columns.into_iter().filter(|column| is_free(&column.1))
    {
        if is_followed {
            return Ok(None);
        }
        if done.as_ref() == Some(&index) {
            continue;
        }
        done = Some(index);
        let is_number = ["INT", "REAL", "FLOA", "DOUB", "NUM", "DEC"]
            .iter()
            .any(|word| kind.contains(word));
        let value = match is_bound {
            false => "NULL",
            true if is_number && !kind.contains("TEXT") => "-1 - abs(random() % 1000000000)",
            true => "'~' || lower(hex(randomblob(10)))",
        };
        if !parks.iter().any(|(known, _)| *known == name) {
            parks.push((name, value.to_owned()));
        }
    }
    Ok((!parks.is_empty()).then_some(parks))
}

/// Lets the older version of a single row give up what is unique; `false` where its table does not let it.
pub(in crate::sqlite) fn park(
    tx: &Transaction<'_>,
    lane: &Lane,
    to: &Tables<'_>,
    arrival: &Arrival,
    parks: &[Park],
) -> Result<bool> {
    let schema = &arrival.chunk.manifest.schema;
    let routes = to.shape.routes(schema, Place::of(arrival), to.layout);
    let all = every(schema, &[(0, arrival)]).map_err(|error| {
        Error::new(
            ErrorKind::Database,
            format!("a verified chunk does not read: {error}"),
            "report it",
        )
    })?;
    let parked = || -> rusqlite::Result<()> {
        let target = Target::new(tx, lane, to, &routes, schema)?;
        let sets: Vec<String> = parks
            .iter()
            .map(|(name, value)| format!("{} = {value}", quoted(name)))
            .collect();
        let mut update = tx.prepare_cached(&format!(
            "UPDATE OR ABORT {} SET {} WHERE {} AND ({EPOCH}, {NUMBER}) < (?, ?)",
            quoted(&to.layout.table),
            sets.join(", "),
            target.matches,
        ))?;
        for version in &all.versions {
            let next = target.same.bind(&mut update, all.values(version), version)?;
            update.raw_bind_parameter(next, version.place.epoch)?;
            update.raw_bind_parameter(next + 1, int(version.place.number))?;
            update.raw_execute()?;
        }
        Ok(())
    };
    match parked() {
        Ok(()) => Ok(true),
        Err(error) if failure::of_row(&error).is_some() => Ok(false),
        Err(error) => Err(failure::of(&error)),
    }
}

//! Frees unique values of older versions, so that rows can be written that hold each other's values.

use rusqlite::{Connection, params};
use schemas::name::Lane;

use super::super::failure;
use super::super::numbers::int;
use super::super::traits::traits;
use super::{ChunkTarget, Target};
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::merge::every;
use crate::sql_name::quoted;
use crate::table::{EPOCH, KEY, NUMBER};

/// Columns, each with the expression that frees its value temporarily.
pub(in crate::sqlite) type FreedColumns = (String, String);

/// Returns one column of each unique index except the key, preferably a nullable one. Returns `None` if there is
/// none, or if the temporary value would be visible: a trigger, or rows of another table that follow the column.
pub(in crate::sqlite) fn columns_to_free(
    tx: &Connection,
    table: &str,
    key: &[&str],
) -> rusqlite::Result<Option<Vec<FreedColumns>>> {
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
    let (mut columns_to_free, mut done): (Vec<FreedColumns>, Option<String>) = (Vec::new(), None);
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
        if !columns_to_free.iter().any(|(known, _)| *known == name) {
            columns_to_free.push((name, value.to_owned()));
        }
    }
    Ok((!columns_to_free.is_empty()).then_some(columns_to_free))
}

/// Frees the unique values of the older version of a single row; `false` if its table does not allow it.
pub(in crate::sqlite) fn free_unique_values(
    tx: &Connection,
    lane: &Lane,
    to: &ChunkTarget<'_>,
    arrival: &Arrival,
    columns_to_free: &[FreedColumns],
) -> Result<bool> {
    let schema = &arrival.chunk.manifest.content.schema;
    let mapping = to.shape.mapping(schema, ChunkNumber::of(arrival), to.layout);
    let all = every(schema, &[(0, arrival)]).map_err(|error| {
        Error::new(
            ErrorKind::Database,
            format!("a verified chunk does not read: {error}"),
            "report it",
        )
    })?;
    let parked = || -> rusqlite::Result<()> {
        let target = Target::new(tx, lane, to, &mapping, schema)?;
        let sets: Vec<String> = columns_to_free
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
            update.raw_bind_parameter(next, version.chunk_number.epoch)?;
            update.raw_bind_parameter(next + 1, int(version.chunk_number.number))?;
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

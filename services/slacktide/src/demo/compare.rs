//! Compares core and store row by row with an independent reader: plain SQL on both files, without the code in between.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Rows};

use super::data::tables::{TABLES, Table};

/// The result of the comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Rows in the core.
    pub(crate) core: u64,
    /// Rows in the store.
    pub(crate) store: u64,
    /// Rows in the core only.
    pub(crate) missing: u64,
    /// Rows more than once in the store, or in the store only.
    pub(crate) duplicated: u64,
    /// Rows in both with different values.
    pub(crate) differing: u64,
}

impl Findings {
    /// Whether core and store are equal.
    #[cfg(test)]
    pub(crate) fn agree(&self) -> bool {
        self.core == self.store && self.missing + self.duplicated + self.differing == 0
    }
}

/// Opens a database file read-only.
pub(crate) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// A cheap check whether all rows have arrived: counts and sums of change times are equal.
pub(crate) fn caught_up(core: &Path, store: &Path) -> rusqlite::Result<bool> {
    let (core, store) = (open_read_only(core)?, open_read_only(store)?);
    for table in &TABLES {
        let sql = format!("SELECT count(*), total(updt_time) FROM \"{}\"", table.name);
        let read = |db: &Connection| {
            db.query_row(&sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)))
        };
        // The store may not have created the table yet.
        let Ok(there) = read(&store) else { return Ok(false) };
        let here = read(&core)?;
        if here.0 != there.0 || (here.1 - there.1).abs() > 0.5 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares every column of every row.
pub(crate) fn compare(core: &Path, store: &Path) -> rusqlite::Result<Findings> {
    let (core, store) = (open_read_only(core)?, open_read_only(store)?);
    let mut findings = Findings::default();
    for table in &TABLES {
        compare_table(&core, &store, table, &mut findings)?;
    }
    Ok(findings)
}

fn compare_table(
    core: &Connection,
    store: &Connection,
    table: &Table,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let mut columns: Vec<&str> = table.key.to_vec();
    columns.extend(
        table
            .all_columns()
            .into_iter()
            .filter(|name| !table.key.contains(name)),
    );
    let quoted: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let keys = &quoted[..table.key.len()];
    let sql = format!(
        "SELECT {} FROM \"{}\" ORDER BY {}",
        quoted.join(", "),
        table.name,
        keys.join(", ")
    );
    let (mut here, mut there) = (core.prepare(&sql)?, store.prepare(&sql)?);
    merge(
        &mut here.query([])?,
        &mut there.query([])?,
        columns.len(),
        table.key.len(),
        findings,
    )
}

/// Merges two lists in the order of their keys.
fn merge(
    here: &mut Rows<'_>,
    there: &mut Rows<'_>,
    width: usize,
    key: usize,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let (mut left, mut right) = (next(here, width)?, next(there, width)?);
    let mut matched: Option<Vec<Value>> = None;
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_keys(&left[..key], &right[..key]),
        };
        match order {
            Ordering::Less => {
                findings.core += 1;
                let was_matched = matched.as_deref() == left.as_ref().map(|row| &row[..key]);
                findings.missing += u64::from(!was_matched);
                left = next(here, width)?;
            }
            Ordering::Greater => {
                findings.store += 1;
                findings.duplicated += 1;
                right = next(there, width)?;
            }
            Ordering::Equal => {
                findings.core += 1;
                findings.store += 1;
                findings.differing += u64::from(left != right);
                matched = left.map(|row| row[..key].to_vec());
                left = next(here, width)?;
                right = next(there, width)?;
            }
        }
    }
}

fn next(rows: &mut Rows<'_>, width: usize) -> rusqlite::Result<Option<Vec<Value>>> {
    match rows.next()? {
        Some(row) => (0..width)
            .map(|at| row.get(at))
            .collect::<rusqlite::Result<_>>()
            .map(Some),
        None => Ok(None),
    }
}

/// Compares keys in SQLite's binary order; keys here are text.
fn compare_keys(left: &[Value], right: &[Value]) -> Ordering {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone().into_bytes(),
        other => format!("{other:?}").into_bytes(),
    };
    left.iter().map(text).cmp(right.iter().map(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(rows: &str) -> rusqlite::Result<Connection> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(&format!(
            "CREATE TABLE t (k TEXT, v); INSERT INTO t VALUES {rows};"
        ))?;
        Ok(db)
    }

    fn found(here: &str, there: &str) -> rusqlite::Result<Findings> {
        let (here, there) = (database(here)?, database(there)?);
        let sql = "SELECT k, v FROM t ORDER BY k";
        let (mut here, mut there) = (here.prepare(sql)?, there.prepare(sql)?);
        let mut findings = Findings::default();
        merge(&mut here.query([])?, &mut there.query([])?, 2, 1, &mut findings)?;
        Ok(findings)
    }

    #[test]
    fn compare_finds_missing_duplicated_and_differing_rows() -> rusqlite::Result<()> {
        let core = "('a','1.00'),('b','2.00'),('c','3.00')";
        assert!(found(core, core)?.agree());
        assert_eq!(found(core, "('a','1.00'),('c','3.00')")?.missing, 1);
        assert_eq!(
            found(core, "('a','1.00'),('b','2.00'),('b','2.00'),('c','3.00')")?.duplicated,
            1
        );
        assert_eq!(
            found(core, "('a','1.00'),('b','2.00'),('bb','2.00'),('c','3.00')")?.duplicated,
            1
        );
        assert_eq!(
            found(core, "('a','1.00'),('b','2.01'),('c','3.00')")?.differing,
            1
        );
        assert_eq!(
            found(core, "('a',1.00),('b','2.00'),('c','3.00')")?.differing,
            1,
            "a number differs from a text"
        );
        assert_eq!(
            found(core, "('d','1')")?,
            Findings {
                core: 3,
                store: 1,
                missing: 3,
                duplicated: 1,
                differing: 0
            }
        );
        Ok(())
    }
}

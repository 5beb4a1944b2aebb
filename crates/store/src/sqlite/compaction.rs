//! The upgrade for folded ledger entries.

use rusqlite::Connection;

use super::failure;
use crate::error::Result;

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Adds the column of folded entries.
pub(super) fn prepare(tx: &Connection) -> Result<()> {
    let is_there: bool = sql(tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('slacktide_lanes') WHERE name = 'compaction')",
        [],
        |row| row.get(0),
    ))?;
    if is_there {
        return Ok(());
    }
    sql(tx.execute_batch("ALTER TABLE slacktide_lanes ADD COLUMN compaction TEXT"))
}

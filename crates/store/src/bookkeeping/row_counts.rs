//! How many rows the tables of feeds must have: `base_rows` of a table, and the rows that the ledger's chunks added.

use std::time::Duration;

use super::feed_tables::FeedTables;
use super::refill::{awaited, declare};
use super::sql::optional;
use super::{Begin, LaneLock, Row, SqlSession, lanes, values};
use crate::error::Result;
use crate::layout::{Database, LaneTables, Layout, Options, Role};
use crate::ownership::FoundTable;
use crate::port::Approval;
use crate::refill::{RowCount, Rows};
use crate::repair::expected_change;

/// Returns the table whose rows are counted, with its role.
fn counted(layout: &Layout) -> (Role, &str) {
    if layout.mode.keeps_current() {
        (Role::Current, layout.table.as_str())
    } else {
        (Role::History, layout.history.as_str())
    }
}

/// Accepts the current rows of a lane's table as the stored rows, in its own transaction.
pub(crate) async fn accept<S: SqlSession>(
    session: &S,
    tables: &LaneTables,
    by: Option<&Approval>,
) -> Result<()> {
    session.begin(Begin::Bookkeeping).await?;
    // Entries must not be folded while their rows are counted.
    lanes::read(session, &tables.lane, LaneLock::Frontier).await?;
    if let Some(by) = by {
        let what = format!("takes the rows of lane {} as they are", tables.lane);
        declare(session, &what, by).await?;
    }
    take(session, tables).await?;
    session.commit().await
}

/// Records that rows of the lane's table were removed, in a transaction.
pub(super) async fn subtract<S: SqlSession>(session: &S, tables: &LaneTables, removed: u64) -> Result<()> {
    let sql = "UPDATE slacktide.tables SET base_rows = base_rows - $4 WHERE recipient = $1 AND owner = $2 AND role = $3";
    let owner = tables.owner.key();
    let values = values![
        tables.lane.recipient.as_str(),
        &owner,
        Role::Current.word(),
        removed
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Records what a repair added and removed, in its transaction.
pub(super) async fn repaired<S: SqlSession>(
    session: &S,
    tables: &LaneTables,
    net: i64,
    removed: u64,
) -> Result<()> {
    let counted = compare(session, tables, counted(&tables.layout)).await?;
    let Some(Rows::Counted { stored, found }) = counted else {
        return Ok(());
    };
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let change = expected_change(int(stored), int(found), net, int(removed));
    let sql = "UPDATE slacktide.tables SET base_rows = base_rows + $4 WHERE recipient = $1 AND owner = $2 AND role = $3";
    let owner = tables.owner.key();
    let values = values![
        tables.lane.recipient.as_str(),
        &owner,
        Role::Current.word(),
        change
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Restarts the row count of a lane: it is taken from the table once no chunk is awaited. Runs in a transaction.
pub(super) async fn restart<S: SqlSession>(session: &S, tables: &LaneTables) -> Result<()> {
    let sql =
        "UPDATE slacktide.tables SET base_rows = NULL WHERE recipient = $1 AND owner = $2 AND role = $3";
    let (owner, (role, _)) = (tables.owner.key(), counted(&tables.layout));
    let values = values![tables.lane.recipient.as_str(), &owner, role.word()];
    session.execute(sql, &values).await.map(|_| ())
}

/// Accepts the current rows of the lane's table as the stored rows, in a transaction.
pub(super) async fn take<S: SqlSession>(session: &S, tables: &LaneTables) -> Result<()> {
    set_base(session, tables, counted(&tables.layout), "").await
}

/// Begins to count the rows of a table that were not counted when they were stored, in a transaction.
pub(crate) async fn begin<S: SqlSession>(
    session: &S,
    tables: &LaneTables,
    counted: (Role, &str),
) -> Result<()> {
    // Entries must not be folded while their rows are counted.
    lanes::read(session, &tables.lane, LaneLock::Frontier).await?;
    set_base(session, tables, counted, "AND base_rows IS NULL").await
}

async fn set_base<S: SqlSession>(
    session: &S,
    tables: &LaneTables,
    (role, table): (Role, &str),
    only: &str,
) -> Result<()> {
    let sql = format!(
        "UPDATE slacktide.tables SET base_rows = (SELECT count(*) FROM {}) - CAST(coalesce((SELECT sum(rows_net) \
         FROM slacktide.ledger WHERE recipient = $1 AND feed = $2), 0) AS bigint) \
         WHERE recipient = $1 AND owner = $3 AND role = $4 {only}",
        tables.layout.sql(table)
    );
    let (lane, owner) = (&tables.lane, tables.owner.key());
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &owner, role.word()];
    session.execute(&sql, &values).await.map(|_| ())
}

/// Compares the rows of a table with the ledger in one snapshot. Returns `None` if rows were not counted when they were
/// stored.
pub(crate) async fn compare<S: SqlSession>(
    session: &S,
    tables: &LaneTables,
    (role, table): (Role, &str),
) -> Result<Option<Rows>> {
    let sql = format!(
        "SELECT (SELECT count(*) FROM {}), base_rows + CAST(coalesce((SELECT sum(rows_net) FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2), 0) AS bigint) FROM slacktide.tables \
         WHERE recipient = $1 AND owner = $3 AND role = $4",
        tables.layout.sql(table)
    );
    let (lane, owner) = (&tables.lane, tables.owner.key());
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &owner, role.word()];
    let read = |row: &dyn Row| Ok((row.unsigned(0)?, row.optional_int(1)?));
    Ok(match optional(session, &sql, &values, read).await? {
        None => Some(Rows::Unknown),
        Some((_, None)) => None,
        Some((found, Some(stored))) => Some(Rows::Counted {
            stored: u64::try_from(stored).unwrap_or(0),
            found,
        }),
    })
}

/// Counts the rows of every lane's table, each within `limit`.
pub(crate) async fn count<S: FeedTables>(
    session: &S,
    options: &Options,
    database: Database,
    limit: Duration,
) -> Result<Vec<RowCount>> {
    let mut counts = Vec::new();
    for lane in lanes::list(session).await? {
        let record = lanes::read(session, &lane, LaneLock::Free).await?;
        let shape = record.and_then(|record| record.shape);
        let Some(layout) = shape.and_then(|shape| shape.layout) else {
            continue;
        };
        let tables = options.tables(database, &lane).with_layout(&layout);
        let (role, table) = counted(&layout);
        let found = session.find_table(&tables, role, table).await?;
        let rows = match found {
            FoundTable::Created | FoundTable::Adopted if is_deferred(session, &tables, role).await? => {
                Rows::Unknown
            }
            FoundTable::Created | FoundTable::Adopted => session.count(&tables, (role, table), limit).await?,
            _ => Rows::Gone,
        };
        counts.push(RowCount {
            lane,
            table: layout.sql(table),
            is_shared: found == FoundTable::Adopted,
            rows,
        });
    }
    Ok(counts)
}

/// Returns whether the count of a lane must wait: it restarts, and rows of awaited chunks are not in the table yet.
async fn is_deferred<S: SqlSession>(session: &S, tables: &LaneTables, role: Role) -> Result<bool> {
    let sql = "SELECT 1 FROM slacktide.tables WHERE recipient = $1 AND owner = $2 AND role = $3 AND base_rows IS NULL";
    let owner = tables.owner.key();
    let values = values![tables.lane.recipient.as_str(), &owner, role.word()];
    let restarts = optional(session, sql, &values, |_| Ok(())).await?.is_some();
    Ok(restarts && !awaited(session, &tables.lane, 1).await?.is_empty())
}

//! Which columns of which table hold a lane's newest rows; the reports of reconciliations.

use jiff::Timestamp;
use schemas::name::Lane;

use super::feed_tables::FeedTables;
use super::{LaneLock, Row, SqlSession, lanes, values};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options, Role};
use crate::ownership::FoundTable;
use crate::stored_rows::{MAX_REPORTS, TableRead};

/// Returns the table of a lane's newest rows.
pub(crate) async fn table<S: FeedTables>(
    session: &S,
    options: &Options,
    database: Database,
    lane: &Lane,
) -> Result<TableRead> {
    let record = lanes::read(session, lane, LaneLock::Free).await?;
    let shape = record.and_then(|record| record.shape);
    let shape = shape.and_then(|shape| shape.layout.clone().map(|layout| (shape, layout)));
    let Some((shape, layout)) = shape else {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("the store has no table of lane {lane}"),
            "wait until its first chunk is stored; `slacktide status` shows it",
        ));
    };
    if !layout.mode.keeps_current() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("the store keeps no newest versions of lane {lane}: its mode is history"),
            "set mode = \"both\" for the feed, and have everything sent again",
        ));
    }
    let tables = options.tables(database, lane).with_layout(&layout);
    let found = session.find_table(&tables, Role::Current, &layout.table).await?;
    let exists = matches!(found, FoundTable::Created | FoundTable::Adopted);
    let read = TableRead::of(&shape, &layout);
    Ok(TableRead {
        table: read.table.filter(|_| exists),
        ..read
    })
}

/// Keeps a report, in a transaction of one statement each.
pub(crate) async fn keep_report<S: SqlSession>(session: &S, lane: &Lane, report: &str) -> Result<()> {
    let sql =
        "INSERT INTO slacktide.reconciliations (recipient, feed, kept_at, report) VALUES ($1, $2, $3, $4)";
    let now = Timestamp::now();
    let names = (lane.recipient.as_str(), lane.feed.as_str());
    session
        .execute(sql, &values![names.0, names.1, now, report])
        .await?;
    let sql = "DELETE FROM slacktide.reconciliations WHERE recipient = $1 AND feed = $2 AND kept_at NOT IN \
         (SELECT kept_at FROM slacktide.reconciliations WHERE recipient = $1 AND feed = $2 ORDER BY kept_at DESC LIMIT $3)";
    session
        .execute(sql, &values![names.0, names.1, MAX_REPORTS])
        .await
        .map(|_| ())
}

/// Returns the last reports.
pub(crate) async fn reports_kept<S: SqlSession>(
    session: &S,
    lane: &Lane,
    limit: u32,
) -> Result<Vec<(Timestamp, String)>> {
    let sql = "SELECT kept_at, report FROM slacktide.reconciliations WHERE recipient = $1 AND feed = $2 \
         ORDER BY kept_at DESC LIMIT $3";
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), limit];
    let read = |row: &dyn Row| Ok((row.time(0)?, row.text(1)?));
    session.query(sql, &values, read).await
}

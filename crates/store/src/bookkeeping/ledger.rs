//! Reads and writes ledger entries, and puts messages and rows into quarantine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemas::name::Lane;
use serde::Serialize;

use super::sql::one;
use super::{Begin, LaneLock, Row, SqlSession, chunk_number, digest, json, lanes, values};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::frontier::FrontierEntry;
use crate::ledger::{Entry, EntryState};
use crate::port::Unreadable;
use crate::record::{LedgerRow, message_id, text};

const TABLE: &str = "ledger";

/// Returns the entries with these chunk numbers.
pub(crate) async fn entries<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_numbers: &BTreeSet<ChunkNumber>,
) -> Result<BTreeMap<ChunkNumber, Entry>> {
    let epochs: BTreeSet<i64> = chunk_numbers.iter().map(|at| i64::from(at.epoch)).collect();
    let numbers: BTreeSet<i64> = chunk_numbers.iter().map(|at| clamped(at.number)).collect();
    let sql = format!(
        "SELECT epoch, number, digest, previous, state FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND {} AND {}",
        S::any("epoch", "$3"),
        S::any("number", "$4")
    );
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        epochs.into_iter().collect::<Vec<_>>(),
        numbers.into_iter().collect::<Vec<_>>()
    ];
    let read = |row: &dyn Row| {
        let previous = row.optional_text(3)?;
        let entry = Entry {
            digest: digest::<S>(TABLE, &row.text(2)?)?,
            previous: previous.map(|text| digest::<S>(TABLE, &text)).transpose()?,
            state: EntryState::of_word(&row.text(4)?),
        };
        Ok((chunk_number(row, 0, 1)?, entry))
    };
    let found = session.query(&sql, &values, read).await?;
    // The condition also selects the same numbers of the other epochs.
    Ok(found
        .into_iter()
        .filter(|(at, _)| chunk_numbers.contains(at))
        .collect())
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An entry as the parameter of one statement for all entries.
#[derive(Serialize)]
struct NewEntry<'a> {
    epoch: u32,
    number: i64,
    digest: String,
    previous: Option<String>,
    state: &'a str,
    sequence: i64,
    publisher: &'a str,
    rows: i64,
    rows_quarantined: i64,
    cursor_after: Option<String>,
    read_from: String,
    read_to: String,
    exchanged_at: String,
    rows_net: Option<i64>,
}

/// The columns of [`NewEntry`].
const COLUMNS: &[(&str, &str)] = &[
    ("epoch", "integer"),
    ("number", "bigint"),
    ("digest", "text"),
    ("previous", "text"),
    ("state", "text"),
    ("sequence", "bigint"),
    ("publisher", "text"),
    ("rows", "bigint"),
    ("rows_quarantined", "bigint"),
    ("cursor_after", "text"),
    ("read_from", "timestamptz"),
    ("read_to", "timestamptz"),
    ("exchanged_at", "timestamptz"),
    ("rows_net", "bigint"),
];

impl<'a> NewEntry<'a> {
    fn of(row: &'a LedgerRow) -> Result<Self> {
        // A fixed width, so that texts sort like times.
        let time = |at: Timestamp| format!("{at:.6}");
        Ok(Self {
            epoch: row.chunk_number.epoch,
            number: clamped(row.chunk_number.number),
            digest: row.digest.to_string(),
            previous: row.previous.map(|digest| digest.to_string()),
            state: row.state.word(),
            sequence: clamped(row.sequence),
            publisher: &row.publisher,
            rows: clamped(row.rows),
            rows_quarantined: clamped(row.rows_quarantined),
            cursor_after: row.cursor_text()?,
            read_from: time(row.read_from),
            read_to: time(row.read_to),
            exchanged_at: time(row.exchanged_at),
            rows_net: row.rows_net,
        })
    }
}

/// Writes new entries and replaces quarantined and awaited ones. Returns the number of written entries.
pub(crate) async fn note<S: SqlSession>(session: &S, lane: &Lane, rows: &[LedgerRow]) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let entries = rows.iter().map(NewEntry::of).collect::<Result<Vec<_>>>()?;
    let sql = format!(
        "INSERT INTO slacktide.ledger AS l (recipient, feed, epoch, number, digest, previous, state, sequence, publisher, \
         rows, rows_quarantined, cursor_after, read_from, read_to, exchanged_at, stored_at, rows_net) \
         SELECT $1, $2, epoch, number, digest, previous, state, sequence, publisher, rows, rows_quarantined, \
         cursor_after, read_from, read_to, exchanged_at, clock_timestamp(), rows_net FROM {} WHERE true \
         ON CONFLICT (recipient, feed, epoch, number) DO UPDATE SET digest = excluded.digest, \
         previous = excluded.previous, state = excluded.state, sequence = excluded.sequence, \
         publisher = excluded.publisher, rows = excluded.rows, rows_quarantined = excluded.rows_quarantined, \
         cursor_after = excluded.cursor_after, read_from = excluded.read_from, read_to = excluded.read_to, \
         exchanged_at = excluded.exchanged_at, stored_at = excluded.stored_at, \
         rows_net = CASE l.state WHEN 'awaited' THEN l.rows_net ELSE excluded.rows_net END \
         WHERE l.state IN ('quarantined', 'awaited') AND excluded.state <> 'quarantined'",
        S::records("$3", COLUMNS)
    );
    let entries = text(&entries)?;
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), &entries];
    session.execute(&sql, &values).await
}

/// The columns that [`frontier_entry`] reads.
pub(crate) const FRONTIER_COLUMNS: &str =
    "epoch, number, digest, previous, state, rows, rows_quarantined, cursor_after";

/// Returns up to `limit` entries after a chunk number, in order.
pub(crate) async fn after<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_number: ChunkNumber,
    limit: u32,
) -> Result<Vec<FrontierEntry>> {
    let sql = format!(
        "SELECT {FRONTIER_COLUMNS} FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 \
         AND (epoch, number) > ($3, $4) ORDER BY epoch, number LIMIT $5"
    );
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number,
        limit
    ];
    session.query(&sql, &values, frontier_entry::<S>).await
}

/// Reads an entry from [`FRONTIER_COLUMNS`], which come first.
pub(crate) fn frontier_entry<S: SqlSession>(row: &dyn Row) -> Result<FrontierEntry> {
    let (previous, cursor) = (row.optional_text(3)?, row.optional_text(7)?);
    Ok(FrontierEntry {
        chunk_number: chunk_number(row, 0, 1)?,
        digest: digest::<S>(TABLE, &row.text(2)?)?,
        previous: previous.map(|text| digest::<S>(TABLE, &text)).transpose()?,
        state: EntryState::of_word(&row.text(4)?),
        rows: row.unsigned(5)?,
        rows_quarantined: row.unsigned(6)?,
        cursor_after: cursor.map(|text| json::<S, _>(TABLE, &text)).transpose()?,
    })
}

/// Counts the entries above a chunk number.
pub(crate) async fn count_pending<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<u64> {
    let sql = "SELECT count(*) FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND state <> 'superseded' \
         AND (epoch, number) > ($3, $4)";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number
    ];
    one(session, sql, &values, |row| row.unsigned(0)).await
}

/// A message or a row for the quarantine.
pub(crate) struct QuarantinedItem<'a> {
    pub(crate) id: String,
    pub(crate) chunk_number: Option<ChunkNumber>,
    pub(crate) ordinal: Option<u64>,
    pub(crate) sequence: u64,
    pub(crate) reason: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) exchanged_at: Timestamp,
    /// Whether it is retried without an operator.
    pub(crate) is_retryable: bool,
}

/// Stores an item once. A row that had left the quarantine enters it again, because its chunk is stored again.
pub(crate) async fn keep<S: SqlSession>(session: &S, lane: &Lane, kept: &QuarantinedItem<'_>) -> Result<()> {
    let sql = "INSERT INTO slacktide.quarantine AS q (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
         exchanged_at, quarantined_at, retry_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), \
         CASE WHEN $11 THEN clock_timestamp() END) \
         ON CONFLICT (recipient, feed, id) DO UPDATE SET ended = NULL, bytes = excluded.bytes, reason = excluded.reason, \
         tries = 0, quarantined_at = excluded.quarantined_at, retry_at = excluded.retry_at \
         WHERE q.ended IS NOT NULL AND q.ordinal IS NOT NULL";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        &kept.id,
        kept.chunk_number.map(|chunk_number| chunk_number.epoch),
        kept.chunk_number.map(|chunk_number| chunk_number.number),
        kept.ordinal,
        kept.sequence,
        kept.reason,
        kept.bytes,
        kept.exchanged_at,
        kept.is_retryable
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Quarantines a message under the chunk number that it claims, in its own transaction.
pub(crate) async fn keep_message<S: SqlSession>(session: &S, message: &Unreadable) -> Result<()> {
    let claimed = LedgerRow::claimed(message);
    let kept = QuarantinedItem {
        id: message_id(message),
        chunk_number: claimed.as_ref().map(|row| row.chunk_number),
        ordinal: None,
        sequence: message.sequence,
        reason: &message.reason,
        bytes: &message.bytes,
        exchanged_at: message.exchanged_at,
        is_retryable: false,
    };
    session.begin(Begin::Bookkeeping).await?;
    lanes::make(session, &message.lane).await?;
    let state = lanes::read(session, &message.lane, LaneLock::Shared)
        .await?
        .unwrap_or_default()
        .state;
    keep(session, &message.lane, &kept).await?;
    // Another chunk was stored under a folded number.
    let entry = claimed.as_ref().filter(|row| !state.is_folded(row.chunk_number));
    note(
        session,
        &message.lane,
        entry.map(std::slice::from_ref).unwrap_or_default(),
    )
    .await?;
    session.commit().await
}

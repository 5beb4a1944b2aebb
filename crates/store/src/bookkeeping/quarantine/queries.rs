//! Queries of quarantined entries.

use schemas::manifest::Manifest;
use schemas::name::{FeedName, Lane};

use super::super::sql::optional;
use super::super::{LaneLock, Row, SqlSession, json, lane_of, values};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::quarantine::waiting::Waiting;
use crate::quarantine::{Content, Ended, Ending, Entry, EntryFilter, Kind, QuarantineCount};

const TABLE: &str = "quarantine";

const COLUMNS: &str = "recipient, feed, id, kind, epoch, number, ordinal, sequence, reason, exchanged_at, quarantined_at, \
     CAST(length(bytes) AS bigint), ended, ended_digest, ended_by, ended_reason, ended_at, tries, retry_at";

/// Returns the selected entries, by lane and chunk number.
pub(crate) async fn entries<S: SqlSession>(session: &S, wanted: &EntryFilter) -> Result<Vec<Entry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM slacktide.quarantine WHERE (CAST($1 AS text) IS NULL OR feed = $1) \
         AND substr(id, 1, length(CAST($2 AS text))) = $2 AND ($3 OR ended IS NULL) \
         ORDER BY recipient, feed, epoch IS NULL, epoch, number, ordinal IS NULL, ordinal, id LIMIT $4"
    );
    let values = values![
        wanted.feed.as_ref().map(FeedName::as_str),
        &wanted.prefix,
        wanted.ended,
        wanted.limit.map_or(i64::MAX, i64::from)
    ];
    session.query(&sql, &values, entry::<S>).await
}

/// Returns one entry, locked until the transaction ends.
pub(crate) async fn entry_of<S: SqlSession>(session: &S, lane: &Lane, id: &str) -> Result<Option<Entry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND id = $3 {}",
        S::row_lock(LaneLock::Alone)
    );
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), id];
    optional(session, &sql, &values, entry::<S>).await
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn entry<S: SqlSession>(row: &dyn Row) -> Result<Entry> {
    let (epoch, number) = (row.optional_int(4)?, row.optional_int(5)?);
    let ordinal = row.optional_int(6)?;
    let ended = match (row.optional_text(12)?, row.optional_time(16)?) {
        (Some(ending), Some(at)) => Some(Ended {
            ending: Ending::of_word(&ending),
            digest: row.optional_text(13)?,
            actor: row.optional_text(14)?.unwrap_or_default(),
            reason: row.optional_text(15)?.unwrap_or_default(),
            at,
        }),
        _ => None,
    };
    let waiting = match row.optional_time(18)?.filter(|_| ended.is_none()) {
        Some(at) => Some(Waiting {
            tries: u32::try_from(row.int(17)?).unwrap_or(0),
            at,
        }),
        None => None,
    };
    Ok(Entry {
        lane: lane_of::<S>(TABLE, row)?,
        id: row.text(2)?,
        kind: kind_of(row.optional_text(3)?.as_deref(), ordinal),
        chunk_number: epoch.zip(number).map(|(epoch, number)| ChunkNumber {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: unsigned(number),
        }),
        ordinal: ordinal.map(unsigned),
        sequence: row.unsigned(7)?,
        reason: row.text(8)?,
        exchanged_at: row.time(9)?,
        since: row.time(10)?,
        bytes: row.unsigned(11)?,
        ended,
        waiting,
    })
}

/// Returns the kind of an entry; rows and messages of earlier versions have no kind.
fn kind_of(word: Option<&str>, ordinal: Option<i64>) -> Kind {
    match (word, ordinal) {
        (Some("reject"), _) => Kind::Reject,
        (_, Some(_)) => Kind::Row,
        (_, None) => Kind::Message,
    }
}

/// Returns the content of an entry; `None` if there is no such entry or it has ended.
pub(crate) async fn content<S: SqlSession>(session: &S, lane: &Lane, id: &str) -> Result<Option<Content>> {
    let sql = "SELECT q.bytes, m.manifest FROM slacktide.quarantine q LEFT JOIN slacktide.quarantine_manifests m \
         ON m.recipient = q.recipient AND m.feed = q.feed AND m.epoch = q.epoch AND m.number = q.number \
         WHERE q.recipient = $1 AND q.feed = $2 AND q.id = $3 AND q.ended IS NULL";
    let read = |row: &dyn Row| {
        let manifest = row.optional_text(1)?;
        Ok(Content {
            bytes: row.bytes(0)?,
            manifest: manifest
                .map(|text| json::<S, Manifest>("quarantine_manifests", &text))
                .transpose()?,
        })
    };
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), id];
    optional(session, sql, &values, read).await
}

/// Returns the number of entries by lane and kind.
pub(crate) async fn counts<S: SqlSession>(session: &S) -> Result<Vec<QuarantineCount>> {
    let sql = "SELECT recipient, feed, kind, min(ordinal), count(*), min(quarantined_at) FROM slacktide.quarantine \
         WHERE ended IS NULL GROUP BY recipient, feed, kind, ordinal IS NULL ORDER BY 1, 2, 3, ordinal IS NULL";
    let read = |row: &dyn Row| {
        Ok(QuarantineCount {
            lane: lane_of::<S>(TABLE, row)?,
            kind: kind_of(row.optional_text(2)?.as_deref(), row.optional_int(3)?),
            count: row.unsigned(4)?,
            oldest: row.time(5)?,
        })
    };
    session.query(sql, &[], read).await
}

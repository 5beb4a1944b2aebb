//! Queries of quarantined entries.

use jiff::Timestamp;
use schemas::manifest::Manifest;
use schemas::name::{FeedName, Lane, RecipientName};
use tokio_postgres::Row;

use super::super::failure;
use super::super::session::Session;
use super::kind_of;
use crate::error::Result;
use crate::merge::ChunkNumber;
use crate::quarantine::waiting::Waiting;
use crate::quarantine::{Content, Ended, Ending, Entry, EntryFilter, QuarantineCount};
use crate::record::broken;

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn time(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| broken("slacktide.quarantine"))
}

fn lane_of(row: &Row) -> Result<Lane> {
    let (recipient, feed): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
    let names = RecipientName::new(recipient).ok().zip(FeedName::new(feed).ok());
    names
        .map(|(recipient, feed)| Lane { recipient, feed })
        .ok_or_else(|| broken("slacktide.quarantine"))
}

const COLUMNS: &str = "recipient, feed, id, kind, epoch, number, ordinal, sequence, reason, \
     (extract(epoch FROM exchanged_at) * 1000000)::bigint, (extract(epoch FROM quarantined_at) * 1000000)::bigint, \
     octet_length(bytes)::bigint, ended, ended_digest, ended_by, ended_reason, \
     (extract(epoch FROM ended_at) * 1000000)::bigint, tries, (extract(epoch FROM retry_at) * 1000000)::bigint";

pub(super) async fn entries(session: &Session, wanted: &EntryFilter) -> Result<Vec<Entry>> {
    let feed = wanted.feed.as_ref().map(FeedName::as_str);
    let limit = wanted.limit.map(i64::from);
    let rows = pg(session
        .client
        .query(
            &format!(
                "SELECT {COLUMNS} FROM slacktide.quarantine WHERE ($1::text IS NULL OR feed = $1) \
                 AND starts_with(id, $2) AND ($3 OR ended IS NULL) \
                 ORDER BY recipient, feed, epoch, number, ordinal, id LIMIT $4"
            ),
            &[&feed, &wanted.prefix, &wanted.ended, &limit],
        )
        .await)?;
    rows.iter().map(entry).collect()
}

/// Returns one entry, locked until the transaction ends.
pub(super) async fn one(session: &Session, lane: &Lane, id: &str) -> Result<Option<Entry>> {
    let row = pg(session
        .client
        .query_opt(
            &format!(
                "SELECT {COLUMNS} FROM slacktide.quarantine WHERE recipient = $1 AND feed = $2 AND id = $3 FOR UPDATE"
            ),
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &id],
        )
        .await)?;
    row.as_ref().map(entry).transpose()
}

fn entry(row: &Row) -> Result<Entry> {
    let kind: Option<String> = pg(row.try_get(3))?;
    let epoch: Option<i32> = pg(row.try_get(4))?;
    let number: Option<i64> = pg(row.try_get(5))?;
    let ordinal: Option<i64> = pg(row.try_get(6))?;
    let ending: Option<String> = pg(row.try_get(12))?;
    let at: Option<i64> = pg(row.try_get(16))?;
    let ended = match (ending, at) {
        (Some(ending), Some(at)) => Some(Ended {
            ending: Ending::of_word(&ending),
            digest: pg(row.try_get(13))?,
            actor: pg(row.try_get::<_, Option<String>>(14))?.unwrap_or_default(),
            reason: pg(row.try_get::<_, Option<String>>(15))?.unwrap_or_default(),
            at: time(at)?,
        }),
        _ => None,
    };
    let retry_at: Option<i64> = pg(row.try_get(18))?;
    let tries: i32 = pg(row.try_get(17))?;
    let waiting = match retry_at.filter(|_| ended.is_none()) {
        Some(at) => Some(Waiting {
            tries: u32::try_from(tries).unwrap_or(0),
            at: time(at)?,
        }),
        None => None,
    };
    Ok(Entry {
        lane: lane_of(row)?,
        id: pg(row.try_get(2))?,
        kind: kind_of(kind.as_deref(), ordinal),
        chunk_number: epoch.zip(number).map(|(epoch, number)| ChunkNumber {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: unsigned(number),
        }),
        ordinal: ordinal.map(unsigned),
        sequence: unsigned(pg(row.try_get(7))?),
        reason: pg(row.try_get(8))?,
        exchanged_at: time(pg(row.try_get(9))?)?,
        since: time(pg(row.try_get(10))?)?,
        bytes: unsigned(pg(row.try_get(11))?),
        ended,
        waiting,
    })
}

pub(super) async fn content(session: &Session, lane: &Lane, id: &str) -> Result<Option<Content>> {
    let found = pg(session
        .client
        .query_opt(
            "SELECT bytes, manifest FROM slacktide.quarantine LEFT JOIN slacktide.quarantine_manifests \
             USING (recipient, feed, epoch, number) \
             WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &id],
        )
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let manifest: Option<String> = pg(row.try_get(1))?;
    let manifest = manifest
        .map(|text| {
            serde_json::from_str::<Manifest>(&text).map_err(|_| broken("slacktide.quarantine_manifests"))
        })
        .transpose()?;
    Ok(Some(Content {
        bytes: pg(row.try_get(0))?,
        manifest,
    }))
}

pub(super) async fn counts(session: &Session) -> Result<Vec<QuarantineCount>> {
    let rows = pg(session
        .client
        .query(
            "SELECT recipient, feed, kind, min(ordinal), count(*), \
             (extract(epoch FROM min(quarantined_at)) * 1000000)::bigint FROM slacktide.quarantine \
             WHERE ended IS NULL GROUP BY recipient, feed, kind, ordinal IS NULL ORDER BY 1, 2, 3, ordinal IS NULL",
            &[],
        )
        .await)?;
    let one = |row: &Row| {
        let kind: Option<String> = pg(row.try_get(2))?;
        Ok(QuarantineCount {
            lane: lane_of(row)?,
            kind: kind_of(kind.as_deref(), pg(row.try_get(3))?),
            count: unsigned(pg(row.try_get(4))?),
            oldest: time(pg(row.try_get(5))?)?,
        })
    };
    rows.iter().map(one).collect()
}

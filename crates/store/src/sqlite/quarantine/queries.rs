//! Queries of quarantined entries.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemas::manifest::Manifest;
use schemas::name::{FeedName, Lane, RecipientName};

use super::super::failure;
use super::kind_of;
use crate::error::Result;
use crate::merge::ChunkNumber;
use crate::quarantine::waiting::Waiting;
use crate::quarantine::{Content, Ended, Ending, Entry, EntryFilter, QuarantineCount};
use crate::record::broken;

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| broken("slacktide_quarantine"))
}

fn lane_of(recipient: String, feed: String) -> Result<Lane> {
    let names = RecipientName::new(recipient).ok().zip(FeedName::new(feed).ok());
    names
        .map(|(recipient, feed)| Lane { recipient, feed })
        .ok_or_else(|| broken("slacktide_quarantine"))
}

const COLUMNS: &str = "recipient, feed, id, kind, epoch, number, ordinal, sequence, reason, exchanged_at, \
     quarantined_at, length(bytes), ended, ended_digest, ended_by, ended_reason, ended_at, tries, retry_at";

/// A row of the table.
struct Raw {
    recipient: String,
    feed: String,
    id: String,
    kind: Option<String>,
    epoch: Option<u32>,
    number: Option<i64>,
    ordinal: Option<i64>,
    sequence: i64,
    reason: String,
    exchanged_at: String,
    since: String,
    bytes: i64,
    ending: Option<String>,
    digest: Option<String>,
    actor: Option<String>,
    why: Option<String>,
    at: Option<String>,
    tries: u32,
    retry_at: Option<i64>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        recipient: row.get(0)?,
        feed: row.get(1)?,
        id: row.get(2)?,
        kind: row.get(3)?,
        epoch: row.get(4)?,
        number: row.get(5)?,
        ordinal: row.get(6)?,
        sequence: row.get(7)?,
        reason: row.get(8)?,
        exchanged_at: row.get(9)?,
        since: row.get(10)?,
        bytes: row.get(11)?,
        ending: row.get(12)?,
        digest: row.get(13)?,
        actor: row.get(14)?,
        why: row.get(15)?,
        at: row.get(16)?,
        tries: row.get(17)?,
        retry_at: row.get(18)?,
    })
}

fn entry(raw: Raw) -> Result<Entry> {
    let ended = match (raw.ending, raw.at) {
        (Some(ending), Some(at)) => Some(Ended {
            ending: Ending::of_word(&ending),
            digest: raw.digest,
            actor: raw.actor.unwrap_or_default(),
            reason: raw.why.unwrap_or_default(),
            at: time(&at)?,
        }),
        _ => None,
    };
    let waiting = match raw.retry_at.filter(|_| ended.is_none()) {
        Some(at) => Some(Waiting {
            tries: raw.tries,
            at: Timestamp::from_microsecond(at).map_err(|_| broken("slacktide_quarantine"))?,
        }),
        None => None,
    };
    Ok(Entry {
        lane: lane_of(raw.recipient, raw.feed)?,
        id: raw.id,
        kind: kind_of(raw.kind.as_deref(), raw.ordinal),
        chunk_number: raw.epoch.zip(raw.number).map(|(epoch, number)| ChunkNumber {
            epoch,
            number: unsigned(number),
        }),
        ordinal: raw.ordinal.map(unsigned),
        sequence: unsigned(raw.sequence),
        reason: raw.reason,
        exchanged_at: time(&raw.exchanged_at)?,
        since: time(&raw.since)?,
        bytes: unsigned(raw.bytes),
        ended,
        waiting,
    })
}

pub(super) fn entries(connection: &Connection, wanted: &EntryFilter) -> Result<Vec<Entry>> {
    let read = || {
        connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM slacktide_quarantine WHERE (?1 IS NULL OR feed = ?1) \
                 AND substr(id, 1, length(?2)) = ?2 AND (?3 OR ended IS NULL) \
                 ORDER BY recipient, feed, epoch IS NULL, epoch, number, ordinal, id LIMIT ?4"
            ))?
            .query_map(
                params![
                    wanted.feed.as_ref().map(FeedName::as_str),
                    wanted.prefix,
                    wanted.ended,
                    wanted.limit.map_or(-1, i64::from),
                ],
                raw,
            )?
            .collect::<rusqlite::Result<Vec<Raw>>>()
    };
    let found = read().map_err(|error| failure::of(&error))?;
    found.into_iter().map(entry).collect()
}

pub(super) fn one(connection: &Connection, lane: &Lane, id: &str) -> Result<Option<Entry>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM slacktide_quarantine WHERE recipient = ?1 AND feed = ?2 AND id = ?3"
        ))
        .and_then(|mut statement| {
            statement
                .query_row(params![lane.recipient.as_str(), lane.feed.as_str(), id], raw)
                .optional()
        });
    found.map_err(|error| failure::of(&error))?.map(entry).transpose()
}

pub(super) fn content(connection: &Connection, lane: &Lane, id: &str) -> Result<Option<Content>> {
    let found = connection
        .prepare_cached(
            "SELECT bytes, manifest FROM slacktide_quarantine LEFT JOIN slacktide_quarantine_manifests \
             USING (recipient, feed, epoch, number) \
             WHERE recipient = ?1 AND feed = ?2 AND id = ?3 AND ended IS NULL",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![lane.recipient.as_str(), lane.feed.as_str(), id], |row| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<String>>(1)?))
                })
                .optional()
        });
    let Some((bytes, manifest)) = found.map_err(|error| failure::of(&error))? else {
        return Ok(None);
    };
    let manifest = manifest
        .map(|text| {
            serde_json::from_str::<Manifest>(&text).map_err(|_| broken("slacktide_quarantine_manifests"))
        })
        .transpose()?;
    Ok(Some(Content { bytes, manifest }))
}

pub(super) fn counts(connection: &Connection) -> Result<Vec<QuarantineCount>> {
    type Raw = (String, String, Option<String>, Option<i64>, i64, String);
    let read = || {
        connection
            .prepare_cached(
                "SELECT recipient, feed, kind, min(ordinal), count(*), min(quarantined_at) FROM slacktide_quarantine \
                 WHERE ended IS NULL GROUP BY recipient, feed, kind, ordinal IS NULL ORDER BY 1, 2, 3, ordinal IS NULL",
            )?
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?
            .collect::<rusqlite::Result<Vec<Raw>>>()
    };
    read()
        .map_err(|error| failure::of(&error))?
        .into_iter()
        .map(|(recipient, feed, kind, ordinal, count, oldest)| {
            Ok(QuarantineCount {
                lane: lane_of(recipient, feed)?,
                kind: kind_of(kind.as_deref(), ordinal),
                count: unsigned(count),
                oldest: time(&oldest)?,
            })
        })
        .collect()
}

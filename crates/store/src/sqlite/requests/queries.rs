//! Queries of requests and replies.

use rusqlite::{Connection, Row, params};
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::{sql, time, unsigned, utc};
use crate::error::Result;
use crate::record::broken;
use crate::requests::{
    REQUEST_STATE, ReplySummary, RequestFilter, RequestState, RequestSummary, UnconfirmedReply,
    WaitingRequests,
};

/// A row's columns as texts.
struct TextRow(Vec<Option<String>>);

impl TextRow {
    fn of(row: &Row<'_>, width: usize) -> rusqlite::Result<Self> {
        (0..width)
            .map(|at| row.get(at))
            .collect::<rusqlite::Result<_>>()
            .map(Self)
    }

    fn text(&self, at: usize) -> Option<String> {
        self.0.get(at).cloned().flatten()
    }

    fn word(&self, at: usize) -> Result<String> {
        self.text(at)
            .ok_or_else(|| broken("slacktide_requests or slacktide_replies"))
    }

    fn number(&self, at: usize) -> u64 {
        unsigned(self.text(at).and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn digest(&self, at: usize) -> Result<Digest> {
        Digest::from_hex(&self.word(at)?).map_err(|_| broken("slacktide_replies"))
    }

    fn time(&self, at: usize) -> Result<jiff::Timestamp> {
        time(&self.word(at)?)
    }

    fn maybe(&self, at: usize) -> Result<Option<jiff::Timestamp>> {
        self.text(at).as_deref().map(time).transpose()
    }
}

pub(super) fn unconfirmed_replies(
    connection: &mut Connection,
    recipient: &RecipientName,
    limit: u32,
) -> Result<Vec<UnconfirmedReply>> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT id, digest, CAST(rows AS TEXT), CAST(quarantined AS TEXT), delivered_at, stored_at \
                 FROM slacktide_replies WHERE recipient = ?1 AND confirmed_at IS NULL ORDER BY stored_at, id LIMIT ?2",
            )?
            .query_map(params![recipient.as_str(), limit], |row| TextRow::of(row, 6))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let one = |found: &TextRow| {
        Ok(UnconfirmedReply {
            id: found.word(0)?.parse().map_err(|_| broken("slacktide_replies"))?,
            reply: found.digest(1)?,
            rows: found.number(2),
            quarantined: found.number(3),
            delivered_at: found.time(4)?,
            stored_at: found.time(5)?,
        })
    };
    sql(read())?.iter().map(one).collect()
}

pub(super) fn list(
    connection: &mut Connection,
    recipient: &RecipientName,
    wanted: &RequestFilter,
) -> Result<Vec<RequestSummary>> {
    let statement = format!(
        "SELECT q.id, q.kind, q.idempotency, q.filed_by, q.filed_at, q.deadline, q.exchanged_at, {REQUEST_STATE}, \
         coalesce(q.reason, p.reason), p.outcome, p.code, p.digest, CAST(p.rows AS TEXT), CAST(p.quarantined AS TEXT), \
         CAST(p.withheld AS TEXT), p.target, p.delivered_at, p.stored_at, p.confirmed_at \
         FROM slacktide_requests q LEFT JOIN slacktide_replies p ON p.recipient = q.recipient AND p.id = q.id \
         WHERE q.recipient = ?1 AND (?2 IS NULL OR q.kind = ?2) AND (?3 IS NULL OR {REQUEST_STATE} = ?3) \
         AND (?4 IS NULL OR p.outcome = ?4) AND substr(q.id, 1, length(?5)) = ?5 \
         AND (?6 IS NULL OR q.filed_at >= ?6) ORDER BY q.filed_at DESC, q.id LIMIT ?7"
    );
    let read = || {
        connection
            .prepare_cached(&statement)?
            .query_map(
                params![
                    recipient.as_str(),
                    wanted.kind,
                    wanted.state.map(RequestState::word),
                    wanted.outcome,
                    wanted.prefix,
                    wanted.since.map(utc),
                    // A negative limit means no limit.
                    wanted.limit.map_or(-1, i64::from),
                ],
                |row| TextRow::of(row, 19),
            )?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    sql(read())?.iter().map(one).collect()
}

pub(super) fn count_waiting(
    connection: &mut Connection,
    recipient: &RecipientName,
) -> Result<WaitingRequests> {
    let statement = format!(
        "SELECT {REQUEST_STATE}, CAST(count(*) AS TEXT), min(q.filed_at) FROM slacktide_requests q \
         LEFT JOIN slacktide_replies p ON p.recipient = q.recipient AND p.id = q.id \
         WHERE q.recipient = ?1 AND {REQUEST_STATE} IN ('kept', 'filed') GROUP BY 1"
    );
    let read = || {
        connection
            .prepare_cached(&statement)?
            .query_map(params![recipient.as_str()], |row| TextRow::of(row, 3))?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let mut waiting = WaitingRequests::default();
    for found in sql(read())? {
        if found.word(0)? == RequestState::Kept.word() {
            waiting.kept = found.number(1);
        } else {
            waiting.filed = found.number(1);
        }
        waiting.oldest = waiting.oldest.into_iter().chain(found.maybe(2)?).min();
    }
    Ok(waiting)
}

pub(super) fn unanswered(
    connection: &mut Connection,
    recipient: &RecipientName,
    ids: Vec<RequestId>,
) -> Result<Vec<RequestId>> {
    let mut left = Vec::new();
    let mut statement = sql(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM slacktide_replies WHERE recipient = ?1 AND id = ?2)"))?;
    for id in ids {
        let key = params![recipient.as_str(), id.to_string()];
        if !sql(statement.query_row(key, |row| row.get::<_, bool>(0)))? {
            left.push(id);
        }
    }
    Ok(left)
}

fn one(found: &TextRow) -> Result<RequestSummary> {
    let broken = || broken("slacktide_requests or slacktide_replies");
    let reply = match found.text(9) {
        None => None,
        Some(outcome) => Some(ReplySummary {
            outcome,
            code: found.text(10),
            digest: found.digest(11)?,
            rows: found.number(12),
            quarantined: found.number(13),
            withheld: found.number(14),
            table: found.text(15),
            delivered_at: found.time(16)?,
            stored_at: found.time(17)?,
            confirmed_at: found.maybe(18)?,
        }),
    };
    Ok(RequestSummary {
        id: found.word(0)?.parse().map_err(|_| broken())?,
        kind: found.word(1)?,
        idempotency: found.text(2),
        filed_by: found.word(3)?,
        filed_at: found.time(4)?,
        deadline: found.maybe(5)?,
        exchanged_at: found.maybe(6)?,
        state: RequestState::of_word(&found.word(7)?).ok_or_else(broken)?,
        reason: found.text(8),
        reply,
    })
}

//! The transactions.

use schemas::digest::Digest;
use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::super::records::{self, Hold, int, small};
use super::super::rows::{Refused, Target, stage};
use super::super::session::{IMMEDIATE, Session};
use super::super::{claims, failure, steps};
use super::found;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::Place;
use crate::port::Arrival;
use crate::quarantine::decide::{Below, Noted, message_became, recount, untried};
use crate::quarantine::{Became, By, Ending, Entry, NO_PLACE, chunk_of_row, stored_again};
use crate::record::{LaneRecord, broken};
use crate::table::shape::{Fit, fit};

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn digest_of(text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| broken("slacktide.ledger"))
}

pub(super) async fn judged(session: &Session, arrival: &Arrival) -> Result<Judgement> {
    let lane = arrival.chunk.manifest.lane();
    let links = [ChunkLinks::of(arrival)];
    let record = records::lane(session, &lane, Hold::Free)
        .await?
        .unwrap_or_default();
    let entries = records::entries(session, &lane, &needed(&links)).await?;
    let mut judgements = plan(&record.state, &entries, &links).judgements;
    judgements.pop().ok_or_else(|| broken("slacktide.ledger"))
}

/// A row that may be tried.
pub(super) struct Tried {
    pub(super) entry: Entry,
    /// A chunk of this row alone.
    pub(super) arrival: Arrival,
}

/// What came of a try.
pub(super) enum Try {
    /// It is stored, where nothing newer stands: how many more rows the table has, where the server tells.
    Stored(Option<i64>),
    /// It was refused: why, and whether another row may make room for it.
    Refused(Refused),
    /// It was not tried.
    Not(Became),
}

pub(super) async fn retry_rows(
    session: &mut Session,
    tables: &LaneTables,
    ids: &[String],
    by: &By,
) -> Result<Vec<Became>> {
    let lane = &tables.lane;
    stage_for(session, tables, ids).await?;
    session.begin(IMMEDIATE).await?;
    let Some(record) = records::lane(session, lane, Hold::Alone).await? else {
        session.commit().await?;
        return Ok(vec![Became::Unknown; ids.len()]);
    };
    let mut became = Vec::with_capacity(ids.len());
    for id in ids {
        became.push(match tried(session, lane, id, &record, by).await? {
            Err(answer) => answer,
            Ok(tried) => retry_row(session, tables, &record, &tried, by).await?,
        });
    }
    save_recount(session, lane, &record).await?;
    session.commit().await?;
    Ok(became)
}

/// Makes the staging tables of rows outside of a transaction, which could undo them.
pub(super) async fn stage_for(session: &mut Session, tables: &LaneTables, ids: &[String]) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let shape = records::lane(session, lane, Hold::Free)
        .await?
        .and_then(|record| record.shape);
    for id in ids {
        let content = found::content(session, lane, id).await?;
        if let (Some(manifest), Some(shape), true) = (
            content.and_then(|content| content.manifest),
            &shape,
            layout.mode.keeps_current(),
        ) {
            let (schema, place) = (&manifest.schema, Place::of_manifest(&manifest));
            if fit(Some(shape), schema, place, tables, place) == Fit::Fits {
                let routes = shape.routes(schema, place, layout);
                stage(session, layout, lane, shape, &routes).await?;
            }
        }
    }
    Ok(())
}

/// A row that may be tried; otherwise what became of it.
pub(super) async fn tried(
    session: &Session,
    lane: &Lane,
    id: &str,
    record: &LaneRecord,
    by: &By,
) -> Result<std::result::Result<Tried, Became>> {
    let Some(entry) = found::one(session, lane, id).await? else {
        return Ok(Err(Became::Unknown));
    };
    let how = entry.ended.as_ref().map(|ended| ended.how);
    if let Some(answer) = untried(entry.kind, how, &record.state, entry.place) {
        if answer == Became::LeftBehind {
            end(session, lane, id, Ending::LeftBehind, by).await?;
        }
        return Ok(Err(answer));
    }
    let content = found::content(session, lane, id).await?;
    Ok(match content.map(|content| (content.bytes, content.manifest)) {
        Some((bytes, Some(manifest))) => Ok(Tried {
            arrival: chunk_of_row(&entry, manifest, bytes),
            entry,
        }),
        _ => Err(Became::Stays {
            reason: "the columns of its chunk were not kept with it; discard it and rewind the feed"
                .to_owned(),
        }),
    })
}

async fn retry_row(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &Tried,
    by: &By,
) -> Result<Became> {
    match try_row(session, tables, record, tried).await? {
        Try::Not(became) => Ok(became),
        Try::Refused(row) => {
            stays(session, &tables.lane, &tried.entry.id, &row.reason).await?;
            Ok(Became::Stays { reason: row.reason })
        }
        Try::Stored(net) => {
            release(session, &tables.lane, tried, net, by).await?;
            Ok(Became::Released { rows: 1, refused: 0 })
        }
    }
}

/// Where a row goes; otherwise why it is not tried.
pub(super) async fn target<'a>(
    session: &Session,
    tables: &'a LaneTables,
    record: &LaneRecord,
    tried: &'a Tried,
) -> Result<std::result::Result<Target<'a>, Became>> {
    let (columns, place) = (&tried.arrival.chunk.manifest.schema, Place::of(&tried.arrival));
    let shape = record
        .shape
        .as_ref()
        .filter(|shape| fit(Some(shape), columns, place, tables, place) == Fit::Fits);
    let Some(shape) = shape else {
        return Ok(Err(Became::Never {
            reason: NO_PLACE.to_owned(),
        }));
    };
    let is_held = claims::hold(session, tables, &[Role::Current, Role::History]).await?;
    if !is_held || steps::is_form_missing(session, tables, shape).await? {
        return Ok(Err(Became::Waits {
            reason: "its table is taken over or changed with the next chunk: repeat then".to_owned(),
        }));
    }
    let routes = shape.routes(columns, place, &tables.layout);
    let target = Target::new(session, tables, shape, columns, routes).await?;
    Ok(Ok(target.row_at(tried.entry.ordinal.unwrap_or(0))))
}

/// Stores one row, under its chunk's place.
pub(super) async fn try_row(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &Tried,
) -> Result<Try> {
    let target = match target(session, tables, record, tried).await? {
        Ok(target) => target,
        Err(became) => return Ok(Try::Not(became)),
    };
    let (refused, _) = target.store(session, &[(0, &tried.arrival)], false).await?;
    let refused = refused.into_iter().next();
    Ok(refused.map_or_else(|| Try::Stored(target.net()), Try::Refused))
}

/// Ends the entry of a row that is stored, and counts its row with its chunk's.
pub(super) async fn release(
    session: &Session,
    lane: &Lane,
    tried: &Tried,
    net: Option<i64>,
    by: &By,
) -> Result<()> {
    let place = Place::of(&tried.arrival);
    end(session, lane, &tried.entry.id, Ending::Released, by).await?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.ledger SET rows_quarantined = greatest(rows_quarantined - 1, 0), rows_net = rows_net + $5 \
             WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &small(place.epoch),
                &int(place.number),
                &net,
            ],
        )
        .await)
    .map(|_| ())
}

pub(super) async fn finish(session: &Session, arrival: &Arrival, id: &str, by: &By) -> Result<Became> {
    let lane = arrival.chunk.manifest.lane();
    session.begin(IMMEDIATE).await?;
    let record = records::lane(session, &lane, Hold::Alone)
        .await?
        .unwrap_or_default();
    let became = match found::one(session, &lane, id).await? {
        None => Became::Unknown,
        Some(Entry {
            ended: Some(ended), ..
        }) => Became::Ended { how: ended.how },
        Some(_) => {
            let noted = noted(session, &lane, Place::of(arrival)).await?;
            let is_folded = record.state.is_folded(Place::of(arrival));
            let became = message_became(arrival.chunk.digest, noted, is_folded);
            match became {
                Became::Released { .. } => end(session, &lane, id, Ending::Released, by).await?,
                Became::LeftBehind => end(session, &lane, id, Ending::LeftBehind, by).await?,
                _ => {}
            }
            became
        }
    };
    save_recount(session, &lane, &record).await?;
    session.commit().await?;
    Ok(became)
}

async fn noted(session: &Session, lane: &Lane, place: Place) -> Result<Option<Noted>> {
    let found = pg(session
        .client
        .query_opt(
            "SELECT digest, state, rows, rows_quarantined FROM slacktide.ledger \
             WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &small(place.epoch),
                &int(place.number),
            ],
        )
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let digest: String = pg(row.try_get(0))?;
    Ok(Some(Noted {
        digest: digest_of(&digest)?,
        state: EntryState::of_word(pg(row.try_get(1))?),
        rows: unsigned(pg(row.try_get(2))?),
        refused: unsigned(pg(row.try_get(3))?),
    }))
}

pub(super) async fn stays(session: &Session, lane: &Lane, id: &str, reason: &str) -> Result<()> {
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine SET reason = $4 WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &id, &reason],
        )
        .await)
    .map(|_| ())
}

pub(super) async fn discard(session: &Session, lane: &Lane, ids: &[String], by: &By) -> Result<Vec<Became>> {
    session.begin(IMMEDIATE).await?;
    let record = records::lane(session, lane, Hold::Alone)
        .await?
        .unwrap_or_default();
    let mut became = Vec::with_capacity(ids.len());
    for id in ids {
        became.push(match found::one(session, lane, id).await? {
            None => Became::Unknown,
            Some(Entry {
                ended: Some(ended), ..
            }) => Became::Ended { how: ended.how },
            Some(_) => {
                end(session, lane, id, Ending::Discarded, by).await?;
                Became::Discarded
            }
        });
    }
    save_recount(session, lane, &record).await?;
    session.commit().await?;
    Ok(became)
}

/// Ends an entry: its bytes are dropped, their digest stays.
async fn end(session: &Session, lane: &Lane, id: &str, how: Ending, by: &By) -> Result<()> {
    let params: [&(dyn ToSql + Sync); 6] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &id,
        &how.word(),
        &by.actor,
        &by.reason,
    ];
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine SET ended = $4, ended_digest = encode(sha256(bytes), 'hex'), bytes = '', retry_at = NULL, \
             ended_by = $5, ended_why = $6, ended_at = clock_timestamp() \
             WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
            &params,
        )
        .await)
    .map(|_| ())
}

/// Ends the entries of the rows of chunks, because the chunks are stored again.
pub(in crate::postgres) async fn end_rows(session: &Session, lane: &Lane, places: &[Place]) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let epochs: Vec<i32> = places.iter().map(|place| small(place.epoch)).collect();
    let numbers: Vec<i64> = places.iter().map(|place| int(place.number)).collect();
    let by = stored_again();
    let params: [&(dyn ToSql + Sync); 7] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &epochs,
        &numbers,
        &Ending::Released.word(),
        &by.actor,
        &by.reason,
    ];
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine q SET ended = $5, ended_digest = encode(sha256(bytes), 'hex'), bytes = '', \
             retry_at = NULL, ended_by = $6, ended_why = $7, ended_at = clock_timestamp() \
             FROM unnest($3::int[], $4::bigint[]) AS p (epoch, number) \
             WHERE q.recipient = $1 AND q.feed = $2 AND (q.epoch, q.number) = (p.epoch, p.number) \
             AND q.ordinal IS NOT NULL AND q.kind IS DISTINCT FROM 'reject' AND q.ended IS NULL",
            &params,
        )
        .await)
    .map(|_| ())
}

/// Counts anew what stands below the frontier; the lane's row must be held alone.
pub(in crate::postgres) async fn save_recount(
    session: &Session,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<()> {
    let at = record.frontier.place();
    if at.number == 0 {
        return Ok(());
    }
    let frontier = recount(&record.frontier, &record.state, &below(session, lane, at).await?);
    let text = LaneRecord {
        frontier,
        ..record.clone()
    }
    .texts()?
    .frontier;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET frontier = $3 WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &text],
        )
        .await)
    .map(|_| ())
}

async fn below(session: &Session, lane: &Lane, at: Place) -> Result<Below> {
    let (epoch, number) = (small(at.epoch), int(at.number));
    let params: [&(dyn ToSql + Sync); 4] = [&lane.recipient.as_str(), &lane.feed.as_str(), &epoch, &number];
    let query = async |sql: &str| pg(session.client.query(sql, &params).await);
    let mut below = Below::default();
    let same = "recipient = $1 AND feed = $2 AND epoch = $3 AND number";
    for row in query(&format!(
        "SELECT digest, state FROM slacktide.ledger WHERE {same} = $4"
    ))
    .await?
    {
        let (digest, state): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        below.head = Some((
            digest_of(&digest)?,
            EntryState::of_word(&state) == EntryState::Stored,
        ));
    }
    let stored = format!("slacktide.ledger WHERE {same} <= $4 AND state = 'stored'");
    for row in query(&format!("SELECT coalesce(sum(rows), 0)::bigint FROM {stored}")).await? {
        below.rows = unsigned(pg(row.try_get(0))?);
    }
    for row in query(&format!(
        "SELECT cursor_after FROM {stored} ORDER BY number DESC LIMIT 1"
    ))
    .await?
    {
        let cursor: Option<String> = pg(row.try_get(0))?;
        below.cursor = cursor
            .map(|text| serde_json::from_str(&text).map_err(|_| broken("slacktide.ledger")))
            .transpose()?;
    }
    let marked = "SELECT l.epoch, l.number, EXISTS (SELECT FROM slacktide.quarantine q WHERE q.recipient = $1 \
         AND q.feed = $2 AND q.epoch = l.epoch AND q.number = l.number AND q.ended IS NULL \
         AND q.kind IS DISTINCT FROM 'reject') FROM slacktide.ledger l WHERE l.recipient = $1 AND l.feed = $2 \
         AND (l.epoch, l.number) <= ($3, $4) AND (l.state = 'quarantined' OR l.rows_quarantined > 0) ORDER BY 1, 2";
    for row in query(marked).await? {
        let (epoch, number): (i32, i64) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        let place = Place {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: unsigned(number),
        };
        below.marked.push((place, pg(row.try_get(2))?));
    }
    Ok(below)
}

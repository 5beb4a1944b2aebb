//! The feeds that the caller may read.

use exchange::Exchange;
use exchange::port::{ReadFrom, Stream};
use schemas::name::Lane;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::feeds::{ChunkPosition, Feed, Feeds};
use web::interface::path;
use web::interface::problem::ProblemKind;

use super::feed_query::FeedPath;
use crate::caller::Caller;
use crate::feed_reader::FeedChunk;
use crate::gateway::Gateway;
use crate::input::{Parameters, PathOf};
use crate::rejection::{Answer, Rejection};
use crate::respond;
use crate::routes::OfRecipient;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_feeds))
        .routes(routes!(read_feed))
}

/// List the feeds of a recipient
///
/// Each with its columns, its newest chunk and the oldest one that is kept. Nothing of it is verified.
#[utoipa::path(get, path = path::FEEDS, tag = "Feeds", params(OfRecipient),
    responses((status = 200, description = "`{\"feeds\": [{\"feed\", \"columns\", \"newest\", \"oldest\", …}]}`", content_type = "application/json")))]
async fn list_feeds(caller: Caller, query: Parameters<OfRecipient>) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let mut feeds = Vec::new();
    for lane in caller.0.exchange.lanes(&recipient).await? {
        // One at a time: the last chunk of a lane may have 4 MB.
        if let Some(feed) = feed(&*caller.0.exchange, &lane).await? {
            feeds.push(feed);
        }
    }
    respond::json(&Feeds { feeds })
}

/// Read a feed's columns and positions
#[utoipa::path(get, path = path::FEED, tag = "Feeds", params(OfRecipient),
    responses((status = 200, description = "The feed", content_type = "application/json")))]
async fn read_feed(caller: Caller, path: PathOf<FeedPath>, query: Parameters<OfRecipient>) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let lane = Lane {
        recipient,
        feed: path.0.feed,
    };
    match feed(&*caller.0.exchange, &lane).await? {
        Some(feed) => respond::json(&feed),
        None => {
            let detail = format!(
                "the exchange has no message of feed {} for {}",
                lane.feed, lane.recipient
            );
            Err(Rejection::new(ProblemKind::NotFound, detail))
        }
    }
}

/// Returns a feed, or `None` if it has no message.
async fn feed(exchange: &dyn Exchange, lane: &Lane) -> Result<Option<Feed>, Rejection> {
    let Some(last) = exchange.last_chunk(lane).await? else {
        return Ok(None);
    };
    let filter = format!("data.{lane}");
    let first = exchange
        .read(Stream::Data, ReadFrom::Sequence(0), &filter, 1)
        .await?
        .pop();
    let newest = FeedChunk::read(last);
    let oldest = first.and_then(FeedChunk::read);
    let schema = newest.as_ref().map(|chunk| chunk.manifest.content.schema.clone());
    Ok(Some(Feed {
        feed: lane.feed.clone(),
        recipient: lane.recipient.clone(),
        is_encrypted: newest
            .as_ref()
            .is_some_and(|chunk| chunk.manifest.content.body.encryption.is_some()),
        newest: newest.as_ref().map(position),
        oldest: oldest.as_ref().map(position),
        tombstone: schema.as_ref().and_then(|schema| schema.tombstone.clone()),
        key: schema
            .as_ref()
            .map(|schema| schema.key.clone())
            .unwrap_or_default(),
        columns: schema.map(|schema| schema.columns).unwrap_or_default(),
    }))
}

fn position(chunk: &FeedChunk) -> ChunkPosition {
    ChunkPosition {
        epoch: chunk.manifest.epoch,
        number: chunk.manifest.number,
        digest: chunk.digest,
        stored_at: chunk.stored.stored_at,
        cursor: chunk.cursor().to_string(),
    }
}

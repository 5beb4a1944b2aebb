//! The chunks of a feed, exactly as published.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::message::{End, Message, Record, encode};
use web::interface::{media, path};

use super::feed_query::{FeedPath, FeedQuery, Found, OpenedFeed};
use crate::caller::Caller;
use crate::feed_reader::{FeedChunk, FeedReader};
use crate::gateway::Gateway;
use crate::input::{Parameters, PathOf};
use crate::rejection::Answer;

/// Chunks of a response without `max`.
const DEFAULT_MAX: usize = 64;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_chunks))
}

/// Read chunks exactly as published
///
/// A sequence of messages, each with its digest, and a mandatory end record with the next cursor. A body without the end record was
/// cut off.
#[utoipa::path(get, path = path::CHUNKS, tag = "Feeds", params(FeedQuery),
    responses((status = 200, description = "A sequence of messages", content_type = "application/vnd.slacktide.messages"),
              (status = 204, description = "No chunk now; see Retry-After"),
              (status = 410, description = "The cursor is not of this history; the detail names the way on")))]
async fn read_chunks(
    caller: Caller,
    State(gateway): State<Gateway>,
    path: PathOf<FeedPath>,
    query: Parameters<FeedQuery>,
) -> Answer {
    let limit = gateway.limits().max_messages;
    let max = query.0.max.unwrap_or(DEFAULT_MAX).clamp(1, limit);
    let opened = match query.0.open(&caller, &gateway, path.0.feed).await? {
        Found::Chunk(opened) => *opened,
        Found::Nothing(response) => return Ok(response),
    };
    let OpenedFeed { reader, first, .. } = opened;
    let download = Download {
        reader,
        chunk: Some(first),
        remaining: max,
        sent: 0,
        next: None,
        is_ended: false,
    };
    let records = stream::unfold(download, |mut download| async move {
        let record = download.step().await?;
        Some((record, download))
    });
    // The compression reads on after the end.
    let records = records.fuse();
    let mut response = Response::new(Body::from_stream(records));
    let content_type = HeaderValue::from_static(media::MESSAGES);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

struct Download {
    reader: FeedReader,
    /// The chunk to send next, already read.
    chunk: Option<FeedChunk>,
    remaining: usize,
    sent: u64,
    next: Option<String>,
    is_ended: bool,
}

impl Download {
    /// Returns the next record, or `None` after the end record. What cannot be read ends the sequence; the next request reports
    /// the reason.
    async fn step(&mut self) -> Option<std::io::Result<Bytes>> {
        if self.is_ended {
            return None;
        }
        let record = match self.chunk().await {
            Some(chunk) => {
                self.remaining = self.remaining.saturating_sub(1);
                self.sent += 1;
                self.next = Some(chunk.cursor().to_string());
                let digest = Some(chunk.digest);
                Record::Message(Message {
                    digest,
                    ..Message::from(chunk.stored)
                })
            }
            None => {
                self.is_ended = true;
                Record::End(End {
                    messages: self.sent,
                    next: self.next.take(),
                })
            }
        };
        // A body that is cut off here has no end record, so no reader takes it for whole.
        Some(encode(&record).map(Bytes::from).map_err(std::io::Error::other))
    }

    async fn chunk(&mut self) -> Option<FeedChunk> {
        if self.remaining == 0 {
            return None;
        }
        match self.chunk.take() {
            Some(chunk) => Some(chunk),
            None => self.reader.next().await.ok().flatten(),
        }
    }
}

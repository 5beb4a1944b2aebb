//! The query of a read, and the first chunk that it finds.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::name::{FeedName, Lane, RecipientName};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;
use web::interface::cursor::FeedCursor;
use web::interface::header::NEXT_CURSOR;
use web::interface::problem::ProblemKind;

use crate::caller::Caller;
use crate::feed_reader::{FeedChunk, FeedReader, ReadError};
use crate::gateway::Gateway;
use crate::rejection::Rejection;
use crate::respond;

/// Interval between two looks at the exchange while a reader waits.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The feed in a path.
#[derive(Debug, Deserialize)]
pub(super) struct FeedPath {
    pub(super) feed: FeedName,
}

/// The query of a read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    /// The recipient whose feed is read; a recipient may leave it out.
    #[param(value_type = Option<String>)]
    recipient: Option<RecipientName>,
    /// Read after this cursor, the `next` of the last response; without it, from the oldest chunk that is kept.
    after: Option<String>,
    /// The maximum number of chunks; a larger number than the gateway's limit is lowered to it.
    pub(super) max: Option<usize>,
    /// Wait up to this many seconds for a chunk if there is none.
    wait: Option<u64>,
    /// Pass over the message at this sequence, which an earlier response reported as unreadable.
    skip: Option<u64>,
}

/// A feed with its next chunk.
pub(super) struct OpenedFeed {
    pub(super) reader: FeedReader,
    pub(super) first: FeedChunk,
    pub(super) lane: Lane,
}

/// What a read finds.
pub(super) enum Found {
    /// A chunk.
    Chunk(Box<OpenedFeed>),
    /// Nothing now.
    Nothing(Response),
}

impl FeedQuery {
    /// Opens the feed and reads the next chunk; waits for it if the query asks for that.
    pub(super) async fn open(
        &self,
        caller: &Caller,
        gateway: &Gateway,
        feed: FeedName,
    ) -> Result<Found, Rejection> {
        let recipient = caller.recipient(self.recipient.as_ref())?;
        let lane = Lane { recipient, feed };
        let after = self.after.as_deref().map(str::parse::<FeedCursor>).transpose();
        let after = after.map_err(|error| Rejection::bad_request(error.to_string()))?;
        let wait = Duration::from_secs(self.wait.unwrap_or_default()).min(gateway.limits().max_wait);
        let deadline = Instant::now() + wait;
        loop {
            if self.skip.is_some() || !is_newest(after.as_ref(), caller, gateway, &lane).await? {
                let exchange = Arc::clone(&caller.0.exchange);
                let mut reader = FeedReader::open(exchange, lane.clone(), after.as_ref(), self.skip).await?;
                if let Some(first) = reader.next().await? {
                    let opened = OpenedFeed { reader, first, lane };
                    return Ok(Found::Chunk(Box::new(opened)));
                }
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(Found::Nothing(nothing(self.after.as_deref())));
            }
            tokio::select! {
                () = sleep(rest.min(POLL_INTERVAL)) => {}
                () = gateway.stop().cancelled() => return Ok(Found::Nothing(nothing(self.after.as_deref()))),
            }
        }
    }
}

/// Whether the cursor is after the newest chunk, so that nothing follows and the cursor is of this history.
async fn is_newest(
    after: Option<&FeedCursor>,
    caller: &Caller,
    gateway: &Gateway,
    lane: &Lane,
) -> Result<bool, Rejection> {
    match after {
        Some(after) => Ok(gateway.newest(&caller.0, lane).await?.as_ref() == Some(after)),
        None => Ok(false),
    }
}

/// 204: no chunk now. The cursor stays.
fn nothing(after: Option<&str>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
    if let Some(after) = after {
        respond::insert(headers, NEXT_CURSOR, after);
    }
    response
}

impl From<ReadError> for Rejection {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Exchange(error) => error.into(),
            ReadError::CursorGone(what) => Self::new(ProblemKind::CursorGone, what),
            ReadError::Unreadable(what) => Self::new(ProblemKind::ExchangeProtocol, what),
        }
    }
}

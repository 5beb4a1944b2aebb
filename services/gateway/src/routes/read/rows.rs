//! The rows of a feed, for a receiver without an agent.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::path;
use web::interface::problem::ProblemKind;

use super::feed_query::{FeedPath, FeedQuery, Found};
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{Parameters, PathOf};
use crate::rejection::{Answer, Rejection};
use crate::rows::format::Format;
use crate::rows_download::{RowsDownload, RowsError};

/// Chunks of a response without `max`.
const DEFAULT_MAX: usize = 1_000;

/// The formats, the default first.
const OFFERED: [Format; 2] = [Format::Ndjson, Format::Csv];

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_rows))
}

/// Read the rows of a feed
///
/// As NDJSON or CSV, by the Accept header. The last line is the end record with the number of rows, the digest of everything
/// before it and the next cursor; a body without it was cut off. The gateway has no key, so it verifies no signature.
#[utoipa::path(get, path = path::ROWS, tag = "Feeds", params(FeedQuery),
    responses((status = 200, description = "Rows and the end record", content_type = "application/x-ndjson"),
              (status = 204, description = "No chunk now; see Retry-After"),
              (status = 406, description = "The rows are encrypted, or another media type is asked for"),
              (status = 410, description = "The cursor is not of this history; the detail names the way on")))]
async fn read_rows(
    caller: Caller,
    State(gateway): State<Gateway>,
    path: PathOf<FeedPath>,
    query: Parameters<FeedQuery>,
    headers: HeaderMap,
) -> Answer {
    let format = accepted(&headers, &OFFERED)?;
    let limit = gateway.limits().max_messages;
    let max = query.0.max.unwrap_or(DEFAULT_MAX).clamp(1, limit);
    let opened = match query.0.open(&caller, &gateway, path.0.feed).await? {
        Found::Chunk(opened) => *opened,
        Found::Nothing(response) => return Ok(response),
    };
    let feed = opened.lane.feed.clone();
    let stop = gateway.stop().clone();
    let download = RowsDownload::begin(opened.reader, &opened.first, format, max, stop);
    let download = download.map_err(|error| match error {
        RowsError::Encrypted => Rejection::new(
            ProblemKind::NotAcceptable,
            format!(
                "the rows of feed {feed} are encrypted to the recipient's key, which the gateway does not have; read \
                 /v1/feeds/{feed}/chunks and decrypt them"
            ),
        ),
        RowsError::Unreadable(what) => Rejection::new(ProblemKind::ExchangeProtocol, what),
    })?;
    let parts = stream::unfold(download, |mut download| async move {
        let part = download.step().await?;
        Some((Ok::<_, std::io::Error>(part), download))
    });
    // The compression reads on after the end.
    let parts = parts.fuse();
    let mut response = Response::new(Body::from_stream(parts));
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Returns the format that the Accept header asks for.
pub(super) fn accepted(headers: &HeaderMap, offered: &[Format]) -> Result<Format, Rejection> {
    let accept = headers
        .get(header::ACCEPT)
        .map(|value| value.to_str().unwrap_or_default());
    Format::accepted(accept, offered).ok_or_else(|| {
        let names: Vec<&str> = offered.iter().map(|format| format.media_type()).collect();
        let detail = format!("the response has one of these media types: {}", names.join(", "));
        Rejection::new(ProblemKind::NotAcceptable, detail)
    })
}

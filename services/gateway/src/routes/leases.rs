//! The leases of sources.

use axum::http::HeaderMap;
use schemas::name::SourceName;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::{media, path};

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, NoParameters, Parameters, PathOf};
use crate::openapi::responses::{OneMessage, Published};
use crate::precondition::expected_sequence;
use crate::rejection::Answer;
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_lease, write_lease))
}

#[derive(Debug, Deserialize)]
struct LeasePath {
    source: SourceName,
}

/// Read the lease of a source
#[utoipa::path(get, path = path::LEASE, tag = "Leases", responses(OneMessage))]
async fn read_lease(caller: Caller, path: PathOf<LeasePath>, _: Parameters<NoParameters>) -> Answer {
    Ok(respond::message(caller.0.exchange.lease(&path.0.source).await?))
}

/// Write the lease of a source
///
/// It is written if the last record is still the one that If-Match names.
#[utoipa::path(put, path = path::LEASE, tag = "Leases", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Published))]
async fn write_lease(
    caller: Caller,
    path: PathOf<LeasePath>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (exchange, source) = (&caller.0.exchange, &path.0.source);
    let expected = expected_sequence(&headers)?;
    let outcome = exchange.write_lease(source, message.0, expected).await?;
    respond::published(outcome, exchange.lease(source)).await
}

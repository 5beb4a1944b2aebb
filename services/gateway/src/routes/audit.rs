//! Audit entries.

use axum::http::HeaderMap;
use schemas::name::PartyName;
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
    OpenApiRouter::default().routes(routes!(read_audit, publish_audit))
}

#[derive(Debug, Deserialize)]
struct AuditPath {
    party: PartyName,
    writer: PartyName,
}

/// Read the last audit entry of a writer
#[utoipa::path(get, path = path::AUDIT, tag = "Audit", responses(OneMessage))]
async fn read_audit(caller: Caller, path: PathOf<AuditPath>, _: Parameters<NoParameters>) -> Answer {
    let AuditPath { party, writer } = &path.0;
    caller.may_name(party.as_str())?;
    Ok(respond::message(
        caller.0.exchange.last_audit(party, writer).await?,
    ))
}

/// Publish an audit entry
///
/// It is stored if the writer's last entry is still the one that If-Match names.
#[utoipa::path(put, path = path::AUDIT, tag = "Audit", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Published))]
async fn publish_audit(
    caller: Caller,
    path: PathOf<AuditPath>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (exchange, AuditPath { party, writer }) = (&caller.0.exchange, &path.0);
    caller.may_name(party.as_str())?;
    let expected = expected_sequence(&headers)?;
    let outcome = exchange.publish_audit(party, writer, message.0, expected).await?;
    respond::published(outcome, exchange.last_audit(party, writer)).await
}

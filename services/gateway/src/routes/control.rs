//! Operators' orders.

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
    OpenApiRouter::default().routes(routes!(read_control, publish_control))
}

#[derive(Debug, Deserialize)]
struct ControlPath {
    party: PartyName,
}

/// Read the last record of a party's orders
#[utoipa::path(get, path = path::CONTROL, tag = "Orders", responses(OneMessage))]
async fn read_control(caller: Caller, path: PathOf<ControlPath>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(path.0.party.as_str())?;
    Ok(respond::message(
        caller.0.exchange.last_control(&path.0.party).await?,
    ))
}

/// Publish a record of a party's orders
///
/// It is stored if the last record is still the one that If-Match names.
#[utoipa::path(put, path = path::CONTROL, tag = "Orders", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Published))]
async fn publish_control(
    caller: Caller,
    path: PathOf<ControlPath>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (exchange, party) = (&caller.0.exchange, &path.0.party);
    caller.may_name(party.as_str())?;
    let expected = expected_sequence(&headers)?;
    let outcome = exchange.publish_control(party, message.0, expected).await?;
    respond::published(outcome, exchange.last_control(party)).await
}

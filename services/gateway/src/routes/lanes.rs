//! Lanes: their last chunks and receipts.

use axum::http::HeaderMap;
use schemas::name::{Lane, RecipientName};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::{body, media, path};

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, NoParameters, Parameters, PathOf};
use crate::openapi::responses::{Json, OneMessage, Published};
use crate::precondition::expected_sequence;
use crate::rejection::Answer;
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(read_tail, publish_chunk))
        .routes(routes!(read_receipt, publish_receipt))
        .routes(routes!(list_lanes))
}

/// Read the last chunk of a lane
#[utoipa::path(get, path = path::TAIL, tag = "Lanes", responses(OneMessage))]
async fn read_tail(caller: Caller, lane: PathOf<Lane>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(lane.0.recipient.as_str())?;
    Ok(respond::message(caller.0.exchange.last_chunk(&lane.0).await?))
}

/// Publish a chunk
///
/// It is stored if the last chunk of the lane is still the one that If-Match names.
#[utoipa::path(put, path = path::TAIL, tag = "Lanes", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Published))]
async fn publish_chunk(
    caller: Caller,
    lane: PathOf<Lane>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    caller.may_name(lane.0.recipient.as_str())?;
    let (exchange, lane) = (&caller.0.exchange, &lane.0);
    let expected = expected_sequence(&headers)?;
    let outcome = exchange.publish_chunk(lane, message.0, expected).await?;
    // The leader's answer: a client that asks with an impossible condition judges by it.
    respond::published_at(outcome, exchange.leader_sequence(lane)).await
}

/// Read the last receipt of a lane
#[utoipa::path(get, path = path::RECEIPT, tag = "Lanes", responses(OneMessage))]
async fn read_receipt(caller: Caller, lane: PathOf<Lane>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(lane.0.recipient.as_str())?;
    Ok(respond::message(caller.0.exchange.last_receipt(&lane.0).await?))
}

/// Publish a receipt
///
/// It is stored if the last receipt of the lane is still the one that If-Match names.
#[utoipa::path(put, path = path::RECEIPT, tag = "Lanes", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Published))]
async fn publish_receipt(
    caller: Caller,
    lane: PathOf<Lane>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    caller.may_name(lane.0.recipient.as_str())?;
    let (exchange, lane) = (&caller.0.exchange, &lane.0);
    let expected = expected_sequence(&headers)?;
    let outcome = exchange.publish_receipt(lane, message.0, expected).await?;
    respond::published(outcome, exchange.last_receipt(lane)).await
}

#[derive(Debug, Deserialize)]
struct LanesPath {
    recipient: RecipientName,
}

/// List the lanes of a recipient that have a receipt
#[utoipa::path(get, path = path::LANES, tag = "Lanes", responses(Json<body::ReceiptedLanes>))]
async fn list_lanes(caller: Caller, path: PathOf<LanesPath>, _: Parameters<NoParameters>) -> Answer {
    let recipient = path.0.recipient;
    caller.may_name(recipient.as_str())?;
    let lanes = caller.0.exchange.receipted_lanes(&recipient).await?;
    respond::json(&body::ReceiptedLanes {
        feeds: lanes.into_iter().map(|lane| lane.feed).collect(),
    })
}

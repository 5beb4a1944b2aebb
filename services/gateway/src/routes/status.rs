//! The status of agents, and the note that an operator watches them.

use axum::http::{HeaderMap, StatusCode};
use schemas::name::PartyName;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::message::Message;
use web::interface::{media, path};

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, NoParameters, Parameters, PathOf};
use crate::openapi::responses::{Messages, OneMessage, Written};
use crate::precondition::expect_none;
use crate::rejection::Answer;
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_status))
        .routes(routes!(replace_status))
        .routes(routes!(read_watch, replace_watch))
}

#[derive(Debug, Deserialize)]
struct StatusPath {
    party: PartyName,
}

#[derive(Debug, Deserialize)]
struct AgentPath {
    party: PartyName,
    writer: PartyName,
}

/// List the last status of each of a party's agents
///
/// A party may read its own, the auditor every party's.
#[utoipa::path(get, path = path::AGENTS_STATUS, tag = "Status", responses(Messages))]
async fn list_status(caller: Caller, path: PathOf<StatusPath>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(path.0.party.as_str())?;
    let all = caller.0.exchange.statuses(&path.0.party).await?;
    respond::messages(all.into_iter().map(Message::from).collect(), None)
}

/// Replace the status of one agent
///
/// It takes no condition: of two writers the later one is read. It is kept for a day at most.
#[utoipa::path(put, path = path::AGENT_STATUS, tag = "Status", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Written))]
async fn replace_status(
    caller: Caller,
    path: PathOf<AgentPath>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let AgentPath { party, writer } = &path.0;
    caller.may_name(party.as_str())?;
    expect_none(&headers)?;
    let exchange = &caller.0.exchange;
    let sequence = exchange.publish_status(party, writer, message.0).await?;
    Ok(respond::with_etag(StatusCode::NO_CONTENT, sequence))
}

/// Read the note that an operator watches a party's agents
#[utoipa::path(get, path = path::WATCH, tag = "Status", responses(OneMessage))]
async fn read_watch(caller: Caller, path: PathOf<StatusPath>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(path.0.party.as_str())?;
    Ok(respond::message(
        caller.0.exchange.last_watch(&path.0.party).await?,
    ))
}

/// Replace the note that an operator watches a party's agents
///
/// The agents publish their status every second until the time in the note, instead of every 15 seconds.
#[utoipa::path(put, path = path::WATCH, tag = "Status", request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Written))]
async fn replace_watch(
    caller: Caller,
    path: PathOf<StatusPath>,
    _: Parameters<NoParameters>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    caller.may_name(path.0.party.as_str())?;
    expect_none(&headers)?;
    let exchange = &caller.0.exchange;
    let sequence = exchange.publish_watch(&path.0.party, message.0).await?;
    Ok(respond::with_etag(StatusCode::NO_CONTENT, sequence))
}

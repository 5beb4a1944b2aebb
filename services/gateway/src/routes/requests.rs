//! Data requests: messages of one request.
//!
//! - `filing` lists requests

mod filing;

use axum::http::HeaderMap;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::RequestId;
use schemas::subject::Subject;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::message::Message;
use web::interface::{media, path};

use super::OfRecipient;
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, Parameters, PathOf};
use crate::openapi::responses::{Filed, Messages, OneMessage, Written};
use crate::precondition::{expect_absent, expect_none};
use crate::rejection::Answer;
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .merge(filing::router())
        .routes(routes!(read_request, file_request))
        .routes(routes!(read_cancellation, file_cancellation))
        .routes(routes!(read_reply, publish_reply))
        .routes(routes!(read_part, publish_part))
        .routes(routes!(read_progress, write_progress))
        .routes(routes!(list_approvals))
        .routes(routes!(read_approval, file_approval))
        .routes(routes!(read_confirmation, file_confirmation))
}

#[derive(Debug, Deserialize)]
struct RequestPath {
    id: RequestId,
}

/// Returns the recipient and the id that a request is about.
fn target(
    caller: &Caller,
    path: PathOf<RequestPath>,
    query: &Parameters<OfRecipient>,
) -> Result<(RecipientName, RequestId), crate::rejection::Rejection> {
    Ok((caller.recipient(query.0.recipient.as_ref())?, path.0.id))
}

/// Read a request
#[utoipa::path(get, path = path::REQUEST_MESSAGE, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_request(caller: Caller, path: PathOf<RequestPath>, query: Parameters<OfRecipient>) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    let (request, _) = caller.0.exchange.request_status(&recipient, &id).await?;
    Ok(respond::message(request))
}

/// File a request under its id
#[utoipa::path(put, path = path::REQUEST_MESSAGE, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_request(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    expect_absent(&headers)?;
    let exchange = &caller.0.exchange;
    respond::filed(exchange.file_request(&recipient, &id, message.0).await?)
}

/// Read the cancellation of a request
#[utoipa::path(get, path = path::CANCELLATION, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_cancellation(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    Ok(respond::message(
        caller.0.exchange.cancellation(&recipient, &id).await?,
    ))
}

/// File the cancellation of a request
#[utoipa::path(put, path = path::CANCELLATION, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_cancellation(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    expect_absent(&headers)?;
    let exchange = &caller.0.exchange;
    respond::filed(exchange.cancel_request(&recipient, &id, message.0).await?)
}

/// Read the reply to a request
#[utoipa::path(get, path = path::REPLY, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_reply(caller: Caller, path: PathOf<RequestPath>, query: Parameters<OfRecipient>) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    let (_, reply) = caller.0.exchange.request_status(&recipient, &id).await?;
    Ok(respond::message(reply))
}

/// Publish the reply to a request
///
/// The first reply is the outcome of the request.
#[utoipa::path(put, path = path::REPLY, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn publish_reply(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    expect_absent(&headers)?;
    respond::filed(caller.0.exchange.reply(&recipient, &id, message.0).await?)
}

/// A number that counts from 1, in its one spelling, so that no two paths mean the same part.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Count(u32);

impl TryFrom<String> for Count {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = text.parse::<u32>().ok();
        let number = number.filter(|number| *number > 0 && number.to_string() == text);
        number
            .map(Self)
            .ok_or("attempt and number count from 1, without leading zeros")
    }
}

#[derive(Debug, Deserialize)]
struct PartPath {
    id: RequestId,
    attempt: Count,
    number: Count,
}

/// Read a part of an answer
#[utoipa::path(get, path = path::PART, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_part(caller: Caller, path: PathOf<PartPath>, query: Parameters<OfRecipient>) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let PartPath { id, attempt, number } = path.0;
    let part = caller
        .0
        .exchange
        .part(&recipient, &id, attempt.0, number.0)
        .await?;
    Ok(respond::message(part))
}

/// Publish a part of an answer
#[utoipa::path(put, path = path::PART, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn publish_part(
    caller: Caller,
    path: PathOf<PartPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    expect_absent(&headers)?;
    let PartPath { id, attempt, number } = path.0;
    let exchange = &caller.0.exchange;
    respond::filed(
        exchange
            .publish_part(&recipient, &id, attempt.0, number.0, message.0)
            .await?,
    )
}

/// Read the last progress of a request
#[utoipa::path(get, path = path::PROGRESS, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_progress(caller: Caller, path: PathOf<RequestPath>, query: Parameters<OfRecipient>) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    Ok(respond::message(
        caller.0.exchange.progress(&recipient, &id).await?,
    ))
}

/// Replace the progress of a request
///
/// It takes no condition: of two writers the later one is read.
#[utoipa::path(put, path = path::PROGRESS, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Written))]
async fn write_progress(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    expect_none(&headers)?;
    let sequence = caller
        .0
        .exchange
        .write_progress(&recipient, &id, message.0)
        .await?;
    Ok(respond::with_etag(axum::http::StatusCode::NO_CONTENT, sequence))
}

/// List the officers' decisions about a request
///
/// Oldest first.
#[utoipa::path(get, path = path::APPROVALS, tag = "Requests", params(OfRecipient), responses(Messages))]
async fn list_approvals(caller: Caller, path: PathOf<RequestPath>, query: Parameters<OfRecipient>) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    let approvals = caller.0.exchange.approvals(&recipient, &id).await?;
    respond::messages(approvals.into_iter().map(Message::from).collect(), None)
}

#[derive(Debug, Deserialize)]
struct ApprovalPath {
    id: RequestId,
    officer: OfficerName,
}

/// Read an officer's decision about a request
#[utoipa::path(get, path = path::APPROVAL, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_approval(caller: Caller, path: PathOf<ApprovalPath>, query: Parameters<OfRecipient>) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let ApprovalPath { id, officer } = path.0;
    let approvals = caller.0.exchange.approvals(&recipient, &id).await?;
    let subject = Subject::Approval(recipient, id, officer).to_string();
    let mut approvals = approvals.into_iter();
    Ok(respond::message(
        approvals.find(|approval| approval.subject == subject),
    ))
}

/// File an officer's decision about a request
#[utoipa::path(put, path = path::APPROVAL, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_approval(
    caller: Caller,
    path: PathOf<ApprovalPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    expect_absent(&headers)?;
    let ApprovalPath { id, officer } = path.0;
    let exchange = &caller.0.exchange;
    respond::filed(exchange.approve(&recipient, &id, &officer, message.0).await?)
}

/// Read the confirmation that the reply is stored
#[utoipa::path(get, path = path::CONFIRMATION, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_confirmation(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    Ok(respond::message(
        caller.0.exchange.confirmation(&recipient, &id).await?,
    ))
}

/// File the confirmation that the reply is stored
#[utoipa::path(put, path = path::CONFIRMATION, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_confirmation(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let (recipient, id) = target(&caller, path, &query)?;
    expect_absent(&headers)?;
    respond::filed(caller.0.exchange.confirm(&recipient, &id, message.0).await?)
}

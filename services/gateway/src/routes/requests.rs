//! Data requests: messages of one request.
//!
//! - `filing` lists requests

mod filing;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use exchange::Exchange;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::RequestId;
use schemas::subject::Subject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
use crate::rejection::{Answer, Rejection};
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

/// A resource of one request: who calls, whose request it is, and what the path names.
struct OfRequest<P> {
    caller: Caller,
    recipient: RecipientName,
    path: P,
}

impl<P> OfRequest<P> {
    fn exchange(&self) -> &dyn Exchange {
        &*self.caller.0.exchange
    }
}

impl<P: DeserializeOwned + Send> FromRequestParts<Gateway> for OfRequest<P> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Rejection> {
        let caller = Caller::from_request_parts(parts, gateway).await?;
        let PathOf(path) = PathOf::from_request_parts(parts, gateway).await?;
        let Parameters(query) = Parameters::<OfRecipient>::from_request_parts(parts, gateway).await?;
        let recipient = caller.recipient(query.recipient.as_ref())?;
        Ok(Self {
            caller,
            recipient,
            path,
        })
    }
}

/// The message for a resource that accepts one message.
struct OnlyMessage(Bytes);

impl FromRequest<Gateway> for OnlyMessage {
    type Rejection = Rejection;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Rejection> {
        let condition = expect_absent(request.headers());
        let MessageBody(bytes) = MessageBody::from_request(request, gateway).await?;
        condition.map(|()| Self(bytes))
    }
}

/// Read a request
#[utoipa::path(get, path = path::REQUEST_MESSAGE, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_request(target: OfRequest<RequestPath>) -> Answer {
    let (request, _) = target
        .exchange()
        .request_status(&target.recipient, &target.path.id)
        .await?;
    Ok(respond::message(request))
}

/// File a request under its id
#[utoipa::path(put, path = path::REQUEST_MESSAGE, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_request(target: OfRequest<RequestPath>, message: OnlyMessage) -> Answer {
    respond::filed(
        target
            .exchange()
            .file_request(&target.recipient, &target.path.id, message.0)
            .await?,
    )
}

/// Read the cancellation of a request
#[utoipa::path(get, path = path::CANCELLATION, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_cancellation(target: OfRequest<RequestPath>) -> Answer {
    Ok(respond::message(
        target
            .exchange()
            .cancellation(&target.recipient, &target.path.id)
            .await?,
    ))
}

/// File the cancellation of a request
#[utoipa::path(put, path = path::CANCELLATION, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_cancellation(target: OfRequest<RequestPath>, message: OnlyMessage) -> Answer {
    respond::filed(
        target
            .exchange()
            .cancel_request(&target.recipient, &target.path.id, message.0)
            .await?,
    )
}

/// Read the reply to a request
#[utoipa::path(get, path = path::REPLY, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_reply(target: OfRequest<RequestPath>) -> Answer {
    let (_, reply) = target
        .exchange()
        .request_status(&target.recipient, &target.path.id)
        .await?;
    Ok(respond::message(reply))
}

/// Publish the reply to a request
///
/// The first reply is the outcome of the request.
#[utoipa::path(put, path = path::REPLY, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn publish_reply(target: OfRequest<RequestPath>, message: OnlyMessage) -> Answer {
    respond::filed(
        target
            .exchange()
            .reply(&target.recipient, &target.path.id, message.0)
            .await?,
    )
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
async fn read_part(target: OfRequest<PartPath>) -> Answer {
    let PartPath { id, attempt, number } = &target.path;
    let (exchange, recipient) = (target.exchange(), &target.recipient);
    Ok(respond::message(
        exchange.part(recipient, id, attempt.0, number.0).await?,
    ))
}

/// Publish a part of an answer
#[utoipa::path(put, path = path::PART, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn publish_part(target: OfRequest<PartPath>, message: OnlyMessage) -> Answer {
    let PartPath { id, attempt, number } = &target.path;
    let (exchange, recipient) = (target.exchange(), &target.recipient);
    respond::filed(
        exchange
            .publish_part(recipient, id, attempt.0, number.0, message.0)
            .await?,
    )
}

/// Read the last progress of a request
#[utoipa::path(get, path = path::PROGRESS, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_progress(target: OfRequest<RequestPath>) -> Answer {
    Ok(respond::message(
        target
            .exchange()
            .progress(&target.recipient, &target.path.id)
            .await?,
    ))
}

/// Replace the progress of a request
///
/// It takes no condition: of two writers the later one is read.
#[utoipa::path(put, path = path::PROGRESS, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Written))]
async fn write_progress(target: OfRequest<RequestPath>, headers: HeaderMap, message: MessageBody) -> Answer {
    expect_none(&headers)?;
    let sequence = target
        .exchange()
        .write_progress(&target.recipient, &target.path.id, message.0)
        .await?;
    Ok(respond::with_etag(axum::http::StatusCode::NO_CONTENT, sequence))
}

/// List the officers' decisions about a request
///
/// Oldest first.
#[utoipa::path(get, path = path::APPROVALS, tag = "Requests", params(OfRecipient), responses(Messages))]
async fn list_approvals(target: OfRequest<RequestPath>) -> Answer {
    let approvals = target
        .exchange()
        .approvals(&target.recipient, &target.path.id)
        .await?;
    respond::messages(approvals.into_iter().map(Message::from).collect(), None)
}

#[derive(Debug, Deserialize)]
struct ApprovalPath {
    id: RequestId,
    officer: OfficerName,
}

/// Read an officer's decision about a request
#[utoipa::path(get, path = path::APPROVAL, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_approval(target: OfRequest<ApprovalPath>) -> Answer {
    let approvals = target
        .exchange()
        .approvals(&target.recipient, &target.path.id)
        .await?;
    let OfRequest { recipient, path, .. } = target;
    let subject = Subject::Approval(recipient, path.id, path.officer).to_string();
    let mut approvals = approvals.into_iter();
    Ok(respond::message(
        approvals.find(|approval| approval.subject == subject),
    ))
}

/// File an officer's decision about a request
#[utoipa::path(put, path = path::APPROVAL, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_approval(target: OfRequest<ApprovalPath>, message: OnlyMessage) -> Answer {
    let ApprovalPath { id, officer } = &target.path;
    respond::filed(
        target
            .exchange()
            .approve(&target.recipient, id, officer, message.0)
            .await?,
    )
}

/// Read the confirmation that the reply is stored
#[utoipa::path(get, path = path::CONFIRMATION, tag = "Requests", params(OfRecipient), responses(OneMessage))]
async fn read_confirmation(target: OfRequest<RequestPath>) -> Answer {
    Ok(respond::message(
        target
            .exchange()
            .confirmation(&target.recipient, &target.path.id)
            .await?,
    ))
}

/// File the confirmation that the reply is stored
#[utoipa::path(put, path = path::CONFIRMATION, tag = "Requests", params(OfRecipient), request_body(content = Vec<u8>, content_type = media::MESSAGE), responses(Filed))]
async fn file_confirmation(target: OfRequest<RequestPath>, message: OnlyMessage) -> Answer {
    respond::filed(
        target
            .exchange()
            .confirm(&target.recipient, &target.path.id, message.0)
            .await?,
    )
}

//! Filing a request, its state, its cancellation.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use exchange::Filed;
use schemas::name::RecipientName;
use schemas::request::{Cancel, Request, RequestId};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::header::IDEMPOTENCY_KEY;
use web::interface::path;
use web::interface::problem::ProblemKind;

use super::request_state::{self, read_payload, unknown};
use super::signed;
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, Parameters, PathOf};
use crate::rejection::{Answer, Rejection};
use crate::respond;
use crate::routes::OfRecipient;

/// Seconds after which a waiting request is worth another look.
pub(super) const RETRY_AFTER: u32 = 2;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(submit_request))
        .routes(routes!(read_request_state, cancel_request))
}

/// The request in a path.
#[derive(Debug, Deserialize)]
pub(super) struct RequestPath {
    pub(super) id: RequestId,
}

/// File a request
///
/// The body is a signed request, such as `slacktide request file --out` writes. With an Idempotency-Key its id must be the one that
/// is derived from day, recipient and key: a repeated call is then the same request, and no gateway keeps any state.
#[utoipa::path(post, path = path::REQUESTS, tag = "Requests",
    params(OfRecipient, ("Idempotency-Key" = Option<String>, Header, description = "The key from which the id of the request is derived.")),
    request_body(content = Vec<u8>, content_type = "application/vnd.slacktide.message"),
    responses((status = 202, description = "Filed now or earlier; Location names it"),
              (status = 409, description = "Another request has this id"),
              (status = 422, description = "Not a signed request of this recipient, or its id is not of the key")))]
async fn submit_request(
    caller: Caller,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let (request, _) = signed::read::<Request>(&message.0)?;
    let key = idempotency_key(&headers)?;
    check_request(&request, &recipient, key)
        .map_err(|what| Rejection::new(ProblemKind::InvalidMessage, what))?;
    let exchange = &caller.0.exchange;
    let filed = exchange
        .file_request(&recipient, &request.id, message.0.clone())
        .await?;
    if !is_same(&filed, &message.0) {
        let detail = format!(
            "request {} is filed already, with other bytes: another request needs another Idempotency-Key",
            request.id
        );
        return Err(Rejection::new(ProblemKind::Conflict, detail));
    }
    accepted(&request.id, &json!({ "id": request.id, "state": "filed" }))
}

/// Read the state of a request
///
/// 202 with the progress while it waits, 200 with the outcome.
#[utoipa::path(get, path = path::REQUEST, tag = "Requests", params(OfRecipient),
    responses((status = 200, description = "The outcome", content_type = "application/json"),
              (status = 202, description = "The progress; see Retry-After", content_type = "application/json")))]
async fn read_request_state(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let id = path.0.id;
    let state = request_state::read(&*caller.0.exchange, &recipient, &id).await?;
    let state = state.ok_or_else(|| unknown(&id))?;
    if state.outcome.is_some() {
        respond::json(&state)
    } else {
        accepted(&id, &state)
    }
}

/// Cancel a request
///
/// The body is a signed cancellation. The first final outcome wins; read the request again to see which one it is.
#[utoipa::path(delete, path = path::REQUEST, tag = "Requests", params(OfRecipient),
    request_body(content = Vec<u8>, content_type = "application/vnd.slacktide.message"),
    responses((status = 202, description = "A cancellation is filed, now or earlier"),
              (status = 422, description = "Not a signed cancellation of this request")))]
async fn cancel_request(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    message: MessageBody,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let id = path.0.id;
    let (cancel, _) = signed::read::<Cancel>(&message.0)?;
    let exchange = &caller.0.exchange;
    let (request, _) = exchange.request_status(&recipient, &id).await?;
    let request = request.ok_or_else(|| unknown(&id))?;
    let digest = read_payload::<Request>(&request.bytes).map(|(_, digest)| digest);
    if (&cancel.id, &cancel.recipient, Some(cancel.request)) != (&id, &recipient, digest) {
        let detail = format!("the cancellation is not of request {id} as it was filed");
        return Err(Rejection::new(ProblemKind::InvalidMessage, detail));
    }
    // One that was filed before has the same effect.
    exchange.cancel_request(&recipient, &id, message.0).await?;
    accepted(&id, &json!({ "id": id, "state": "cancel_requested" }))
}

/// 202 with a body, the address of the request, and when to look again.
fn accepted(id: &RequestId, body: &impl serde::Serialize) -> Answer {
    let mut response: Response = respond::json(body)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    respond::insert(headers, header::LOCATION.as_str(), &format!("/v1/requests/{id}"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    Ok(response)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
            Ok(key) if !key.is_empty() => Ok(Some(key)),
            _ => Err(Rejection::bad_request(
                "the Idempotency-Key is empty or not UTF-8",
            )),
        },
        _ => Err(Rejection::bad_request(
            "the header Idempotency-Key is given twice",
        )),
    }
}

/// PURE: checks that a request is the caller's, and that its id is derived from the key.
fn check_request(request: &Request, recipient: &RecipientName, key: Option<&str>) -> Result<(), String> {
    if request.recipient != *recipient {
        return Err(format!("the request is of another recipient than {recipient}"));
    }
    if !request.id_matches_key() {
        return Err(format!(
            "the id {} is not derived from the idempotency key in the request",
            request.id
        ));
    }
    let Some(key) = key else { return Ok(()) };
    let derived = request
        .id
        .day()
        .map(|day| RequestId::from_idempotency_key(day, recipient, key));
    if derived.as_ref() == Some(&request.id) {
        Ok(())
    } else {
        Err(format!(
            "the id {} is not the one that is derived from its day, the recipient and the Idempotency-Key; file it under this key",
            request.id
        ))
    }
}

/// PURE: whether the filed message has these bytes.
fn is_same(filed: &Filed, bytes: &Bytes) -> bool {
    match filed {
        Filed::Done { .. } => true,
        Filed::Exists(stored) => stored.bytes == *bytes,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::sign::SigningKey;

    use super::*;

    fn request(key: &str) -> Request {
        let recipient: RecipientName = "insurer-a".parse().unwrap();
        Request {
            id: RequestId::from_idempotency_key(jiff::civil::date(2026, 1, 31), &recipient, key),
            recipient,
            origin: None,
            kind: "setl.by_person".to_owned(),
            arguments: [].into(),
            purpose: "01".to_owned(),
            basis: "01".to_owned(),
            deadline: None,
            idempotency: Some(key.to_owned()),
            filed_by: "clerk".to_owned(),
            filed_at: Timestamp::UNIX_EPOCH,
            key: SigningKey::generate().public().clone(),
        }
    }

    #[test]
    fn request_id_must_be_derived_from_the_key() {
        let (a, b): (RecipientName, RecipientName) =
            ("insurer-a".parse().unwrap(), "insurer-b".parse().unwrap());
        assert_eq!(check_request(&request("k"), &a, None), Ok(()));
        assert_eq!(check_request(&request("k"), &a, Some("k")), Ok(()));
        assert!(check_request(&request("k"), &a, Some("other")).is_err());
        assert!(check_request(&request("k"), &b, Some("k")).is_err());
        let mut other = request("k");
        other.id = "20260131-abcdefgh".parse().unwrap();
        assert!(check_request(&other, &a, None).is_err());
        other.idempotency = None;
        assert_eq!(check_request(&other, &a, None), Ok(()));
        assert!(check_request(&other, &a, Some("k")).is_err());
    }
}

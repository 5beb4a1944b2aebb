//! The rows of an answer.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use schemas::reply::{Outcome, Reply};
use schemas::request::Request;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::path;
use web::interface::problem::ProblemKind;

use super::request::{RETRY_AFTER, RequestPath};
use super::request_state::{not_a_message, read_payload, unknown};
use super::rows::accepted;
use crate::answer_download::{AnswerDownload, AnswerError};
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{Parameters, PathOf};
use crate::rejection::{Answer, Rejection};
use crate::routes::OfRecipient;
use crate::rows::format::Format;

/// The formats, the default first.
const OFFERED: [Format; 3] = [Format::Json, Format::Ndjson, Format::Csv];

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_result))
}

/// Read the rows of an answer
///
/// As JSON, NDJSON or CSV, by the Accept header. NDJSON and CSV end with an end record; a body without it, and JSON that does not
/// end, were cut off. The parts are compared with the digests that the reply names; no signature is verified.
#[utoipa::path(get, path = path::RESULT, tag = "Requests", params(OfRecipient),
    responses((status = 200, description = "The rows", content_type = "application/json"),
              (status = 204, description = "No outcome yet; see Retry-After"),
              (status = 404, description = "Unknown, or its outcome has no rows: the detail names it"),
              (status = 406, description = "The rows are encrypted, or another media type is asked for")))]
async fn read_result(
    caller: Caller,
    path: PathOf<RequestPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
) -> Answer {
    let format = accepted(&headers, &OFFERED)?;
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let id = path.0.id;
    let exchange = &caller.0.exchange;
    let (request, reply) = exchange.request_status(&recipient, &id).await?;
    let Some(reply) = reply else {
        return match request {
            Some(_) => Ok(not_yet()),
            None => Err(unknown(&id)),
        };
    };
    let (read, _) =
        read_payload::<Reply>(&reply.bytes).ok_or_else(|| not_a_message::<Reply>(&reply.subject))?;
    if (&read.id, &read.recipient) != (&id, &recipient) {
        let detail = format!("the reply at {} is of another request", reply.subject);
        return Err(Rejection::new(ProblemKind::Conflict, detail));
    }
    if let Some((_, digest)) = request.and_then(|request| read_payload::<Request>(&request.bytes))
        && digest != read.request
    {
        let detail = format!("the reply to {id} names another request than the filed one");
        return Err(Rejection::new(ProblemKind::Conflict, detail));
    }
    check_has_answer(&read)?;
    let download = AnswerDownload::begin(exchange.clone(), read, format).await;
    let download = download.map_err(|error| match error {
        AnswerError::Exchange(error) => error.into(),
        AnswerError::Encrypted => Rejection::new(
            ProblemKind::NotAcceptable,
            format!(
                "the answer to {id} is encrypted to the recipient's key, which the gateway does not have; read its parts and \
                 decrypt them"
            ),
        ),
        AnswerError::Invalid(what) => Rejection::new(ProblemKind::ExchangeProtocol, what),
    })?;
    let parts = stream::unfold(download, |mut download| async move {
        let part = download.step().await?;
        Some((part.map_err(std::io::Error::other), download))
    });
    // The compression reads on after the end.
    let parts = parts.fuse();
    let mut response = Response::new(Body::from_stream(parts));
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

fn not_yet() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let retry_after = HeaderValue::from(RETRY_AFTER);
    response.headers_mut().insert(header::RETRY_AFTER, retry_after);
    response
}

/// An outcome without an answer has no rows, and an empty table would look like an answer.
fn check_has_answer(reply: &Reply) -> Result<(), Rejection> {
    let why = match &reply.outcome {
        Outcome::Answered { .. } | Outcome::Empty | Outcome::Partial { .. } => return Ok(()),
        Outcome::Refused { code, reason, .. } => format!("refused, {code}: {reason}"),
        Outcome::Failed { reason } => format!("failed: {reason}"),
        other => other.name().to_owned(),
    };
    let detail = format!("request {} has no rows: it is {why}", reply.id);
    Err(Rejection::new(ProblemKind::NotFound, detail))
}

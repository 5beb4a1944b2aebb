//! Lists the requests of a recipient. `read::request` files and cancels them.

use axum::extract::State;
use exchange::port::{Sequence, Stream};
use schemas::name::RecipientName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::message::Message;
use web::interface::{body, path};

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::Parameters;
use crate::openapi::responses::{Json, Messages};
use crate::rejection::{Answer, Rejection};
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_requests))
        .routes(routes!(list_open_requests))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// The recipient whose requests are meant; a recipient may leave it out.
    #[param(value_type = Option<String>)]
    recipient: Option<RecipientName>,
    /// `request`: the filed ones; `confirm`: the confirmed ones. Without it the filed ones.
    stream: Option<String>,
}

/// List the ids of requests
#[utoipa::path(get, path = path::REQUESTS, tag = "Requests", params(Listed), responses(Json<body::RequestIds>))]
async fn list_requests(caller: Caller, query: Parameters<Listed>) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let stream = match query.0.stream.as_deref() {
        None | Some("request") => Stream::Requests,
        Some("confirm") => Stream::Confirms,
        Some(_) => return Err(Rejection::bad_request("stream is either request or confirm")),
    };
    let ids = caller.0.exchange.request_ids(&recipient, stream).await?;
    respond::json(&body::RequestIds { ids })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Open {
    /// The recipient whose requests are meant; a recipient may leave it out.
    #[param(value_type = Option<String>)]
    recipient: Option<RecipientName>,
    /// Read from this sequence on.
    #[param(value_type = Option<u64>)]
    from: Option<Sequence>,
    /// The maximum number of messages; a larger number than the gateway's limit is lowered to it.
    max: Option<usize>,
}

/// Read the requests that have no reply
///
/// Oldest first.
#[utoipa::path(get, path = path::OPEN_REQUESTS, tag = "Requests", params(Open), responses(Messages))]
async fn list_open_requests(
    caller: Caller,
    query: Parameters<Open>,
    State(gateway): State<Gateway>,
) -> Answer {
    let recipient = caller.recipient(query.0.recipient.as_ref())?;
    let limit = gateway.limits().max_messages;
    let max = query.0.max.unwrap_or(limit).min(limit);
    let from = query.0.from.unwrap_or_default();
    let requests = caller.0.exchange.fetch_requests(&recipient, from, max).await?;
    respond::messages(requests.into_iter().map(Message::from).collect(), None)
}

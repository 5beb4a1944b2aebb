//! Deliveries of a recipient's consumers, and their settlement.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use exchange::{Delivery, ErrorKind, Settlement};
use jiff::Timestamp;
use schemas::name::RecipientName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::body::{MAX_SETTLED, QueueState, Settle, Settled, SettlementKind};
use web::interface::media;
use web::interface::message::Message;
use web::interface::path::{self, Queue};
use web::interface::problem::ProblemKind;

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{JsonBody, NoParameters, Parameters, PathOf};
use crate::openapi::responses::{Done, Json, Messages};
use crate::rejection::{Answer, Rejection};
use crate::respond;
use crate::trace;

/// The maximum delay of a redelivery.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3_600);

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(read_queue, fetch_deliveries))
        .routes(routes!(settle))
}

#[derive(Debug, Deserialize)]
struct QueuePath {
    recipient: RecipientName,
    queue: String,
}

impl QueuePath {
    fn queue(&self) -> Result<Queue, Rejection> {
        Queue::from_name(&self.queue).ok_or_else(|| {
            Rejection::new(
                ProblemKind::NotFound,
                "the queues of a recipient are chunks and replies",
            )
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Max {
    /// The maximum number of messages; a larger number than the gateway's limit is lowered to it.
    max: Option<usize>,
}

/// Read the state of a queue
///
/// Only the queue of chunks has one.
#[utoipa::path(get, path = path::DELIVERIES, tag = "Deliveries", responses(Json<QueueState>))]
async fn read_queue(caller: Caller, path: PathOf<QueuePath>, _: Parameters<NoParameters>) -> Answer {
    caller.may_name(path.0.recipient.as_str())?;
    match path.0.queue()? {
        Queue::Chunks => {
            let is_drained = caller.0.exchange.is_drained(&path.0.recipient).await?;
            respond::json(&QueueState { is_drained })
        }
        Queue::Replies => Err(Rejection::new(
            ProblemKind::NotFound,
            "the queue of replies has no state; fetch from it",
        )),
    }
}

/// Fetch deliveries
///
/// Each is delivered again until it is settled. An empty sequence does not mean that the queue is drained.
#[utoipa::path(post, path = path::DELIVERIES, tag = "Deliveries", params(Max), responses(Messages))]
async fn fetch_deliveries(
    caller: Caller,
    path: PathOf<QueuePath>,
    query: Parameters<Max>,
    State(gateway): State<Gateway>,
) -> Answer {
    let recipient = &path.0.recipient;
    caller.may_name(recipient.as_str())?;
    let limit = gateway.limits().max_messages;
    let max = query.0.max.unwrap_or(limit).min(limit);
    let exchange = &caller.0.exchange;
    let deliveries = match path.0.queue()? {
        Queue::Chunks => exchange.fetch_chunks(recipient, max).await?,
        Queue::Replies => exchange.fetch_replies(recipient, max).await?,
    };
    let deliveries = deliveries.into_iter().map(trace::delivered);
    respond::messages(deliveries.map(Message::from).collect(), None)
}

/// Settle deliveries
///
/// Settling is idempotent. The tokens are those of the deliveries.
#[utoipa::path(post, path = path::SETTLEMENTS, tag = "Deliveries", request_body(content = ref("#/components/schemas/Settle"), content_type = media::JSON), responses(Done))]
async fn settle(caller: Caller, _: Parameters<NoParameters>, order: JsonBody<Settle>) -> Answer {
    let Settle {
        settlement,
        delay_ms,
        deliveries,
    } = order.0;
    if deliveries.len() > MAX_SETTLED {
        let detail = format!("a settlement has at most {MAX_SETTLED} deliveries");
        return Err(Rejection::bad_request(detail));
    }
    let settlement = match settlement {
        SettlementKind::Ack => Settlement::Ack,
        SettlementKind::Nak => Settlement::Nak(Duration::from_millis(delay_ms).min(MAX_DELAY)),
    };
    let deliveries: Vec<Delivery> = deliveries.into_iter().map(delivery).collect();
    let settled = caller.0.exchange.settle(&deliveries, settlement).await;
    settled.map_err(|error| match error.kind {
        // The caller's token and not the exchange is wrong.
        ErrorKind::Protocol => Rejection::new(
            ProblemKind::NotFound,
            format!("a token is not that of a delivery: {}", error.what),
        ),
        _ => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Returns a delivery as far as its settlement needs it: the exchange uses only the token.
fn delivery(settled: Settled) -> Delivery {
    Delivery {
        subject: settled.subject,
        sequence: settled.sequence,
        stored_at: Timestamp::UNIX_EPOCH,
        attempt: 1,
        trace: None,
        bytes: Bytes::new(),
        token: settled.token,
    }
}

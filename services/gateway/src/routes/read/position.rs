//! The caller's position in a feed: its last receipt.

use axum::http::HeaderMap;
use schemas::name::Lane;
use schemas::receipt::Receipt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::path;
use web::interface::problem::ProblemKind;

use super::feed_query::FeedPath;
use super::signed;
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{MessageBody, Parameters, PathOf};
use crate::precondition::expected_sequence;
use crate::rejection::{Answer, Rejection};
use crate::respond;
use crate::routes::OfRecipient;

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(read_position, settle_feed))
}

/// Read the last receipt of a feed
#[utoipa::path(get, path = path::POSITION, tag = "Feeds", params(OfRecipient),
    responses((status = 200, description = "The last receipt", content_type = "application/vnd.slacktide.message"),
              (status = 204, description = "There is none; the ETag is \"0\"")))]
async fn read_position(caller: Caller, path: PathOf<FeedPath>, query: Parameters<OfRecipient>) -> Answer {
    let lane = Lane {
        recipient: caller.recipient(query.0.recipient.as_ref())?,
        feed: path.0.feed,
    };
    Ok(respond::message(caller.0.exchange.last_receipt(&lane).await?))
}

/// Settle a feed with a signed receipt
///
/// The body is a receipt that the recipient's key signs. It is stored if the last receipt is still the one that If-Match names.
#[utoipa::path(put, path = path::POSITION, tag = "Feeds", params(OfRecipient),
    request_body(content = Vec<u8>, content_type = "application/vnd.slacktide.message"),
    responses((status = 204, description = "Stored; the ETag is the new one"),
              (status = 412, description = "Another receipt was first; the ETag is the current one"),
              (status = 428, description = "If-Match is missing")))]
async fn settle_feed(
    caller: Caller,
    path: PathOf<FeedPath>,
    query: Parameters<OfRecipient>,
    headers: HeaderMap,
    message: MessageBody,
) -> Answer {
    let lane = Lane {
        recipient: caller.recipient(query.0.recipient.as_ref())?,
        feed: path.0.feed,
    };
    let expected = expected_sequence(&headers)?;
    let (receipt, _) = signed::read::<Receipt>(&message.0)?;
    if (&receipt.recipient, &receipt.feed) != (&lane.recipient, &lane.feed) {
        let detail = format!("the receipt is of another lane than {lane}");
        return Err(Rejection::new(ProblemKind::InvalidMessage, detail));
    }
    let exchange = &caller.0.exchange;
    let published = exchange.publish_receipt(&lane, message.0, expected).await?;
    respond::published(published, exchange.last_receipt(&lane)).await
}

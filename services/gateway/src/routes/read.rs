//! Routes for readers without an agent: feeds, chunks, rows, positions, requests and their results.
//!
//! The position in a feed is in the URL, so every gateway answers every request and a restart loses nothing.

mod chunks;
mod feed_query;
mod feeds;
mod position;
mod request;
mod request_state;
mod result;
mod rows;
mod signed;

use utoipa_axum::router::OpenApiRouter;

use crate::gateway::Gateway;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .merge(feeds::router())
        .merge(chunks::router())
        .merge(rows::router())
        .merge(position::router())
        .merge(request::router())
        .merge(result::router())
}

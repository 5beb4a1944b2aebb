//! The round trip to the exchange.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::body;
use web::interface::path;

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{NoParameters, Parameters};
use crate::openapi::responses::Json;
use crate::rejection::Answer;
use crate::respond;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(ping))
}

/// Measure the round trip to the exchange
///
/// Returns the caller as the gateway authenticated it, too.
#[utoipa::path(get, path = path::PING, tag = "Connection", responses(Json<body::Ping>))]
async fn ping(caller: Caller, _: Parameters<NoParameters>) -> Answer {
    let round_trip = caller.0.exchange.ping().await?;
    respond::json(&body::Ping {
        party: caller.0.name.clone(),
        exchange_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
    })
}

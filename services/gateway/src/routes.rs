//! The routes, one file for each group of resources.

mod audit;
mod control;
mod deliveries;
mod lanes;
mod leases;
mod ping;
mod read;
mod requests;
mod status;
mod streams;

use schemas::name::RecipientName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::gateway::Gateway;

pub(crate) use streams::MAX_FILTER;

/// Returns every route of the interface, with its description.
pub(crate) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .merge(ping::router())
        .merge(lanes::router())
        .merge(deliveries::router())
        .merge(requests::router())
        .merge(leases::router())
        .merge(audit::router())
        .merge(control::router())
        .merge(status::router())
        .merge(streams::router())
        .merge(read::router())
}

/// The query that names the recipient of a request.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRecipient {
    /// The recipient whose request is meant; a recipient may leave it out.
    #[param(value_type = Option<String>)]
    pub(crate) recipient: Option<RecipientName>,
}

//! The pages: each is a pure function from facts to HTML. The crate's documentation describes how to add one.

mod audit;
mod diagnostics;
mod feeds;
mod gate;
mod orders;
mod overview;
mod parties;
mod quarantine;
mod requests;
#[cfg(test)]
mod sample;
mod streams;

use axum::Router;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::layout::Body;
use crate::page_id::PageId;

/// Reads the facts of a page and renders it.
pub(crate) async fn show(page: PageId, access: &Access, context: &Context) -> Body {
    match page {
        PageId::Overview => overview::show(access, context).await,
        PageId::Gate => gate::show(access, context).await,
        PageId::Feeds => feeds::show(access, context).await,
        PageId::Requests => requests::show(access, context).await,
        PageId::Quarantine => quarantine::show(access, context).await,
        PageId::Streams => streams::show(access, context).await,
        PageId::Parties => parties::show(access, context).await,
        PageId::Audit => audit::show(access, context).await,
        PageId::Diagnostics => diagnostics::show(access, context).await,
        PageId::Orders => orders::show(access, context).await,
    }
}

/// Returns the routes of pages with forms of their own or downloads.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .merge(audit::routes())
        .merge(diagnostics::routes())
        .merge(orders::routes())
        .merge(parties::routes())
}

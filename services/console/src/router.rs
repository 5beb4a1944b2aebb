//! The routes.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use crate::console::Console;
use crate::login::Visitor;
use crate::page_id::PageId;
use crate::site::Site;
use crate::viewer::Viewer;
use crate::{assets, headers, layout, live, login, pages, preferences};

/// The greatest body of a form, in bytes.
const FORM_BYTES: usize = 64 * 1024;

/// Returns the console's routes, all below `/console`.
pub fn router(site: Site) -> Router {
    let console = Console::new(site);
    Router::new()
        .route("/console", get(home))
        .route("/console/", get(home))
        .route("/console/login", get(login::show).post(login::login))
        .route("/console/logout", post(login::logout))
        .route("/console/preferences", post(preferences::set))
        .route("/console/assets/{name}", get(assets::get))
        .route("/console/live/{page}", get(live::show))
        .route("/console/{page}", get(show))
        .merge(pages::routes())
        .fallback(missing)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::from_fn(headers::protect))
        .with_state(console)
}

async fn home() -> Redirect {
    Redirect::to("/console/overview")
}

async fn show(
    Path(name): Path<String>,
    State(console): State<Console>,
    visitor: Visitor,
    viewer: Result<Viewer, Response>,
) -> Response {
    let viewer = match viewer {
        Ok(viewer) => viewer,
        Err(login) => return login,
    };
    let Some(page) = PageId::parse(&name) else {
        return missing(State(console), visitor).await;
    };
    if page == PageId::Orders
        && let Err(denied) = viewer.check_operator()
    {
        return denied;
    }
    let body = pages::show(page, &viewer.access, &viewer.context).await;
    layout::page(page, &viewer.context, &body)
}

async fn missing(State(console): State<Console>, visitor: Visitor) -> Response {
    let detail = visitor.display.texts.get("error.missing_detail");
    let response = layout::message(StatusCode::NOT_FOUND, &visitor.display, "error.missing", detail);
    visitor.with_secret(&console, response)
}

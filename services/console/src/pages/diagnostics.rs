//! The page of the diagnostics: the problems that the console sees, and one bundle to download. The bundle has no personal data and
//! no secret: it is made from status documents, states of streams, settings and measurements, never from rows or requests.
//!
//! - `problems` PURE: what needs an operator; `redact` PURE: replaces secrets; `bundle` PURE: the files and their archive

mod bundle;
mod problems;
mod redact;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::html::{Badge, Level, Time};
use crate::layout::{self, Body};
use crate::pages::streams;
use crate::site::PartyRole;
use crate::texts::Texts;
use crate::viewer::Viewer;
use bundle::{Gateway, Input};
use problems::{Problem, problems};

/// Returns the route of the download.
pub(crate) fn routes() -> Router<Console> {
    Router::new().route("/console/diagnostics/bundle", get(download))
}

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let facts = access.facts().await;
    let streams = streams::read(access, context.now).await;
    let found = problems(&facts, &streams, context.now);
    let fixed = Contents {
        texts: context.texts,
        has_gateway: sees_gateway(context.party_role),
    };
    Body::both(&fixed, &view(&found, context))
}

/// The gateway's own files name all parties: they are for those who know all parties anyway.
fn sees_gateway(role: PartyRole) -> bool {
    match role {
        PartyRole::Bureau | PartyRole::Auditor => true,
        PartyRole::Recipient => false,
    }
}

#[derive(Template)]
#[template(path = "diagnostics_forms.html")]
struct Contents {
    texts: Texts,
    has_gateway: bool,
}

#[derive(Template)]
#[template(path = "diagnostics.html")]
struct Diagnostics {
    texts: Texts,
    checked: Time,
    badge: Badge,
    state: &'static str,
    problems: Vec<Row>,
}

struct Row {
    what: &'static str,
    subject: String,
    detail: String,
}

/// PURE: makes the view of the problems.
fn view(found: &[Problem], context: &Context) -> Diagnostics {
    let texts = context.texts;
    let (level, key, state) = if found.is_empty() {
        (Level::Good, "diagnostics.none", "none")
    } else {
        (Level::Alarm, "diagnostics.some", "some")
    };
    let row = |problem: &Problem| Row {
        what: texts.get(problem.kind.text_key()),
        subject: problem.subject.clone(),
        detail: problem.detail.clone(),
    };
    Diagnostics {
        texts,
        checked: context.time(context.now),
        badge: Badge::new(level, texts.get(key)),
        state,
        problems: found.iter().map(row).collect(),
    }
}

/// Answers with the bundle.
async fn download(State(console): State<Console>, viewer: Viewer) -> Response {
    let (access, context) = (&viewer.access, &viewer.context);
    let facts = access.facts().await;
    let streams = streams::read(access, context.now).await;
    let machine = console.site().machine.clone();
    let gateway = machine
        .filter(|_| sees_gateway(context.party_role))
        .map(|machine| Gateway {
            configuration: machine.configuration(),
            status: machine.status(),
            metrics: machine.metrics(),
        });
    let input = Input {
        at: context.now,
        version: console.site().version,
        party: &access.party,
        role: access.role,
        problems: problems(&facts, &streams, context.now),
        facts: &facts,
        streams: &streams,
        gateway: gateway.as_ref(),
    };
    let seconds = context.now.as_second();
    match bundle::archive(&bundle::files(&input), seconds) {
        Ok(bytes) => {
            let name = format!("slacktide-diagnostics-{}-{seconds}.tar.gz", access.party);
            let headers = [
                (header::CONTENT_TYPE, "application/gzip".to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{name}\""),
                ),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => layout::message(
            StatusCode::INTERNAL_SERVER_ERROR,
            &context.display,
            "diagnostics.failed",
            &error.to_string(),
        ),
    }
}

//! The extractor of an authenticated session.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use schemas::name::PartyName;

use crate::access::Access;
use crate::console::Console;
use crate::context::{Context, Display, Theme};
use crate::cookie::Cookie;
use crate::csrf;
use crate::layout;
use crate::session::digest;
use crate::site::ConsoleRole;
use crate::texts::{Language, Texts};

/// The party of a connection's client certificate, and what it may do in the console.
pub(crate) type CertificateParty = Option<(PartyName, Option<ConsoleRole>)>;

/// An authenticated session.
#[derive(Debug)]
pub struct Viewer {
    /// What a page is rendered for.
    pub context: Context,
    /// What it may read.
    pub access: Access,
    pub(crate) key: [u8; 32],
    pub(crate) certificate: CertificateParty,
}

impl Viewer {
    /// Checks the token of a form.
    ///
    /// # Errors
    /// The answer to a form that was not made for this session.
    #[expect(clippy::result_large_err, reason = "the error is the answer, made once")]
    pub fn check(&self, form: &str, token: &str) -> Result<(), Response> {
        if csrf::is_valid(&self.context.display.form_secret, form, token) {
            return Ok(());
        }
        Err(refused_form(&self.context.display))
    }

    /// Checks that the person is an operator.
    ///
    /// # Errors
    /// The answer to a viewer.
    #[expect(clippy::result_large_err, reason = "the error is the answer, made once")]
    pub fn check_operator(&self) -> Result<(), Response> {
        if self.context.is_operator() {
            return Ok(());
        }
        let display = &self.context.display;
        let detail = display.texts.get("error.not_operator");
        Err(layout::message(
            StatusCode::FORBIDDEN,
            display,
            "error.denied",
            detail,
        ))
    }
}

/// Answers a form that was not made for this session.
pub(crate) fn refused_form(display: &Display) -> Response {
    let detail = display.texts.get("error.form_detail");
    layout::message(StatusCode::FORBIDDEN, display, "error.form", detail)
}

/// Returns the language and theme of a request.
pub(crate) fn display(console: &Console, parts: &Parts, form_secret: String) -> Display {
    let site = console.site();
    let (headers, is_secure) = (&parts.headers, site.is_secure);
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let language = Cookie::Language
        .read(headers, is_secure)
        .and_then(Language::parse);
    let theme = Cookie::Theme.read(headers, is_secure).and_then(Theme::parse);
    let path = parts
        .uri
        .path_and_query()
        .map_or("/console", axum::http::uri::PathAndQuery::as_str);
    Display {
        texts: Texts(language.unwrap_or_else(|| Language::accepted(accepted))),
        theme: theme.unwrap_or(Theme::System),
        now: console.now(),
        zone: site.zone.clone(),
        form_secret,
        path: path.to_owned(),
        version: site.version,
    }
}

/// Returns the key of the session that a request names.
pub(crate) fn session_key(console: &Console, headers: &HeaderMap) -> Option<[u8; 32]> {
    Cookie::Session
        .read(headers, console.site().is_secure)
        .map(digest)
}

/// Returns the party of the connection's client certificate.
pub(crate) fn certificate(console: &Console, parts: &Parts) -> CertificateParty {
    let site = console.site();
    let identity = site
        .authentication
        .by_certificate(&parts.extensions, console.now());
    identity.map(|identity| (identity.party, identity.role))
}

impl FromRequestParts<Console> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let certificate = certificate(console, parts);
        let is_stream = parts.uri.path().contains("/live/");
        let found = session_key(console, &parts.headers)
            .and_then(|key| Some((key, console.session(&key, certificate.as_ref(), !is_stream)?)));
        let Some((key, (session, role))) = found else {
            return Err(no_session(parts));
        };
        let site = console.site();
        site.authentication.note_authenticated(&parts.extensions);
        let party = site
            .parties
            .get(&session.party)
            .zip(console.facts(&session.party));
        let Some((party, cache)) = party else {
            return Err(no_session(parts));
        };
        let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
        let display = display(console, parts, session.form_secret);
        if !console.requests().allows(&key) {
            return Err(too_many(&display));
        }
        let access = Access {
            party: session.party.clone(),
            role: party.role,
            exchange: party.exchange.clone(),
            trust: console.trust(),
            console: console.clone(),
            cache,
            now: site.clock,
        };
        Ok(Self {
            context: Context {
                texts: display.texts,
                now: display.now,
                party: session.party,
                party_role: party.role,
                role,
                query: query.map(|Query(query)| query).unwrap_or_default(),
                display,
            },
            access,
            key,
            certificate,
        })
    }
}

/// Answers a session that sends more requests than it may.
fn too_many(display: &Display) -> Response {
    let detail = display.texts.get("error.too_many_detail");
    let mut response = layout::message(StatusCode::TOO_MANY_REQUESTS, display, "error.too_many", detail);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Answers without a session: a page leads to the login, a stream ends.
fn no_session(parts: &Parts) -> Response {
    if parts.uri.path().contains("/live/") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Redirect::to("/console/login").into_response()
}

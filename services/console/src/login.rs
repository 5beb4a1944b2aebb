//! Login with a token or a client certificate, and logout.

use askama::Template;
use axum::extract::{Form, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::console::Console;
use crate::context::Display;
use crate::cookie::Cookie;
use crate::csrf;
use crate::layout::{Shell, html};
use crate::session::new_secret;
use crate::site::{Identity, Limits};
use crate::texts::Texts;
use crate::viewer::{Viewer, display, refused_form};

/// A request before a login: the secret of its forms is in a cookie of its own.
pub(crate) struct Visitor {
    pub(crate) display: Display,
    /// Whether the secret is new, so that the response sets it.
    is_new: bool,
    certificate: Option<Identity>,
    peer: Option<std::net::IpAddr>,
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Self::Rejection> {
        let site = console.site();
        let known = Cookie::Visitor.read(&parts.headers, site.is_secure);
        let known = known.filter(|secret| secret.len() == 64).map(str::to_owned);
        let (is_new, secret) = (known.is_none(), known.unwrap_or_else(new_secret));
        Ok(Self {
            display: display(console, parts, secret),
            is_new,
            certificate: site
                .authentication
                .by_certificate(&parts.extensions, console.now()),
            peer: site.authentication.peer(&parts.extensions),
        })
    }
}

impl Visitor {
    /// Adds the cookie of a new secret.
    pub(crate) fn with_secret(&self, console: &Console, mut response: Response) -> Response {
        if self.is_new {
            let cookie = Cookie::Visitor.set(&self.display.form_secret, None, console.site().is_secure);
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    shell: Shell<'a>,
    texts: Texts,
    csrf: String,
    error: Option<&'static str>,
    /// The party of the client certificate, if it opens the console.
    certificate: Option<String>,
    idle_minutes: String,
    absolute_hours: String,
}

fn login_page(console: &Console, visitor: &Visitor, status: StatusCode, error: Option<&str>) -> Response {
    let texts = visitor.display.texts;
    let Limits { idle, absolute, .. } = console.site().limits;
    let certificate = visitor
        .certificate
        .as_ref()
        .filter(|identity| identity.role.is_some());
    let page = LoginPage {
        shell: Shell::new(&visitor.display),
        texts,
        csrf: visitor.display.csrf("login"),
        error: error.map(|key| texts.get(key)),
        certificate: certificate.map(|identity| identity.party.to_string()),
        idle_minutes: (idle.as_secs() / 60).to_string(),
        absolute_hours: (absolute.as_secs() / 3_600).to_string(),
    };
    visitor.with_secret(console, html(status, &page))
}

/// Shows the form.
pub(crate) async fn show(State(console): State<Console>, visitor: Visitor) -> Response {
    login_page(&console, &visitor, StatusCode::OK, None)
}

/// The form.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    csrf: String,
    #[serde(default)]
    token: String,
    /// `certificate` uses the connection's client certificate in place of a token.
    #[serde(default)]
    with: String,
}

/// Opens a session.
pub(crate) async fn login(
    State(console): State<Console>,
    visitor: Visitor,
    Form(form): Form<LoginForm>,
) -> Response {
    if !csrf::is_valid(&visitor.display.form_secret, "login", &form.csrf) {
        return visitor.with_secret(&console, refused_form(&visitor.display));
    }
    if !console.logins().allows(visitor.peer) {
        let mut response = login_page(
            &console,
            &visitor,
            StatusCode::TOO_MANY_REQUESTS,
            Some("login.limited"),
        );
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return response;
    }
    let (site, now) = (console.site(), console.now());
    let identity = if form.with == "certificate" {
        visitor.certificate.clone()
    } else {
        site.authentication.by_token(form.token.trim(), now)
    };
    // The same answer for an unknown token, an expired one, and one that does not open the console.
    let identity =
        identity.filter(|identity| identity.role.is_some() && site.parties.contains_key(&identity.party));
    let Some(identity) = identity else {
        tracing::warn!("login to the console refused");
        return login_page(
            &console,
            &visitor,
            StatusCode::UNAUTHORIZED,
            Some("login.refused"),
        );
    };
    console.requests().forget_idle();
    let id = console.sessions().open(&identity, &site.limits, now);
    tracing::info!(party = %identity.party, credential = ?identity.credential, "session of the console opened");
    let mut response = Redirect::to("/console/overview").into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, Cookie::Session.set(&id, None, site.is_secure));
    headers.append(header::SET_COOKIE, Cookie::Visitor.remove(site.is_secure));
    response
}

/// The form of a button.
#[derive(Deserialize)]
pub(crate) struct ButtonForm {
    csrf: String,
}

/// Ends the session.
pub(crate) async fn logout(
    State(console): State<Console>,
    viewer: Viewer,
    Form(form): Form<ButtonForm>,
) -> Response {
    if let Err(refused) = viewer.check("logout", &form.csrf) {
        return refused;
    }
    console.sessions().close(&viewer.key);
    let mut response = Redirect::to("/console/login").into_response();
    let removed = Cookie::Session.remove(console.site().is_secure);
    response.headers_mut().append(header::SET_COOKIE, removed);
    response
}

//! Language and theme: a form with one button for each, so that no script is needed.

use axum::extract::{Form, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::console::Console;
use crate::context::Theme;
use crate::cookie::Cookie;
use crate::csrf;
use crate::login::Visitor;
use crate::texts::Language;
use crate::viewer::{Viewer, refused_form};

/// Seconds that a preference is kept.
const YEAR: u64 = 365 * 24 * 3_600;

/// The form.
#[derive(Deserialize)]
pub(crate) struct PreferencesForm {
    csrf: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    theme: String,
    /// Where the form was.
    #[serde(default)]
    back: String,
}

/// Sets the language or the theme and returns to the page.
pub(crate) async fn set(
    State(console): State<Console>,
    viewer: Result<Viewer, Response>,
    visitor: Visitor,
    Form(form): Form<PreferencesForm>,
) -> Response {
    let display = viewer
        .as_ref()
        .map_or(&visitor.display, |viewer| &viewer.context.display);
    if !csrf::is_valid(&display.form_secret, "preferences", &form.csrf) {
        return refused_form(display);
    }
    let is_secure = console.site().is_secure;
    let mut response = Redirect::to(target(&form.back)).into_response();
    let headers = response.headers_mut();
    if let Some(language) = Language::parse(&form.language) {
        let cookie = Cookie::Language.set(language.code(), Some(YEAR), is_secure);
        headers.append(header::SET_COOKIE, cookie);
    }
    if let Some(theme) = Theme::parse(&form.theme) {
        headers.append(
            header::SET_COOKIE,
            Cookie::Theme.set(theme.code(), Some(YEAR), is_secure),
        );
    }
    response
}

/// PURE: returns a path of the console; any other address would lead a person elsewhere.
fn target(back: &str) -> &str {
    let is_path = back.strip_prefix("/console").is_some_and(|rest| {
        (rest.is_empty() || rest.starts_with(['/', '?']))
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    });
    if is_path { back } else { "/console/overview" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_return_only_to_the_console() {
        assert_eq!(target("/console/gate?x=1"), "/console/gate?x=1");
        for other in [
            "https://b.example",
            "//b.example",
            "/consoles",
            "/console\\@b",
            "/console/\r\nX: y",
            "",
        ] {
            assert_eq!(target(other), "/console/overview", "{other}");
        }
    }
}

//! The page around a body: head, navigation, forms of language, theme and logout.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::assets;
use crate::context::{Context, Display};
use crate::page_id::PageId;
use crate::texts::Texts;

/// The body of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// What the stream never replaces: forms, filters. HTML.
    pub fixed: String,
    /// What the stream replaces. HTML.
    pub live: String,
}

impl Body {
    /// Renders a body that is live as a whole.
    #[must_use]
    pub fn live(template: &impl Template) -> Self {
        Self {
            fixed: String::new(),
            live: render(template),
        }
    }

    /// Renders a body without a stream.
    #[must_use]
    pub fn fixed(template: &impl Template) -> Self {
        Self {
            fixed: render(template),
            live: String::new(),
        }
    }

    /// Renders a fixed part before the live one.
    #[must_use]
    pub fn both(fixed: &impl Template, live: &impl Template) -> Self {
        Self {
            fixed: render(fixed),
            live: render(live),
        }
    }
}

/// Renders a template. Rendering into a text fails only if a value of it does.
#[must_use]
pub fn render(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "page could not be rendered");
        String::new()
    })
}

/// Head, language and theme, for every page.
pub(crate) struct Shell<'a> {
    pub(crate) display: &'a Display,
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
    pub(crate) csrf: String,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(display: &'a Display) -> Self {
        Self {
            display,
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
            csrf: display.csrf("preferences"),
        }
    }

    /// Returns whether the page is in this language.
    pub(crate) fn is_language(&self, code: &str) -> bool {
        self.display.language().code() == code
    }

    /// Returns whether the page has this theme.
    pub(crate) fn is_theme(&self, code: &str) -> bool {
        self.display.theme.code() == code
    }
}

struct NavigationItem {
    path: String,
    name: &'static str,
    title: &'static str,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    shell: Shell<'a>,
    texts: Texts,
    context: &'a Context,
    title: &'static str,
    navigation: Vec<NavigationItem>,
    body: &'a Body,
    stream: String,
    role: &'static str,
    party_role: &'static str,
    logout_csrf: String,
    rendered_at: String,
}

/// Answers with a page. `query` continues the path of its stream.
#[must_use]
pub fn page(page: PageId, context: &Context, body: &Body) -> Response {
    let texts = context.texts;
    let is_shown = |page: &PageId| *page != PageId::Orders || context.is_operator();
    let navigation = PageId::ALL
        .into_iter()
        .filter(is_shown)
        .map(|item| NavigationItem {
            path: item.path(),
            name: item.name(),
            title: texts.get(&item.title_key()),
            is_current: item == page,
        });
    let query = context
        .display
        .path
        .split_once('?')
        .map(|(_, query)| format!("?{query}"));
    html(
        StatusCode::OK,
        &Page {
            shell: Shell::new(&context.display),
            texts,
            context,
            title: texts.get(&page.title_key()),
            navigation: navigation.collect(),
            body,
            stream: format!("/console/live/{}{}", page.name(), query.unwrap_or_default()),
            role: texts.get(&format!("role.{}", context.role.name())),
            party_role: texts.get(&format!("party.{}", context.party_role.name())),
            logout_csrf: context.csrf("logout"),
            rendered_at: context.display.formatter().time(context.now),
        },
    )
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    shell: Shell<'a>,
    texts: Texts,
    title: &'static str,
    detail: &'a str,
}

/// Answers with a message in place of a page.
pub(crate) fn message(status: StatusCode, display: &Display, title_key: &str, detail: &str) -> Response {
    let message = Message {
        shell: Shell::new(display),
        texts: display.texts,
        title: display.texts.get(title_key),
        detail,
    };
    html(status, &message)
}

/// Answers with a rendered template.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Response {
    let language = [(header::VARY, "cookie, accept-language")];
    (status, language, Html(render(template))).into_response()
}

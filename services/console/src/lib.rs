//! The operators' console: pages over the exchange traits, for the gateway to serve under `/console`.
//!
//! A page shows what the session's party may read at the exchange, and nothing else: each session uses its party's own
//! connection. Every state is shown with the time of its evidence. The console has no signing key; it prepares commands and
//! publishes nothing but the note that the status of a party is being watched.
//!
//! - [`site`] what the binary gives the console: connections, keys, authentication, clock
//! - `console` what all requests share; `router` the routes; `headers` what every response has
//! - `session` PURE: sessions, their expiry and their streams; `cookie`, `csrf` PURE; `login_limit`, `request_limit` limits of
//!   logins and of requests
//! - `viewer` the extractor of an authenticated session; `login`, `preferences` the forms
//! - `layout` the page around a body; `live` the stream of a page; `assets` the style and the script
//! - `texts` every text, in English and Chinese; `format`, `html` PURE: values as text and as elements
//! - [`access`] what a page may read; [`agent_badge`] PURE: whether a report is verified and current
//! - `facts` what is read for the pages: signed status reports, chunks, receipts
//! - `records` what pages keep between requests; `request_messages` the messages of one request
//! - [`page_id`] the pages by name; `pages` one file for each page; `shell` PURE: quoting of a prepared command
//!
//! # How to add a page
//!
//! A page is one file `pages/<name>.rs`, one template `templates/<name>.html`, and its texts in `texts/en` and `texts/zh`.
//!
//! 1. A variant of [`page_id::PageId`] gives it its path, its title key `page.<name>` and its place in the navigation.
//! 2. `pub(crate) async fn show(access: &Access, context: &Context) -> Body` reads the facts (`access.facts()`, or the exchange
//!    of the session's party, `access.exchange`) and calls a pure function from facts and [`context::Context`] to the view
//!    model, a struct that derives `askama::Template`. It holds texts, [`html`] elements and numbers, and is tested without IO.
//! 3. The template is the *live* part: the stream renders it again and sends it when it differs. Everything with an input (forms,
//!    filters) goes into `Body::fixed`, which the stream never replaces. Give each section, row and state a stable `id`; the
//!    script changes only nodes that differ, so focus, selection and open `<details>` stay.
//! 4. An element that has a state carries `data-state="<value>"` and `data-name="<what>"`: a change is announced to screen readers.
//! 5. Texts: `context.texts.get("key")` in Rust, `{{ texts.get("key") }}` in a template; with placeholders `texts.with("key", &[("name", value)])`. A test
//!    compares the keys of both languages and refuses a key that no source file names.
//! 6. A page with a form or a download has `pub(crate) fn routes() -> Router<Console>`, merged in `router`. A handler takes
//!    [`viewer::Viewer`] as an extractor; a form carries `context.csrf("<form>")` in a hidden field `csrf`, which
//!    [`viewer::Viewer::check`] verifies.
//!
//! Texts of other parties (names, reasons, errors) are escaped by askama; never mark one as safe.

pub mod access;
pub mod agent_badge;
mod assets;
mod console;
pub mod context;
mod cookie;
mod csrf;
pub mod facts;
pub mod format;
mod headers;
pub mod html;
pub mod layout;
mod live;
mod login;
mod login_limit;
pub mod page_id;
pub mod pages;
mod preferences;
mod records;
mod request_limit;
mod request_messages;
mod router;
pub mod session;
pub mod shell;
pub mod site;
pub mod texts;
pub mod viewer;

pub use axum::http::Extensions;
pub use router::router;
pub use site::{Authentication, ConsoleRole, Credential, Identity, Party, PartyRole, Site};

//! The page of the parties: tests of connections, tokens, the gateway's certificate, trusted keys.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Form, Router};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use serde::Deserialize;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::page_id::PageId;
use crate::records::connection_tests::ConnectionTest;
use crate::site::PartyRole;
use crate::site::machine::{CertificateInfo, TokenInfo};
use crate::texts::Texts;
use crate::viewer::Viewer;

/// The name of the form.
const FORM: &str = "parties.test";

/// A result of a test is one of now for this time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// A certificate that expires sooner needs an operator, as in `slacktide doctor`.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A token that expires sooner needs an operator.
const TOKEN_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Returns the routes of the page's form.
pub(crate) fn routes() -> Router<Console> {
    Router::new().route("/console/parties/test", post(test))
}

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let facts = read(access).await;
    let fixed = Forms {
        texts: context.texts,
        csrf: context.csrf(FORM),
        parties: facts
            .parties
            .iter()
            .map(|party| button(&party.name, context.texts))
            .collect(),
    };
    Body::both(&fixed, &view(&facts, context))
}

/// A party with the text of its button.
fn button(party: &PartyName, texts: Texts) -> (String, String) {
    let name = party.to_string();
    let label = texts.with("parties.test_one", &[("party", &name)]);
    (name, label)
}

/// What was read.
#[derive(Debug, Clone)]
struct Facts {
    parties: Vec<PartyFacts>,
    tokens: Result<Vec<TokenInfo>, String>,
    certificate: Result<Option<CertificateInfo>, String>,
}

#[derive(Debug, Clone)]
struct PartyFacts {
    name: PartyName,
    role: PartyRole,
    test: Option<ConnectionTest>,
    keys: Vec<PublicKey>,
}

/// The parties that a session sees: its own, the auditor all.
fn visible(role: PartyRole, own: &PartyName, all: &BTreeMap<PartyName, PartyRole>) -> Vec<PartyName> {
    let is_visible = |party: &&PartyName| role == PartyRole::Auditor || *party == own;
    all.keys().filter(is_visible).cloned().collect()
}

fn roles(console: &Console) -> BTreeMap<PartyName, PartyRole> {
    let parties = console.site().parties.iter();
    parties.map(|(name, party)| (name.clone(), party.role)).collect()
}

async fn read(access: &Access) -> Facts {
    let console = &access.console;
    let roles = roles(console);
    let names = visible(access.role, &access.party, &roles);
    let parties = names.iter().map(|name| PartyFacts {
        role: roles.get(name).copied().unwrap_or(PartyRole::Recipient),
        test: console.records().tests.last(name),
        keys: access.keys(name).to_vec(),
        name: name.clone(),
    });
    let parties = parties.collect();
    let Some(machine) = console.site().machine.clone() else {
        let unknown = || "this gateway does not report them".to_owned();
        return Facts {
            parties,
            tokens: Err(unknown()),
            certificate: Err(unknown()),
        };
    };
    let read = tokio::task::spawn_blocking(move || (machine.tokens(), machine.certificate()));
    let (tokens, certificate) = read
        .await
        .unwrap_or_else(|error| (Err(error.to_string()), Err(error.to_string())));
    let is_visible = |token: &TokenInfo| names.contains(&token.party);
    Facts {
        parties,
        tokens: tokens.map(|tokens| tokens.into_iter().filter(is_visible).collect()),
        certificate,
    }
}

#[derive(Template)]
#[template(path = "parties_forms.html")]
struct Forms {
    texts: Texts,
    csrf: String,
    /// Each with the text of its button.
    parties: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "parties.html")]
struct Parties {
    texts: Texts,
    checked: Time,
    parties: Vec<PartyRow>,
    certificate: Expiry,
    certificate_names: String,
    tokens: Vec<TokenRow>,
    tokens_error: Option<String>,
}

struct PartyRow {
    name: String,
    role: &'static str,
    badge: Badge,
    state: &'static str,
    detail: String,
    tested: Option<Time>,
    keys: Vec<String>,
}

struct TokenRow {
    id: String,
    party: String,
    console: &'static str,
    expiry: Expiry,
}

/// When something expires.
struct Expiry {
    badge: Badge,
    state: &'static str,
    left: String,
    at: Option<String>,
}

/// PURE: makes the view of the facts.
fn view(facts: &Facts, context: &Context) -> Parties {
    let texts = context.texts;
    let (certificate, certificate_names) = match &facts.certificate {
        Ok(Some(certificate)) => (
            expiry(certificate.expires_at, CERTIFICATE_SOON, context),
            certificate.names.join(", "),
        ),
        Ok(None) => (
            not_known(Level::Waiting, texts.get("parties.no_tls"), "none"),
            String::new(),
        ),
        Err(error) => (
            not_known(Level::Unknown, texts.get("state.unknown"), "unknown"),
            error.clone(),
        ),
    };
    let token = |token: &TokenInfo| TokenRow {
        id: token.id.clone(),
        party: token.party.to_string(),
        console: token
            .console
            .map_or("–", |role| texts.get(&format!("role.{}", role.name()))),
        expiry: expiry(token.expires_at, TOKEN_SOON, context),
    };
    Parties {
        texts,
        checked: context.time(context.now),
        parties: facts.parties.iter().map(|party| row(party, context)).collect(),
        certificate,
        certificate_names,
        tokens: facts.tokens.iter().flatten().map(token).collect(),
        tokens_error: facts.tokens.as_ref().err().cloned(),
    }
}

fn not_known(level: Level, label: &str, state: &'static str) -> Expiry {
    Expiry {
        badge: Badge::new(level, label),
        state,
        left: String::new(),
        at: None,
    }
}

/// What was not tested just now is not known now; a result of before is shown as such.
fn row(party: &PartyFacts, context: &Context) -> PartyRow {
    let texts = context.texts;
    let is_fresh = |test: &&ConnectionTest| {
        let age = context.now.duration_since(test.at);
        age <= FRESH && !age.is_negative()
    };
    let (badge, state) = match (&party.test, party.test.as_ref().filter(is_fresh)) {
        (_, Some(test)) if test.result.is_ok() => {
            (Badge::new(Level::Good, texts.get("parties.answers")), "answers")
        }
        (_, Some(_)) => (Badge::new(Level::Alarm, texts.get("parties.silent")), "silent"),
        (Some(test), None) => {
            let was = if test.result.is_ok() {
                texts.get("parties.answers")
            } else {
                texts.get("parties.silent")
            };
            let label = texts.with("parties.was", &[("state", was)]);
            (Badge::new(Level::Unknown, label), "unknown")
        }
        (None, None) => (
            Badge::new(Level::Unknown, texts.get("parties.not_tested")),
            "not_tested",
        ),
    };
    let detail = match party.test.as_ref().map(|test| &test.result) {
        Some(Ok(round_trip)) => {
            let ms = format!("{:.1}", round_trip.as_secs_f64() * 1e3);
            texts.with("parties.round_trip", &[("ms", &ms)])
        }
        Some(Err(error)) => error.clone(),
        None => texts.get("parties.test_first").to_owned(),
    };
    PartyRow {
        name: party.name.to_string(),
        role: texts.get(&format!("party.{}", party.role.name())),
        badge,
        state,
        detail,
        tested: party.test.as_ref().map(|test| context.time(test.at)),
        keys: party.keys.iter().map(ToString::to_string).collect(),
    }
}

fn expiry(at: Timestamp, soon: SignedDuration, context: &Context) -> Expiry {
    let texts = context.texts;
    let left = at.duration_since(context.now);
    let (level, key, state) = if left.is_negative() || left.is_zero() {
        (Level::Alarm, "parties.expired", "expired")
    } else if left < soon {
        (Level::Alarm, "parties.expires_soon", "soon")
    } else {
        (Level::Good, "parties.valid", "valid")
    };
    let span = context.display.formatter().span(left.as_secs().max(0));
    Expiry {
        badge: Badge::new(level, texts.get(key)),
        state,
        left: texts.with("parties.left", &[("span", &span)]),
        at: Some(context.display.formatter().time(at)),
    }
}

#[derive(Debug, Deserialize)]
struct TestForm {
    csrf: String,
    /// A party, or empty for all.
    #[serde(default)]
    party: String,
}

/// Tests the connections that the session may test, and returns to the page.
async fn test(State(console): State<Console>, viewer: Viewer, Form(form): Form<TestForm>) -> Response {
    if let Err(refused) = viewer.check(FORM, &form.csrf) {
        return refused;
    }
    let names = visible(viewer.access.role, &viewer.access.party, &roles(&console));
    let chosen = names
        .iter()
        .filter(|name| form.party.is_empty() || name.as_str() == form.party);
    let tests = chosen.filter_map(|name| {
        let party = console.site().parties.get(name)?;
        let tests = &console.records().tests;
        Some(tests.run(name, party.exchange.as_ref(), console.site().clock))
    });
    join_all(tests).await;
    Redirect::to(&PageId::Parties.path()).into_response()
}

#[cfg(test)]
mod tests;

//! Prepares a command: shows it with the operator's reason, to be run where the signing key is. Nothing is sent.
//!
//! - [`action`] PURE: the commands and their arguments
//!
//! A link `/console/orders?action=quarantine-retry&id=3fa9c1` fills in the form.

mod action;

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::response::Response;
use axum::routing::post;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::layout::{self, Body};
use crate::page_id::PageId;
use crate::site::PartyRole;
use crate::texts::Texts;
use crate::viewer::Viewer;
use action::{Action, Field, Wrong};

/// Renders the form of the command that the URL names.
#[expect(clippy::unused_async, reason = "the shape of all pages")]
pub(crate) async fn show(_access: &Access, context: &Context) -> Body {
    let value = |field: Field| context.parameter(field.name()).to_owned();
    Body::fixed(&view(context, context.parameter("action"), value, None))
}

/// The form's target. The router serves the page itself.
pub(crate) fn routes() -> Router<Console> {
    Router::new().route("/console/orders/prepare", post(prepare))
}

async fn prepare(
    State(_): State<Console>,
    viewer: Viewer,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    if let Err(refused) = viewer.check("prepare", given("csrf")) {
        return refused;
    }
    if let Err(denied) = viewer.check_operator() {
        return denied;
    }
    let context = &viewer.context;
    let value = |field: Field| given(field.name()).to_owned();
    let prepared = Action::parse(given("action"), context.party_role).map(|action| action.command(value));
    let body = Body::fixed(&view(context, given("action"), value, prepared));
    layout::page(PageId::Orders, context, &body)
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    texts: Texts,
    actions: Vec<Choice>,
    form: Option<OrderForm>,
    command: Option<String>,
}

struct Choice {
    name: &'static str,
    title: &'static str,
    is_current: bool,
}

struct OrderForm {
    csrf: String,
    name: &'static str,
    title: &'static str,
    effect: &'static str,
    fields: Vec<Input>,
    has_errors: bool,
}

struct Input {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    is_required: bool,
    is_long: bool,
    error: Option<&'static str>,
}

/// PURE: makes the view.
fn view(
    context: &Context,
    name: &str,
    value: impl Fn(Field) -> String,
    prepared: Option<Result<String, Vec<Wrong>>>,
) -> OrdersPage {
    let texts = context.texts;
    let current = Action::parse(name, context.party_role);
    let title = |action: Action| texts.get(&format!("order.{}", action.name()));
    let choices = Action::of(context.party_role).map(|action| Choice {
        name: action.name(),
        title: title(action),
        is_current: Some(action) == current,
    });
    let (command, wrong) = match prepared {
        Some(Ok(command)) => (Some(command), Vec::new()),
        Some(Err(wrong)) => (None, wrong),
        None => (None, Vec::new()),
    };
    let form = current.map(|action| OrderForm {
        csrf: context.csrf("prepare"),
        name: action.name(),
        title: title(action),
        effect: texts.get(&format!("order.effect.{}", action.name())),
        fields: action
            .fields()
            .iter()
            .map(|(field, is_required)| input(context, *field, *is_required, value(*field), &wrong))
            .collect(),
        has_errors: !wrong.is_empty(),
    });
    OrdersPage {
        texts,
        actions: choices.collect(),
        form,
        command,
    }
}

fn input(context: &Context, field: Field, is_required: bool, given: String, wrong: &[Wrong]) -> Input {
    let texts = context.texts;
    let default = match (field, context.party_role) {
        (Field::Config, PartyRole::Bureau) => "social.toml",
        (Field::Config, _) => "commercial.toml",
        _ => "",
    };
    let error = wrong.iter().find(|(known, _)| *known == field);
    Input {
        name: field.name(),
        label: texts.get(&format!("order.field.{}", field.name())),
        hint: texts.get(&format!("order.hint.{}", field.name())),
        value: if given.is_empty() {
            default.to_owned()
        } else {
            given
        },
        is_required,
        is_long: field == Field::Reason,
        error: error.map(|(_, key)| texts.get(key)),
    }
}

//! The page of data requests: the newest of them, and one with its whole history. Arguments are personal data and are not shown.
//!
//! - `query` PURE: the parameters of the URL; `read` reads requests; `describe` PURE: states as text; `history` one request

mod describe;
mod history;
mod query;
mod read;

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use requests::status::Status;

use crate::access::Access;
use crate::context::Context;
use crate::html::{Badge, Time};
use crate::layout::Body;
use crate::request_messages::Messages;
use crate::texts::Texts;
use describe::{badge, describe, level};
use query::{AGES, Query, STATES};
use read::Listing;

/// Rows of one page.
const ROWS: usize = 100;

/// Characters of an id that a table shows: the day and enough of the token for every command.
const ID_CHARS: usize = 17;

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let query = Query::of(context);
    if let Some(id) = &query.id {
        return history::show(access, context, id, query.recipient.as_ref()).await;
    }
    let listing = read::list(access, &query, context.now).await;
    let items = items(&listing, context);
    let forms = forms(&listing, &items, &query, context);
    Body::both(&forms, &view(&listing, &items, &query, context))
}

/// A request with its status.
struct Item {
    messages: Arc<Messages>,
    status: Status,
}

impl Item {
    fn kind(&self) -> &str {
        let request = self.messages.request.as_ref();
        request.map_or("", |request| request.message.kind.as_str())
    }

    fn state(&self) -> &'static str {
        self.status.now().map_or("stored", |step| step.state.name())
    }
}

fn items(listing: &Listing, context: &Context) -> Vec<Item> {
    let item = |messages: &Arc<Messages>| {
        Some(Item {
            status: messages.status(context.now)?,
            messages: Arc::clone(messages),
        })
    };
    listing.requests.iter().filter_map(item).collect()
}

#[derive(Template)]
#[template(path = "requests_forms.html")]
struct Forms {
    texts: Texts,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    ages: Vec<Choice>,
    recipients: Vec<Choice>,
}

/// One option of a select.
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

fn forms(listing: &Listing, items: &[Item], query: &Query, context: &Context) -> Forms {
    let texts = context.texts;
    let choice = |value: &str, text: &str, chosen: &str| Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        is_chosen: value == chosen,
    };
    let states = STATES
        .iter()
        .map(|state| choice(state, texts.get(&format!("request.state.{state}")), query.state));
    let ages = AGES
        .iter()
        .map(|(age, key, _)| choice(age, texts.get(key), query.age));
    let kinds: BTreeSet<&str> = items
        .iter()
        .map(Item::kind)
        .chain([query.kind.as_str()])
        .filter(|kind| !kind.is_empty())
        .collect();
    let recipient = query
        .recipient
        .as_ref()
        .map_or("", |recipient| recipient.as_str());
    Forms {
        texts,
        states: states.collect(),
        kinds: kinds
            .into_iter()
            .map(|kind| choice(kind, kind, &query.kind))
            .collect(),
        ages: ages.collect(),
        recipients: listing
            .recipients
            .iter()
            .map(|party| choice(party.as_str(), party.as_str(), recipient))
            .collect(),
    }
}

#[derive(Template)]
#[template(path = "requests.html")]
struct Requests {
    texts: Texts,
    checked: Time,
    summary: String,
    error: Option<String>,
    rows: Vec<Row>,
    pages: Vec<PageLink>,
    older: Option<String>,
    has_recipients: bool,
}

struct PageLink {
    number: usize,
    path: String,
    is_current: bool,
}

struct Row {
    id: String,
    path: String,
    short: String,
    recipient: String,
    kind: String,
    filed: Option<Time>,
    badge: Badge,
    state: &'static str,
    since: Option<Time>,
    detail: String,
    place: String,
    forecast: Option<String>,
    deadline: Option<String>,
    notes: Vec<&'static str>,
}

/// PURE: whether a request is of the chosen state and kind.
fn is_chosen(item: &Item, query: &Query) -> bool {
    let is_of_state = match query.state {
        "" => true,
        "open" => item.status.outcome().is_none(),
        state => item.state() == state,
    };
    is_of_state && (query.kind.is_empty() || item.kind() == query.kind)
}

/// PURE: makes the view of the requests.
fn view(listing: &Listing, items: &[Item], query: &Query, context: &Context) -> Requests {
    let texts = context.texts;
    let chosen: Vec<&Item> = items.iter().filter(|item| is_chosen(item, query)).collect();
    let pages = chosen.len().div_ceil(ROWS).max(1);
    let page = query.page.min(pages);
    let rows = chosen.iter().skip((page - 1) * ROWS).take(ROWS);
    let open = chosen.iter().filter(|item| item.status.outcome().is_none());
    let counts = [chosen.len(), items.len(), open.count()].map(|count| count.to_string());
    let summary = texts.with(
        "requests.summary",
        &[("n", &counts[0]), ("read", &counts[1]), ("open", &counts[2])],
    );
    let link = |number| PageLink {
        number,
        path: query.path(&query.before, number),
        is_current: number == page,
    };
    Requests {
        texts,
        checked: context.time(context.now),
        summary,
        error: listing.error.clone(),
        rows: rows.map(|item| row(item, context)).collect(),
        pages: if pages > 1 {
            (1..=pages).map(link).collect()
        } else {
            Vec::new()
        },
        older: listing.older.as_ref().map(|older| query.path(older, 1)),
        has_recipients: context.party_role != crate::site::PartyRole::Recipient,
    }
}

fn row(item: &Item, context: &Context) -> Row {
    let (messages, status, texts) = (&item.messages, &item.status, context.texts);
    let now = status.now();
    let id = messages.id.to_string();
    let request = messages.request.as_ref();
    let deadline = request.and_then(|request| request.message.deadline);
    let mut notes = Vec::new();
    if status.overdue {
        notes.push(texts.get("requests.overdue"));
    }
    if status.cancel_requested_at.is_some() && status.outcome().is_none() {
        notes.push(texts.get("requests.cancelling"));
    }
    if !status.inconsistencies.is_empty() || !messages.refused.is_empty() {
        notes.push(texts.get("requests.inconsistent"));
    }
    if !messages.is_verified {
        notes.push(texts.get("requests.unverified"));
    }
    Row {
        path: format!("/console/requests?id={id}&recipient={}", messages.recipient),
        short: id.chars().take(ID_CHARS).collect(),
        recipient: messages.recipient.to_string(),
        kind: item.kind().to_owned(),
        filed: request.map(|request| context.time(request.stored_at)),
        badge: badge(
            item.state(),
            level(item.state(), status.overdue, messages.is_verified),
            texts,
        ),
        state: item.state(),
        since: now.map(|step| context.time(step.at)),
        detail: now.map(|step| describe(&step.state, context)).unwrap_or_default(),
        place: status
            .place
            .map_or_else(|| "–".to_owned(), |place| place.to_string()),
        forecast: status.forecast.map(|at| context.display.formatter().time(at)),
        deadline: deadline.map(|at| context.display.formatter().time(at)),
        notes,
        id,
    }
}

#[cfg(test)]
mod tests;

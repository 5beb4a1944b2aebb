//! One request with its whole history: steps, decisions, parts.

use askama::Template;
use jiff::Timestamp;
use requests::status::{Clock, Inconsistency, Step};
use schemas::approval::{Approval, Decision};
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::describe::{badge, describe, level};
use super::read::{One, PartFacts, one};
use crate::access::Access;
use crate::context::Context;
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::request_messages::Opened;
use crate::shell;
use crate::site::PartyRole;
use crate::texts::Texts;

/// Reads one request and renders it. A recipient's own needs no recipient in the URL.
pub(super) async fn show(
    access: &Access,
    context: &Context,
    id: &RequestId,
    recipient: Option<&RecipientName>,
) -> Body {
    let own = RecipientName::new(access.party.as_str()).ok();
    let recipient = match access.role {
        PartyRole::Recipient => own,
        PartyRole::Bureau | PartyRole::Auditor => recipient.cloned(),
    };
    let found = match recipient {
        Some(recipient) => one(access, recipient, id.clone()).await,
        None => Err(context.texts.get("requests.no_recipient").to_owned()),
    };
    Body::live(&view(found, id, context))
}

#[derive(Template)]
#[template(path = "request.html")]
struct History {
    texts: Texts,
    id: String,
    checked: Time,
    error: Option<String>,
    found: Option<Found>,
}

struct Found {
    recipient: String,
    kind: String,
    purpose: String,
    basis: String,
    deadline: Option<String>,
    badge: Badge,
    state: &'static str,
    place: Option<u64>,
    forecast: Option<String>,
    withheld: String,
    notices: Vec<String>,
    refused: Vec<String>,
    steps: Vec<StepRow>,
    approvals: Option<Vec<ApprovalRow>>,
    parts: Vec<PartRow>,
    parts_shown: String,
    command: String,
}

struct StepRow {
    badge: Badge,
    state: &'static str,
    detail: String,
    at: Time,
    clock: &'static str,
    took: String,
}

struct ApprovalRow {
    officer: String,
    badge: Badge,
    at: Time,
    reason: String,
}

struct PartRow {
    number: u32,
    badge: Badge,
    size: String,
    stored: Option<Time>,
}

/// PURE: makes the view of a request.
fn view(found: Result<One, String>, id: &RequestId, context: &Context) -> History {
    let texts = context.texts;
    let (error, found) = match found {
        Err(error) => (Some(error), None),
        Ok(one) => match details(&one, context) {
            Some(found) => (None, Some(found)),
            None => (Some(texts.get("requests.unknown").to_owned()), None),
        },
    };
    History {
        texts,
        id: id.to_string(),
        checked: context.time(context.now),
        error,
        found,
    }
}

fn details(one: &One, context: &Context) -> Option<Found> {
    let (messages, texts) = (&one.messages, context.texts);
    let Some(status) = messages.status(context.now) else {
        // Only refused messages: they are shown, and prove nothing.
        return (!messages.refused.is_empty()).then(|| refused_only(one, context));
    };
    let state = status.now().map_or("stored", |step| step.state.name());
    let request = messages.request.as_ref().map(|request| &request.message);
    let mut notices = Vec::new();
    if status.overdue {
        notices.push(texts.get("requests.overdue_detail").to_owned());
    }
    if let Some(at) = status.cancel_requested_at {
        let at = context.display.formatter().time(at);
        notices.push(texts.with("requests.cancel_at", &[("at", &at)]));
    }
    if !messages.is_verified {
        notices.push(texts.get("requests.unverified_detail").to_owned());
    }
    notices.extend(status.inconsistencies.iter().map(|found| {
        let what = match found {
            Inconsistency::Cancel => texts.get("requests.inconsistent.cancel"),
            Inconsistency::Progress => texts.get("requests.inconsistent.progress"),
            Inconsistency::Reply => texts.get("requests.inconsistent.reply"),
            Inconsistency::Confirm => texts.get("requests.inconsistent.confirm"),
        };
        texts.with("requests.inconsistent_detail", &[("what", what)])
    }));
    let reply = messages.reply.as_ref();
    let named = reply.map_or(0, |reply| reply.message.outcome.parts().len());
    let counts = [one.parts.len(), named].map(|count| count.to_string());
    let parts_shown = texts.with(
        "requests.parts_shown",
        &[("n", &counts[0]), ("total", &counts[1])],
    );
    Some(Found {
        recipient: messages.recipient.to_string(),
        kind: request.map(|request| request.kind.clone()).unwrap_or_default(),
        purpose: request.map(|request| request.purpose.clone()).unwrap_or_default(),
        basis: request.map(|request| request.basis.clone()).unwrap_or_default(),
        deadline: request
            .and_then(|request| request.deadline)
            .map(|at| context.display.formatter().time(at)),
        badge: badge(state, level(state, status.overdue, messages.is_verified), texts),
        state,
        place: status.place,
        forecast: status.forecast.map(|at| context.display.formatter().time(at)),
        withheld: format::count(status.withheld),
        notices,
        refused: messages.refused.clone(),
        steps: steps(&status.steps, context),
        approvals: one
            .approvals
            .as_ref()
            .map(|all| all.iter().map(|one| approval(one, context)).collect()),
        parts: one.parts.iter().map(|part| part_row(part, context)).collect(),
        parts_shown,
        command: command(&messages.id),
    })
}

fn refused_only(one: &One, context: &Context) -> Found {
    Found {
        recipient: one.messages.recipient.to_string(),
        kind: String::new(),
        purpose: String::new(),
        basis: String::new(),
        deadline: None,
        badge: Badge::new(Level::Alarm, context.texts.get("report.refused")),
        state: "refused_signature",
        place: None,
        forecast: None,
        withheld: format::count(0),
        notices: Vec::new(),
        refused: one.messages.refused.clone(),
        steps: Vec::new(),
        approvals: None,
        parts: Vec::new(),
        parts_shown: String::new(),
        command: command(&one.messages.id),
    }
}

fn command(id: &RequestId) -> String {
    let id = id.to_string();
    let config = "/etc/slacktide/commercial.toml";
    shell::command(&["slacktide", "request", "show", &id, "--config", config])
}

/// The steps. Times of different clocks are not compared.
fn steps(steps: &[Step], context: &Context) -> Vec<StepRow> {
    let texts = context.texts;
    let mut before: Option<(Timestamp, Clock)> = None;
    let mut rows = Vec::new();
    for step in steps {
        let took = before
            .filter(|(_, clock)| *clock == step.clock)
            .map(|(at, _)| format!("+{} ms", format::count(millis(at, step.at))));
        before = Some((step.at, step.clock));
        let name = step.state.name();
        rows.push(StepRow {
            badge: badge(name, level(name, false, true), texts),
            state: name,
            detail: describe(&step.state, context),
            at: context.time(step.at),
            clock: match step.clock {
                Clock::Filer => texts.get("requests.clock.filer"),
                Clock::Exchange => texts.get("requests.clock.exchange"),
                Clock::Responder => texts.get("requests.clock.responder"),
                Clock::Receiver => texts.get("requests.clock.receiver"),
            },
            took: took.unwrap_or_default(),
        });
    }
    rows
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

fn approval(opened: &Opened<Approval>, context: &Context) -> ApprovalRow {
    let texts = context.texts;
    let approval = &opened.message;
    let badge = match approval.decision {
        Decision::Grant => Badge::new(Level::Good, texts.get("requests.granted")),
        Decision::Refuse => Badge::new(Level::Alarm, texts.get("requests.denied")),
    };
    ApprovalRow {
        officer: approval.officer.to_string(),
        badge,
        at: context.time(opened.stored_at),
        reason: approval.reason.clone(),
    }
}

fn part_row(part: &PartFacts, context: &Context) -> PartRow {
    let texts = context.texts;
    let badge = match (&part.stored, part.is_named) {
        (None, _) => Badge::new(Level::Alarm, texts.get("requests.part_missing")),
        (Some(_), false) => Badge::new(Level::Alarm, texts.get("requests.part_other")),
        (Some(_), true) => Badge::new(Level::Good, texts.get("requests.part_named")),
    };
    PartRow {
        number: part.number,
        badge,
        size: part
            .stored
            .map_or_else(|| "–".to_owned(), |(_, bytes)| format::bytes(bytes)),
        stored: part.stored.map(|(at, _)| context.time(at)),
    }
}

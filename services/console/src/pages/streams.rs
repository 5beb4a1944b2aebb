//! The page of the streams: use against limit, growth, when each is full, replicas.
//!
//! - `read` reads the states; `forecast` PURE: growth and the time at which a stream is full

mod forecast;
mod read;

use askama::Template;
use exchange::StreamState;
use jiff::SignedDuration;

use crate::access::Access;
use crate::context::Context;
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::records::growth::Sample;
use crate::texts::Texts;
use forecast::{Forecast, Growth, forecast, growth};
pub(super) use read::{StreamFacts, read};

/// A stream that is full sooner needs an operator now.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    Body::live(&view(&read(access, context.now).await, context))
}

#[derive(Template)]
#[template(path = "streams.html")]
struct Streams {
    texts: Texts,
    checked: Time,
    note: &'static str,
    failures: Vec<String>,
    streams: Vec<Row>,
}

struct Row {
    name: String,
    badge: Badge,
    state: &'static str,
    messages: String,
    bytes: u64,
    used: String,
    limit: String,
    percent: Option<u64>,
    growth: Vec<String>,
    forecast: String,
    full_at: Option<String>,
    last: Option<Time>,
    copies: Vec<ReplicaRow>,
}

struct ReplicaRow {
    server: String,
    badge: Badge,
    detail: String,
}

/// PURE: makes the view of the states.
fn view(facts: &StreamFacts, context: &Context) -> Streams {
    let texts = context.texts;
    let note = match context.party_role {
        crate::site::PartyRole::Auditor => texts.get("streams.note_auditor"),
        _ => texts.get("streams.note_party"),
    };
    Streams {
        texts,
        checked: context.time(context.now),
        note,
        failures: facts.failures.clone(),
        streams: facts
            .streams
            .iter()
            .map(|(state, sample)| row(state, *sample, context))
            .collect(),
    }
}

fn row(state: &StreamState, sample: Option<Sample>, context: &Context) -> Row {
    let (texts, now) = (context.texts, context.now);
    let growth = growth(state, sample, now);
    let full = forecast(state, &growth, now);
    let fullness = state.fullness();
    let is_soon = matches!(full, Forecast::At(at) if at.duration_since(now) < SOON);
    let lags = state
        .replicas
        .iter()
        .any(|copy| copy.is_offline || !copy.is_current);
    let (level, key, name) = match &fullness {
        Some(fullness) if fullness.is_alarming() => (Level::Alarm, "streams.filling", "filling"),
        _ if is_soon => (Level::Alarm, "streams.soon", "soon"),
        _ if lags => (Level::Alarm, "streams.copies_behind", "copies_behind"),
        _ => (Level::Good, "streams.room", "room"),
    };
    let (text, full_at) = match full {
        Forecast::At(at) => (
            texts.with(
                "streams.full_in",
                &[(
                    "span",
                    &context.display.formatter().span(at.duration_since(now).as_secs()),
                )],
            ),
            Some(context.display.formatter().time(at)),
        ),
        Forecast::Now => (texts.get("streams.full_now").to_owned(), None),
        Forecast::Far => (texts.get("streams.full_far").to_owned(), None),
        Forecast::NoLimit => (texts.get("streams.no_limit").to_owned(), None),
        Forecast::Unknown => (texts.get("streams.too_short").to_owned(), None),
    };
    Row {
        name: state.name.clone(),
        badge: Badge::new(level, texts.get(key)),
        state: name,
        messages: format::count(state.messages),
        bytes: state.bytes,
        used: format::bytes(state.bytes),
        limit: state
            .max_bytes
            .map_or_else(|| texts.get("streams.unlimited").to_owned(), format::bytes),
        percent: fullness.map(|fullness| fullness.percent()),
        growth: growth
            .iter()
            .map(|growth| describe_growth(growth, context))
            .collect(),
        forecast: text,
        full_at,
        last: state.last_stored_at.map(|at| context.time(at)),
        copies: state.replicas.iter().map(|copy| replica(copy, context)).collect(),
    }
}

fn describe_growth(growth: &Growth, context: &Context) -> String {
    let key = if growth.is_measured {
        "streams.growth_measured"
    } else {
        "streams.growth_life"
    };
    let values = [
        ("bytes", format::bytes(growth.bytes_per_day)),
        ("span", context.display.formatter().span(growth.period_s)),
    ];
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    context.texts.with(key, &values)
}

fn replica(copy: &exchange::stream_state::Replica, context: &Context) -> ReplicaRow {
    let texts = context.texts;
    let (level, key) = match (copy.is_offline, copy.is_current) {
        (true, _) => (Level::Alarm, "streams.offline"),
        (false, false) => (Level::Alarm, "streams.behind"),
        (false, true) => (Level::Good, "streams.current"),
    };
    let lag = format::count(copy.lag);
    let ms = format::count(copy.active_ms);
    ReplicaRow {
        server: copy.server.clone(),
        badge: Badge::new(level, texts.get(key)),
        detail: texts.with("streams.lag", &[("lag", &lag), ("ms", &ms)]),
    }
}

#[cfg(test)]
mod tests;

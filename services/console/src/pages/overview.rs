//! The overview: the state of every lane, by the agents' own reports, with cause and remedy.

use askama::Template;
use jiff::Timestamp;

use crate::access::Access;
use crate::agent_badge::{self, Evidence};
use crate::context::Context;
use crate::facts::page::{count, entries, text, time};
use crate::facts::{Facts, Report, Signature};
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::texts::Texts;

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let facts = access.facts().await;
    Body::live(&view(&facts, context))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    texts: Texts,
    exchange: Badge,
    exchange_detail: String,
    checked: Time,
    reports_error: Option<String>,
    summary: Vec<(Badge, usize)>,
    agents: Vec<Agent>,
}

/// One agent and its lanes.
struct Agent {
    id: String,
    name: String,
    evidence: Evidence,
    rows_today: Option<String>,
    lanes: Vec<Lane>,
}

struct Lane {
    name: String,
    state: String,
    badge: Badge,
    since: Option<Time>,
    why: Option<String>,
    remedy: Option<String>,
    unpublished: Option<Time>,
    position: String,
}

/// PURE: makes the view of the facts.
fn view(facts: &Facts, context: &Context) -> Overview {
    let texts = context.texts;
    let (exchange, exchange_detail) = match &facts.exchange {
        Ok(round_trip) => {
            let ms = round_trip.as_millis().to_string();
            let detail = texts.with("overview.round_trip", &[("ms", &ms)]);
            (Badge::new(Level::Good, texts.get("overview.answers")), detail)
        }
        Err(error) => (
            Badge::new(Level::Alarm, texts.get("overview.silent")),
            error.clone(),
        ),
    };
    let agents: Vec<Agent> = facts
        .reports
        .iter()
        .map(|report| agent(report, context))
        .collect();
    Overview {
        texts,
        summary: summary(&agents),
        exchange,
        exchange_detail,
        checked: context.time(facts.at),
        reports_error: facts.reports_error.clone(),
        agents,
    }
}

/// PURE: counts the lanes by state, those that need attention first.
fn summary(agents: &[Agent]) -> Vec<(Badge, usize)> {
    let mut counts: Vec<(Badge, usize)> = Vec::new();
    for lane in agents.iter().flat_map(|agent| &agent.lanes) {
        match counts.iter_mut().find(|(badge, _)| *badge == lane.badge) {
            Some((_, count)) => *count += 1,
            None => counts.push((lane.badge.clone(), 1)),
        }
    }
    counts.sort_by(|(a, _), (b, _)| b.level.cmp(&a.level).then_with(|| a.label.cmp(&b.label)));
    counts
}

/// PURE: makes the view of one agent. What is not verified or not current is not shown as a state of now.
fn agent(report: &Report, context: &Context) -> Agent {
    let is_readable = !matches!(report.signature, Signature::Refused(_));
    let lanes = entries(&report.page, "/states").filter(|_| is_readable);
    let id = format!("{}-{}", report.party, report.writer);
    Agent {
        name: format!("{} / {}", report.party, report.writer),
        evidence: agent_badge::evidence(report, context),
        rows_today: rows_today(report, context),
        lanes: lanes
            .map(|(name, judged)| lane(report, name, judged, context))
            .collect(),
        id,
    }
}

fn lane(report: &Report, name: &str, judged: &serde_json::Value, context: &Context) -> Lane {
    let reported = text(judged, "/state").unwrap_or("unknown");
    let is_current = report.is_current(context.now);
    // A state that was not reported just now is not known now; what it was is shown as such.
    let badge = if is_current {
        Badge::of_state(reported, context.texts)
    } else {
        let was = Badge::of_state(reported, context.texts).label;
        Badge::new(
            Level::Unknown,
            context.texts.with("overview.was", &[("state", &was)]),
        )
    };
    let of_lane = report.page.get("lanes").and_then(|lanes| lanes.get(name));
    let of_lane = of_lane.unwrap_or(&serde_json::Value::Null);
    let number = count(of_lane, "/number").or_else(|| count(of_lane, "/frontier"));
    let position = match (count(of_lane, "/epoch"), number) {
        (Some(epoch), Some(number)) => format!("{epoch}.{number}"),
        _ => "–".to_owned(),
    };
    Lane {
        name: name.to_owned(),
        state: if is_current {
            reported.to_owned()
        } else {
            "unknown".to_owned()
        },
        badge,
        since: time(judged, "/since").map(|since| context.time(since)),
        why: text(judged, "/why").map(str::to_owned),
        remedy: text(judged, "/remedy").map(str::to_owned),
        unpublished: time(of_lane, "/unpublished_since").map(|since| context.time(since)),
        position,
    }
}

/// Returns the rows published since midnight in the shown time zone, by the report's history.
fn rows_today(report: &Report, context: &Context) -> Option<String> {
    let midnight = context
        .now
        .to_zoned(context.display.zone.clone())
        .start_of_day()
        .ok()?;
    let midnight: Timestamp = midnight.timestamp();
    let today = report.history.iter().filter(|bucket| bucket.start >= midnight);
    let rows: Vec<u64> = today.map(|bucket| bucket.rows).collect();
    (!report.history.is_empty()).then(|| format::count(rows.iter().sum()))
}

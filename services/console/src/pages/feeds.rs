//! Feeds and pollers: position and lag of every lane at the exchange, and the share of each poller.

use std::collections::BTreeMap;

use askama::Template;
use jiff::Timestamp;

use crate::access::Access;
use crate::agent_badge::{self, Evidence};
use crate::context::Context;
use crate::facts::page::{count, entries, text, time};
use crate::facts::{AgentRole, Facts, LaneFacts, Lanes, Position, Report, Signature};
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::texts::Texts;

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let (facts, lanes) = futures_util::future::join(access.facts(), access.lanes()).await;
    Body::live(&view(&facts, &lanes, context))
}

#[derive(Template)]
#[template(path = "feeds.html")]
struct FeedsPage {
    texts: Texts,
    read_at: Time,
    error: Option<String>,
    lanes: Vec<Lane>,
    publishers: Vec<Publisher>,
    pollers: Vec<Poller>,
}

/// A lane at the exchange.
struct Lane {
    name: String,
    published: Option<Shown>,
    received: Option<Shown>,
    waiting: String,
    stopped: Option<String>,
}

/// A chunk or a receipt.
struct Shown {
    position: String,
    badge: Option<Badge>,
    at: Time,
}

/// The agent that publishes.
struct Publisher {
    id: String,
    name: String,
    evidence: Evidence,
    rate: Option<String>,
    feeds: Vec<Feed>,
}

struct Feed {
    name: String,
    state: String,
    rows: String,
    caught_up: Option<Time>,
    error: Option<String>,
}

/// An agent that polls.
struct Poller {
    id: String,
    name: String,
    evidence: Evidence,
    state: String,
    ticked: Option<Time>,
    drained: Option<Time>,
    fetched: String,
    rows: String,
    share: String,
    error: Option<String>,
}

/// PURE: makes the view of the facts.
fn view(facts: &Facts, lanes: &Lanes, context: &Context) -> FeedsPage {
    let error = match (&facts.exchange, &lanes.error, &facts.reports_error) {
        (Err(error), _, _) | (_, Some(error), _) | (_, _, Some(error)) => Some(error.clone()),
        _ => None,
    };
    let readable = |report: &&Report| !matches!(report.signature, Signature::Refused(_));
    let reports: Vec<&Report> = facts.reports.iter().filter(readable).collect();
    let of = |role| reports.iter().filter(move |report| report.role == Some(role));
    // The rows of all pollers of a party, for the shares.
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for report in of(AgentRole::Commercial) {
        *totals.entry(report.party.as_str()).or_default() += rows(report);
    }
    FeedsPage {
        texts: context.texts,
        read_at: context.time(lanes.at),
        error,
        lanes: lanes.lanes.iter().map(|lane| lane_row(lane, context)).collect(),
        publishers: of(AgentRole::Social)
            .map(|report| publisher(report, context))
            .collect(),
        pollers: of(AgentRole::Commercial)
            .map(|report| poller(report, totals.get(report.party.as_str()).copied(), context))
            .collect(),
    }
}

fn lane_row(lane: &LaneFacts, context: &Context) -> Lane {
    let shown = |position: &Position| Shown {
        position: if position.is_readable() {
            format!("{}.{}", position.epoch, position.number)
        } else {
            "–".to_owned()
        },
        badge: signature_badge(&position.signature, context.texts),
        at: context.time(position.stored_at),
    };
    Lane {
        name: lane.lane.to_string(),
        published: lane.chunk.as_ref().map(shown),
        received: lane.receipt.as_ref().map(shown),
        waiting: lane.lag().map_or("–".to_owned(), format::count),
        stopped: lane.receipt.as_ref().and_then(|receipt| receipt.stopped.clone()),
    }
}

/// Returns what to show of a signature; `None` if it was verified.
fn signature_badge(signature: &Signature, texts: Texts) -> Option<Badge> {
    match signature {
        Signature::Verified => None,
        Signature::NoKey => Some(Badge::new(Level::Unknown, texts.get("report.unverified"))),
        Signature::Refused(_) => Some(Badge::new(Level::Alarm, texts.get("report.refused"))),
    }
}

fn publisher(report: &Report, context: &Context) -> Publisher {
    let feed = |(name, feed): (&String, &serde_json::Value)| Feed {
        name: name.clone(),
        state: text(feed, "/state").unwrap_or("–").to_owned(),
        rows: count(feed, "/rows_read").map_or("–".to_owned(), format::count),
        caught_up: time(feed, "/caught_up_at").map(|at| context.time(at)),
        error: text(feed, "/last_error").map(str::to_owned),
    };
    Publisher {
        id: format!("{}-{}", report.party, report.writer),
        name: format!("{} / {}", report.party, report.writer),
        evidence: agent_badge::evidence(report, context),
        rate: rate(report, context.now).map(|rate| {
            context
                .texts
                .with("feeds.per_minute", &[("n", &format::count(rate))])
        }),
        feeds: entries(&report.page, "/feeds").map(feed).collect(),
    }
}

/// Returns the rows a minute in the last complete five minutes; `None` without evidence of all of it.
fn rate(report: &Report, now: Timestamp) -> Option<u64> {
    let begun = now.as_second().div_euclid(300) * 300;
    let last = report
        .history
        .iter()
        .rev()
        .find(|bucket| bucket.start.as_second() < begun)?;
    let known = last.open_ms + last.limited_ms + last.closed_ms;
    (last.start.as_second() + 300 == begun && known >= 290_000).then_some(last.rows / 5)
}

/// Returns the rows that a poller has stored since its start.
fn rows(report: &Report) -> u64 {
    entries(&report.page, "/lanes")
        .filter_map(|(_, lane)| count(lane, "/rows"))
        .sum()
}

fn poller(report: &Report, total: Option<u64>, context: &Context) -> Poller {
    let rows = rows(report);
    let share = match total {
        Some(total @ 1..) => format!("{} %", (rows.saturating_mul(100) + total / 2) / total),
        _ => "–".to_owned(),
    };
    Poller {
        id: format!("{}-{}", report.party, report.writer),
        name: format!("{} / {}", report.party, report.writer),
        evidence: agent_badge::evidence(report, context),
        state: text(&report.page, "/state").unwrap_or("–").to_owned(),
        ticked: time(&report.page, "/ticked_at").map(|at| context.time(at)),
        drained: time(&report.page, "/drained_at").map(|at| context.time(at)),
        fetched: count(&report.page, "/fetched").map_or("–".to_owned(), format::count),
        rows: format::count(rows),
        share,
        error: text(&report.page, "/last_error").map(str::to_owned),
    }
}

//! The page of the quarantine: counts by lane and kind, from the agents' signed reports. The values of the rows are in the
//! insurer's store only; the page shows the commands that read and change them, which audit themselves.

use askama::Template;

use crate::access::Access;
use crate::agent_badge::evidence;
use crate::context::Context;
use crate::facts::page::{count, entries, time};
use crate::facts::{AgentRole, Facts, Report, Signature};
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::shell;
use crate::site::PartyRole;
use crate::texts::Texts;

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let facts = access.facts().await;
    Body::live(&view(&facts, context))
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct Quarantine {
    texts: Texts,
    error: Option<String>,
    agents: Vec<Agent>,
    commands: Vec<Command>,
    is_bureau: bool,
}

/// What one agent reports.
struct Agent {
    id: String,
    name: String,
    badge: Badge,
    state: &'static str,
    evidence: Time,
    is_current: bool,
    total: u64,
    rows: Vec<Row>,
}

/// The entries of one kind of one lane.
struct Row {
    id: String,
    lane: String,
    kind: &'static str,
    reason: &'static str,
    count: String,
    oldest: Option<Time>,
}

/// A command for those who may see or change values.
struct Command {
    id: &'static str,
    what: &'static str,
    line: String,
}

/// PURE: makes the view of the facts.
fn view(facts: &Facts, context: &Context) -> Quarantine {
    let agents = facts.reports.iter().map(|report| agent(report, context));
    let is_bureau = context.party_role == PartyRole::Bureau;
    Quarantine {
        texts: context.texts,
        error: facts
            .exchange
            .as_ref()
            .err()
            .or(facts.reports_error.as_ref())
            .cloned(),
        agents: agents.collect(),
        commands: commands(context),
        is_bureau,
    }
}

fn agent(report: &Report, context: &Context) -> Agent {
    let (texts, now) = (context.texts, context.now);
    let is_refused = matches!(report.signature, Signature::Refused(_));
    let rows: Vec<(u64, Row)> = match report.role {
        _ if is_refused => Vec::new(),
        Some(AgentRole::Social) => rejected(report, context),
        Some(AgentRole::Commercial) | None => quarantined(report, context),
    };
    let total = rows.iter().map(|(count, _)| count).sum();
    let is_current = report.is_current(now);
    let evidence = evidence(report, context);
    let (badge, state) = match total {
        _ if !is_current => (evidence.badge, evidence.state),
        0 => (Badge::new(Level::Good, texts.get("quarantine.none")), "empty"),
        _ => (Badge::new(Level::Alarm, texts.get("quarantine.some")), "entries"),
    };
    Agent {
        id: format!("{}-{}", report.party, report.writer),
        name: format!("{} / {}", report.party, report.writer),
        badge,
        state,
        evidence: evidence.at,
        is_current,
        total,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

/// The insurer's quarantine, as `slacktide quarantine list` counts it.
fn quarantined(report: &Report, context: &Context) -> Vec<(u64, Row)> {
    let lanes = entries(&report.page, "/quarantine");
    lanes
        .flat_map(|(lane, kinds)| entries(kinds, "").map(move |(kind, entry)| (lane, kind, entry)))
        .map(|(lane, kind, entry)| {
            let number = count(entry, "/count").unwrap_or(0);
            let (label, reason) = describe(kind, context.texts);
            let row = Row {
                id: format!("{}-{lane}-{kind}", report.party),
                lane: lane.clone(),
                kind: label,
                reason,
                count: format::count(number),
                oldest: time(entry, "/oldest").map(|at| context.time(at)),
            };
            (number, row)
        })
        .filter(|(number, _)| *number > 0)
        .collect()
}

/// Rows that the bureau could not carry, since its agent started.
fn rejected(report: &Report, context: &Context) -> Vec<(u64, Row)> {
    let lanes = entries(&report.page, "/lanes");
    lanes
        .filter_map(|(lane, status)| {
            let number = count(status, "/rejects").filter(|number| *number > 0)?;
            let (kind, reason) = describe("reject", context.texts);
            let row = Row {
                id: format!("{}-{lane}-reject", report.party),
                lane: lane.clone(),
                kind,
                reason,
                count: format::count(number),
                oldest: None,
            };
            Some((number, row))
        })
        .collect()
}

/// Returns the name and the reason of a kind. A kind of another version has no reason here.
fn describe(kind: &str, texts: Texts) -> (&'static str, &'static str) {
    match kind {
        "message" => (
            texts.get("quarantine.kind.message"),
            texts.get("quarantine.why.message"),
        ),
        "row" => (texts.get("quarantine.kind.row"), texts.get("quarantine.why.row")),
        "reject" => (
            texts.get("quarantine.kind.reject"),
            texts.get("quarantine.why.reject"),
        ),
        _ => (
            texts.get("quarantine.kind.other"),
            texts.get("quarantine.why.other"),
        ),
    }
}

/// The commands of the session's party. Operators see those that change something, too.
fn commands(context: &Context) -> Vec<Command> {
    let texts = context.texts;
    let file = match context.party_role {
        PartyRole::Recipient => "/etc/slacktide/commercial.toml",
        PartyRole::Bureau => "/etc/slacktide/social.toml",
        PartyRole::Auditor => return Vec::new(),
    };
    let mut commands = vec![Command {
        id: "quarantine-list",
        what: texts.get("quarantine.list"),
        line: shell::command(&["slacktide", "quarantine", "list", "--config", file]),
    }];
    if !context.is_operator() {
        return commands;
    }
    let reason = texts.get("quarantine.your_reason");
    let with_reason = |parts: &[&str]| {
        let tail = ["--reason", reason, "--config", file];
        shell::command(&[parts, &tail[..]].concat())
    };
    commands.push(Command {
        id: "quarantine-show",
        what: texts.get("quarantine.show"),
        line: with_reason(&["slacktide", "quarantine", "show", "ID", "--reveal"]),
    });
    if context.party_role == PartyRole::Recipient {
        commands.push(Command {
            id: "quarantine-retry",
            what: texts.get("quarantine.retry"),
            line: with_reason(&["slacktide", "quarantine", "retry", "--all"]),
        });
    }
    commands.push(Command {
        id: "quarantine-discard",
        what: texts.get("quarantine.discard"),
        line: with_reason(&["slacktide", "quarantine", "discard", "ID"]),
    });
    commands
}

#[cfg(test)]
mod tests;

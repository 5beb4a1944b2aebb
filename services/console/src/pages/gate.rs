//! The gate: signals against limits, duty, verdict and reason, and the last 24 hours.
//!
//! - [`chart`] the last 24 hours as an SVG with a table as its alternative

mod chart;

use askama::Template;
use serde_json::Value;

use crate::access::Access;
use crate::agent_badge;
use crate::context::Context;
use crate::facts::page::{count, entries, integer, is_set, text, time};
use crate::facts::{AgentRole, Facts, Report, Signature};
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::texts::Texts;
use chart::Chart;

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let facts = access.facts().await;
    Body::live(&view(&facts, context))
}

#[derive(Template)]
#[template(path = "gate.html")]
struct GatePage {
    texts: Texts,
    error: Option<String>,
    agents: Vec<Gate>,
}

/// The gate of one agent.
struct Gate {
    id: String,
    name: String,
    evidence: agent_badge::Evidence,
    is_readable: bool,
    state: String,
    badge: Badge,
    reason: String,
    since: Option<Time>,
    next: Option<String>,
    duty: Option<String>,
    is_control_tick: bool,
    harm: String,
    priority: Option<String>,
    not_idle_since: Option<Time>,
    alarm: Option<String>,
    refused_policy: Option<String>,
    signals: Vec<Signal>,
    orders: Vec<String>,
    forecast: Option<String>,
    changes: Vec<Change>,
    chart: Chart,
}

struct Signal {
    name: String,
    reading: String,
    stop: String,
    resume: String,
    failure: Option<String>,
    /// Value, stop and resume as a share of the bar's length, in thousandths.
    bar: Option<Bar>,
}

impl Signal {
    /// Whether the reading is at the stop limit or above.
    fn is_exceeded(&self) -> bool {
        self.bar.as_ref().is_some_and(|bar| bar.is_exceeded)
    }
}

struct Bar {
    value: i64,
    stop: i64,
    resume: i64,
    is_exceeded: bool,
}

struct Change {
    at: Time,
    badge: Badge,
    reason: String,
}

/// PURE: makes the view of the facts.
fn view(facts: &Facts, context: &Context) -> GatePage {
    let error = match (&facts.exchange, &facts.reports_error) {
        (Err(error), _) | (_, Some(error)) => Some(error.clone()),
        _ => None,
    };
    let has_gate = |report: &&Report| report.role != Some(AgentRole::Commercial);
    let reports = facts.reports.iter().filter(has_gate);
    GatePage {
        texts: context.texts,
        error,
        agents: reports.map(|report| gate(report, context)).collect(),
    }
}

fn gate(report: &Report, context: &Context) -> Gate {
    let texts = context.texts;
    let gate = report.page.get("gate").unwrap_or(&Value::Null);
    let state = text(gate, "/state").unwrap_or("unknown");
    let is_current = report.is_current(context.now);
    let label = texts.known(&format!("gate.state.{state}")).unwrap_or(state);
    let badge = if is_current {
        Badge::new(level(state), label)
    } else {
        Badge::new(Level::Unknown, texts.with("overview.was", &[("state", label)]))
    };
    let seconds =
        count(gate, "/next_sample_in_ms").map(|ms| format::milli(i64::try_from(ms).unwrap_or(i64::MAX)));
    Gate {
        id: format!("{}-{}", report.party, report.writer),
        name: format!("{} / {}", report.party, report.writer),
        evidence: agent_badge::evidence(report, context),
        is_readable: !matches!(report.signature, Signature::Refused(_)),
        state: if is_current {
            state.to_owned()
        } else {
            "unknown".to_owned()
        },
        badge,
        reason: text(gate, "/reason").unwrap_or("–").to_owned(),
        since: time(gate, "/since").map(|since| context.time(since)),
        next: seconds.map(|n| texts.with("age.seconds", &[("n", &n)])),
        duty: integer(gate, "/duty_milli").map(share),
        is_control_tick: is_set(gate, "/is_control_tick"),
        harm: harm(gate, texts),
        priority: priority(gate),
        not_idle_since: time(gate, "/not_idle_since").map(|since| context.time(since)),
        alarm: text(gate, "/alarm").map(str::to_owned),
        refused_policy: text(gate, "/policy/refused").map(str::to_owned),
        signals: signals(gate, texts),
        orders: orders(gate, context),
        forecast: text(gate, "/forecast")
            .or_else(|| text(&report.page, "/forecast"))
            .map(str::to_owned),
        changes: changes(gate, context),
        chart: Chart::new(&report.history, context),
    }
}

fn level(state: &str) -> Level {
    match state {
        "open" => Level::Good,
        "limited" | "closed" => Level::Waiting,
        _ => Level::Unknown,
    }
}

/// Formats thousandths of the whole as percent.
fn share(milli: i64) -> String {
    format!("{} %", format::milli(milli.saturating_mul(100)))
}

fn harm(gate: &Value, texts: Texts) -> String {
    let Some(budget) = integer(gate, "/harm/budget_milli").map(share) else {
        return texts.get("gate.harm_unknown").to_owned();
    };
    let estimate = integer(gate, "/harm/estimate_milli").zip(integer(gate, "/harm/error_milli"));
    match estimate {
        Some((estimate, error)) => texts.with(
            "gate.harm",
            &[
                ("estimate", &share(estimate)),
                ("error", &share(error)),
                ("budget", &budget),
            ],
        ),
        None => texts.with("gate.harm_unmeasured", &[("budget", &budget)]),
    }
}

fn priority(gate: &Value) -> Option<String> {
    let mode = gate.get("priority_mode")?;
    let name = mode
        .as_str()
        .or_else(|| text(mode, "/mode"))
        .or_else(|| text(mode, "/kind"));
    name.map(str::to_owned)
}

/// Returns every signal with a limit or a reading.
fn signals(gate: &Value, texts: Texts) -> Vec<Signal> {
    let mut names: Vec<&String> = entries(gate, "/readings_milli")
        .chain(entries(gate, "/limits"))
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| signal(gate, name, texts)).collect()
}

fn signal(gate: &Value, name: &str, texts: Texts) -> Signal {
    let of = |object: &str| {
        gate.get(object)
            .and_then(|all| all.get(name))
            .unwrap_or(&Value::Null)
    };
    let limit = of("limits");
    let unit = match text(limit, "/unit") {
        Some("percent") => " %".to_owned(),
        Some(unit) => format!(" {unit}"),
        None => String::new(),
    };
    let format = |milli: Option<i64>| {
        milli.map_or("–".to_owned(), |milli| {
            format!("{}{unit}", format::milli(milli))
        })
    };
    let value = of("readings_milli").as_i64();
    let (stop, resume) = (integer(limit, "/stop_milli"), integer(limit, "/resume_milli"));
    let failure = value.is_none().then(|| match of("failures").as_str() {
        Some(failure) => failure.to_owned(),
        None => texts.get("gate.no_reading").to_owned(),
    });
    Signal {
        name: name.to_owned(),
        reading: format(value),
        stop: format(stop),
        resume: format(resume),
        failure,
        bar: stop.zip(resume).map(|(stop, resume)| bar(value, stop, resume)),
    }
}

/// PURE: scales a bar to 125 % of the stop limit.
fn bar(value: Option<i64>, stop: i64, resume: i64) -> Bar {
    let scale = (stop.saturating_mul(5) / 4).max(1);
    let position = |milli: i64| (milli.saturating_mul(1_000) / scale).clamp(0, 1_000);
    Bar {
        value: value.map_or(0, position),
        stop: position(stop),
        resume: position(resume),
        is_exceeded: value.is_some_and(|value| value >= stop),
    }
}

/// Describes the operators' orders in force.
fn orders(gate: &Value, context: &Context) -> Vec<String> {
    let orders = gate.get("orders").unwrap_or(&Value::Null);
    let describe = |key: &str| {
        let order = orders.get(key).filter(|order| order.is_object())?;
        let until = time(order, "/expires").or_else(|| time(order, "/until"));
        let until = until.map_or_else(
            || context.texts.get("gate.until_revoked").to_owned(),
            |until| context.display.formatter().time(until),
        );
        let name = if key == "pause" {
            "gate.pause"
        } else {
            "gate.limit"
        };
        Some(context.texts.with(
            name,
            &[
                ("actor", text(order, "/actor").unwrap_or("?")),
                ("reason", text(order, "/reason").unwrap_or("–")),
                ("until", &until),
            ],
        ))
    };
    ["pause", "limit"].into_iter().filter_map(describe).collect()
}

/// The latest changes of the verdict, newest first.
fn changes(gate: &Value, context: &Context) -> Vec<Change> {
    let history = gate.get("history").and_then(Value::as_array);
    let change = |verdict: &Value| {
        let state = text(verdict, "/state")?;
        let label = context
            .texts
            .known(&format!("gate.state.{state}"))
            .unwrap_or(state);
        Some(Change {
            at: context.time(time(verdict, "/at")?),
            badge: Badge::new(level(state), label),
            reason: text(verdict, "/reason").unwrap_or_default().to_owned(),
        })
    };
    let all = history.into_iter().flatten().rev().filter_map(change);
    all.take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_bar_is_scaled_to_the_stop_limit() {
        let half = bar(Some(40_000), 80_000, 60_000);
        assert_eq!(
            (half.value, half.stop, half.resume, half.is_exceeded),
            (400, 800, 600, false)
        );
        let over = bar(Some(990_000), 80_000, 60_000);
        assert_eq!((over.value, over.is_exceeded), (1_000, true));
        assert_eq!(bar(None, 0, 0).value, 0);
    }
}

//! `slacktide gate explain`: explains the gate's state in a few sentences.

use std::path::Path;

use gate::signal::calendar;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::ask::Agent;
use super::render;
use crate::cli::gate::ExplainArgs;
use crate::failure::Outcome;
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

/// Runs the command.
pub(crate) async fn run(args: ExplainArgs) -> Outcome {
    let gate = Agent::of(&args.config.config)?.gate().await?;
    let mut sentences = sentences(&gate);
    sentences.extend(calendar(&args.config.config, Timestamp::now()));
    let report = ExplainReport {
        explanation: sentences,
        gate,
    };
    output::report(&report, args.json)?;
    Ok(Exit::Done)
}

/// The gate's state in sentences, and its status.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gate explain")]
pub(in crate::commands) struct ExplainReport {
    /// The sentences.
    explanation: Vec<String>,
    /// The `gate` object of the agent's status page, as the agent serves it.
    gate: Value,
}

impl Report for ExplainReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for sentence in &self.explanation {
            view.line(sentence);
        }
        view
    }
}

/// Describes the calendar's current state and its end.
fn calendar(path: &Path, now: Timestamp) -> Option<String> {
    let file = load::<SocialFile>(path).ok()?.value;
    let calendar = file.gate.calendar.as_ref()?.calendar().ok()?;
    Some(describe_calendar(
        &calendar::status_at(now, &calendar),
        &calendar.zone,
    ))
}

/// Describes the state of a calendar.
fn describe_calendar(status: &calendar::Status, zone: &TimeZone) -> String {
    let effect = if status.open {
        "allows work"
    } else {
        "forbids work"
    };
    let until = status.changes_at.map_or(String::new(), |change| {
        format!(
            " until {}",
            change.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z")
        )
    });
    format!("The calendar {effect}{until}: {}.", status.why)
}

/// Renders a status as sentences.
pub(in crate::commands) fn sentences(gate: &Value) -> Vec<String> {
    let state = render::text(gate, "/state");
    let mut lines = vec![format!(
        "The gate is {state} since {}: {}.",
        render::time(gate, "/since", 0),
        render::text(gate, "/reason")
    )];
    lines.push(match (state, render::text(gate, "/reason_kind")) {
        ("closed", "paused") => "It opens when the pause has ended and the core has slack.".to_owned(),
        ("closed", "orders_unread") => "It opens when the orders are read from the exchange.".to_owned(),
        ("closed", "holding" | "over_budget") => {
            "It opens automatically when that time has passed without load.".to_owned()
        }
        ("closed", _) => {
            "It opens when every signal is below its resume limit and has stayed there for the hold."
                .to_owned()
        }
        _ => format!(
            "Work may take {} of the time.",
            render::percent(gate, "/duty_milli", 1)
        ),
    });
    let signals = render::signals(gate);
    if !signals.is_empty() {
        let all: Vec<String> = signals.iter().map(render::Signal::describe).collect();
        lines.push(format!("Signals: {}.", all.join("; ")));
    }
    lines.push(format!("Harm to the business: {}.", render::harm(gate)));
    lines.extend(render::orders(gate));
    lines.push(render::priority_mode(gate));
    if let Some(since) = gate.pointer("/not_idle_since").and_then(Value::as_str) {
        lines.push(format!("Not idle since {since}."));
    }
    if let Some(why) = gate.pointer("/policy/refused").and_then(Value::as_str) {
        lines.push(format!(
            "A changed policy was refused, the old one stays in force: {why}"
        ));
    }
    if let Some(alarm) = gate.pointer("/alarm").and_then(Value::as_str) {
        lines.push(format!("Alarm: {alarm}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_shut_gate_names_signals_orders_and_remedy() {
        let lines = sentences(&render::sample()).join("\n");
        for part in [
            "The gate is closed since 2026-01-01T00:00:00Z: host_cpu 85.0 % >= 70.0 % (stop limit).",
            "below its resume limit",
            "host_cpu 85 % (stop 70, resume 50)",
            "disk: no reading (gone)",
            "1.2 % ± 0.4 % of a budget of 3 %",
            "At most 20 % of the time by li (audit week; until 2026-01-02T00:00:00Z).",
            "Without the kernel's help (no helper is configured)",
            "Not idle since 2026-01-01T00:00:00Z.",
        ] {
            assert!(lines.contains(part), "{part}\n{lines}");
        }
    }

    #[test]
    fn explain_calendar_names_the_window_and_its_end() -> Result<(), Box<dyn std::error::Error>> {
        let zone = TimeZone::get("Asia/Shanghai")?;
        let calendar = calendar::Calendar {
            zone: zone.clone(),
            windows: vec![calendar::window(&["mon-fri".to_owned()], "20:00", "06:00")?],
            blackouts: Vec::new(),
        };
        // A Monday, 21:30 in Shanghai.
        let words = describe_calendar(
            &calendar::status_at("2026-01-05T13:30:00Z".parse()?, &calendar),
            &zone,
        );
        assert!(
            words.starts_with("The calendar allows work until 2026-01-06 06:00 CST: inside the window"),
            "{words}"
        );
        Ok(())
    }

    /// An older agent reports fewer fields.
    #[test]
    fn explain_empty_status_does_not_panic() {
        assert!(!sentences(&Value::Null).is_empty());
        assert!(sentences(&serde_json::json!({ "state": "open", "duty_milli": 1000 }))[1].contains("100 %"));
    }
}

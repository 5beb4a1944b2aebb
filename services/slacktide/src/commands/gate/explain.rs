//! `slacktide gate explain`: why the gate stands as it does, in a few sentences.

use clap::Args;
use runtime::exit::Exit;
use serde_json::Value;

use super::ask::Agent;
use super::told;
use crate::cli::Config;
use crate::failure::Outcome;
use crate::output;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Prints the gate's status and the sentences as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) async fn run(args: ExplainArgs) -> Outcome {
    let gate = Agent::of(&args.config.config)?.gate().await?;
    let sentences = sentences(&gate);
    if args.json {
        output::json(&serde_json::json!({ "explanation": sentences, "gate": gate }))?;
    } else {
        output::line(&sentences.join("\n"));
    }
    Ok(Exit::Done)
}

/// PURE: the sentences of a status.
fn sentences(gate: &Value) -> Vec<String> {
    let state = told::text(gate, "/state");
    let mut lines = vec![format!(
        "The gate is {state} since {}: {}.",
        told::text(gate, "/since"),
        told::text(gate, "/reason")
    )];
    lines.push(match (state, told::text(gate, "/reason_kind")) {
        ("shut", "paused") => "It opens when the pause is over and the core has slack.".to_owned(),
        ("shut", "no_orders") => "It opens when the orders could be read from the exchange.".to_owned(),
        ("shut", "holding" | "over_budget") => {
            "It opens by itself when that time has passed without load.".to_owned()
        }
        ("shut", _) => {
            "It opens when every signal is below its resume limit and has stayed there for the hold."
                .to_owned()
        }
        _ => format!(
            "Work may take {} of the time.",
            told::percent(gate, "/duty_milli", 1)
        ),
    });
    let signals = told::signals(gate);
    if !signals.is_empty() {
        let all: Vec<String> = signals.iter().map(told::Signal::words).collect();
        lines.push(format!("Signals: {}.", all.join("; ")));
    }
    lines.push(format!("Harm to the business: {}.", told::harm(gate)));
    lines.extend(told::orders(gate));
    lines.push(told::regime(gate));
    if let Some(since) = gate.pointer("/not_idle_since").and_then(Value::as_str) {
        lines.push(format!("Not idle since {since}."));
    }
    if let Some(why) = gate.pointer("/policy/refused").and_then(Value::as_str) {
        lines.push(format!("A changed policy was refused, the old one stays: {why}"));
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
    fn a_shut_gate_is_explained_with_signal_order_and_way_out() {
        let lines = sentences(&told::sample()).join("\n");
        for part in [
            "The gate is shut since 2026-01-01T00:00:00Z: host_cpu 85.0 % >= 70.0 % (stop limit).",
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

    /// An older agent tells less; that is no fault.
    #[test]
    fn an_empty_status_is_no_panic() {
        assert!(!sentences(&Value::Null).is_empty());
        assert!(sentences(&serde_json::json!({ "state": "open", "duty_milli": 1000 }))[1].contains("100 %"));
    }
}

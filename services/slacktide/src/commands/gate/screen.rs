//! Renders a gate's status for a terminal.

use jiff::Timestamp;
use serde_json::Value;

use super::render;
use crate::output::{Line, Style, Table, View};

/// The width of the bars.
const BAR: usize = 20;

/// Renders the live screen. The history of changes stays above it.
pub(in crate::commands) fn render(gate: &Value) -> View {
    let state = render::text(gate, "/state");
    let next = gate
        .pointer("/next_sample_in_ms")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let head = format!(
        "gate {}  since {}  duty {}  next check in {next} ms",
        state.to_uppercase(),
        render::time(gate, "/since", 0),
        render::percent(gate, "/duty_milli", 1)
    );
    let mut view = View::new();
    view.line(Line::styled(style(state), head))
        .line(render::text(gate, "/reason"))
        .line(format!("harm {}", render::harm(gate)))
        .blank();
    let signals = render::signals(gate);
    if !signals.is_empty() {
        let mut table = Table::new()
            .fixed("SIGNAL")
            .fixed("")
            .text("READING")
            .number("STOP")
            .number("RESUME");
        for signal in &signals {
            let (stop, resume) = signal.limits.map_or_else(Default::default, |(stop, resume)| {
                (stop.to_string(), resume.to_string())
            });
            table.row([
                signal.name.clone(),
                signal.bar(BAR),
                signal.reading(),
                stop,
                resume,
            ]);
        }
        view.table(table).blank();
    }
    for order in render::orders(gate) {
        view.line(order);
    }
    view.line(render::priority_mode(gate));
    for (what, path) in [("policy refused: ", "/policy/refused"), ("alarm: ", "/alarm")] {
        if let Some(text) = gate.pointer(path).and_then(Value::as_str) {
            view.labelled(what, text);
        }
    }
    view
}

/// Renders the changes that the agent recorded after a time, oldest first; the last `max` of them.
pub(in crate::commands) fn history(gate: &Value, after: Option<Timestamp>, max: usize) -> View {
    let changes = gate.pointer("/history").and_then(Value::as_array);
    let is_later = |change: &&Value| after.is_none_or(|after| time(change) > Some(after));
    let changes: Vec<&Value> = changes.into_iter().flatten().filter(is_later).collect();
    let mut view = View::new();
    for change in changes.iter().skip(changes.len().saturating_sub(max)) {
        let state = render::text(change, "/state");
        view.line(
            Line::from(format!("{}  ", render::time(change, "/at", 3)))
                .and_styled(style(state), format!("{state:<7}"))
                .and(format!("  {}", render::text(change, "/reason"))),
        );
    }
    view
}

fn time(change: &Value) -> Option<Timestamp> {
    render::text(change, "/at").parse().ok()
}

/// Returns the time of the last change that the agent recorded.
pub(super) fn last_change(gate: &Value) -> Option<Timestamp> {
    let changes = gate.pointer("/history").and_then(Value::as_array);
    changes.into_iter().flatten().filter_map(time).max()
}

/// The colour of the state, in addition to its text.
fn style(state: &str) -> Style {
    match state {
        "open" => Style::Good,
        "limited" => Style::Waiting,
        _ => Style::Alarm,
    }
}

/// Renders one line, for logs and pipes.
pub(in crate::commands) fn line(gate: &Value) -> String {
    format!(
        "{}  {:<7}  duty {}  {}",
        render::time(gate, "/at", 3),
        render::text(gate, "/state"),
        render::percent(gate, "/duty_milli", 1),
        render::text(gate, "/reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(view: &View, width: usize) -> Vec<String> {
        view.render(Some(width)).iter().map(Line::plain).collect()
    }

    #[test]
    fn gate_screen_wide_terminal_shows_everything() {
        let lines = plain(&render(&render::sample()), 100);
        assert_eq!(
            lines[..7],
            [
                "gate CLOSED  since 2026-01-01T00:00:00Z  duty 0 %  next check in 80 ms",
                "host_cpu 85.0 % >= 70.0 % (stop limit)",
                "harm 1.2 % ± 0.4 % of a budget of 3 %",
                "",
                "SIGNAL                          READING            STOP  RESUME",
                "disk      ................|...  no reading (gone)    80      50",
                "host_cpu  ################|###  85 %                 70      50",
            ]
        );
        assert!(lines.iter().any(|line| line.starts_with("At most 20 %")));
        let changes = plain(&history(&render::sample(), None, 8), 100);
        assert!(changes.last().is_some_and(|line| line.ends_with("(stop limit)")));
    }

    #[test]
    fn gate_screen_narrow_terminal_wraps_lines() {
        for width in [30, 40, 60, 80] {
            for view in [render(&render::sample()), history(&render::sample(), None, 8)] {
                let lines = plain(&view, width);
                assert!(
                    lines
                        .iter()
                        .all(|line| line.chars().count() <= width && !line.contains('\x1b')),
                    "{width}: {lines:#?}"
                );
            }
        }
        let first = render(&render::sample()).render(Some(80));
        assert!(first[0].render(true).starts_with("\x1b[31m"));
        assert!(!render(&Value::Null).render(Some(80)).is_empty());
    }

    #[test]
    fn gate_history_shows_only_later_changes() {
        let gate = render::sample();
        let last = last_change(&gate);
        assert_eq!(last, "2026-01-01T00:00:00Z".parse().ok());
        assert!(history(&gate, last, 8).plain().is_empty());
        assert_eq!(history(&gate, None, 8).plain().len(), 1);
    }
}

//! Renders a gate's status for a terminal.

use serde_json::Value;

use super::render;
use crate::output::{Line, Style, escape};

/// The maximum number of changes shown.
const HISTORY: usize = 8;

/// Renders lines of at most `width` characters.
pub(in crate::commands) fn render(gate: &Value, width: usize) -> Vec<Line> {
    let state = render::text(gate, "/state");
    let cut = |line: String| -> Line { escape(&line).chars().take(width).collect::<String>().into() };
    let next = gate
        .pointer("/next_sample_in_ms")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let head = format!(
        "gate {}  since {}  duty {}  next check in {next} ms",
        state.to_uppercase(),
        render::text(gate, "/since"),
        render::percent(gate, "/duty_milli", 1)
    );
    let head = escape(&head).chars().take(width).collect::<String>();
    let mut lines = vec![Line::styled(style(state), head)];
    lines.push(cut(render::text(gate, "/reason").to_owned()));
    lines.push(cut(format!("harm {}", render::harm(gate))));
    lines.push(Line::default());
    let signals = render::signals(gate);
    let names = signals
        .iter()
        .map(|signal| signal.name.chars().count())
        .max()
        .unwrap_or(0);
    let bar = width.saturating_sub(names + 44).min(24);
    for signal in &signals {
        let limits = signal.limits.map_or(String::new(), |(stop, resume)| {
            format!("stop {stop} resume {resume}")
        });
        let line = format!(
            "{:<names$}  {} {:>14}  {limits}",
            signal.name,
            signal.bar(bar),
            signal.reading()
        );
        lines.push(cut(line.trim_end().to_owned()));
    }
    lines.push(Line::default());
    lines.extend(render::orders(gate).into_iter().map(&cut));
    lines.push(cut(render::priority_mode(gate)));
    for (what, path) in [("policy refused: ", "/policy/refused"), ("alarm: ", "/alarm")] {
        if let Some(text) = gate.pointer(path).and_then(Value::as_str) {
            lines.push(cut(format!("{what}{text}")));
        }
    }
    lines.push(Line::default());
    let history = gate.pointer("/history").and_then(Value::as_array);
    for change in history.into_iter().flatten().rev().take(HISTORY) {
        lines.push(cut(format!(
            "{}  {:<7}  {}",
            render::text(change, "/at"),
            render::text(change, "/state"),
            render::text(change, "/reason")
        )));
    }
    lines
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
        render::text(gate, "/at"),
        render::text(gate, "/state"),
        render::percent(gate, "/duty_milli", 1),
        render::text(gate, "/reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(gate: &Value, width: usize) -> Vec<String> {
        render(gate, width).iter().map(Line::plain).collect()
    }

    #[test]
    fn gate_screen_wide_terminal_shows_everything() {
        let lines = plain(&render::sample(), 100);
        assert_eq!(
            lines[..7],
            [
                "gate SHUT  since 2026-01-01T00:00:00Z  duty 0 %  next check in 80 ms",
                "host_cpu 85.0 % >= 70.0 % (stop limit)",
                "harm 1.2 % ± 0.4 % of a budget of 3 %",
                "",
                "disk      ...................|.... no reading (gone)  stop 80 resume 50",
                "host_cpu  ###################|####           85 %  stop 70 resume 50",
                "",
            ]
        );
        assert!(lines.iter().any(|line| line.starts_with("At most 20 %")));
        assert!(lines.last().is_some_and(|line| line.ends_with("(stop limit)")));
    }

    #[test]
    fn gate_screen_narrow_terminal_truncates_lines() {
        for width in 0..60 {
            let lines = plain(&render::sample(), width);
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= width && !line.contains('\x1b'))
            );
        }
        assert!(
            render(&render::sample(), 80)[0]
                .render(true)
                .starts_with("\x1b[31m")
        );
        assert!(!render(&Value::Null, 80).is_empty());
    }
}

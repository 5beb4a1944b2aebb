//! PURE: a gate's status as lines for a terminal.

use serde_json::Value;

use super::told;
use crate::output::{Line, Style, escape};

/// Changes shown at most.
const HISTORY: usize = 8;

/// Lines of at most `width` characters.
pub(in crate::commands) fn render(gate: &Value, width: usize) -> Vec<Line> {
    let state = told::text(gate, "/state");
    let cut = |line: String| -> Line { escape(&line).chars().take(width).collect::<String>().into() };
    let next = gate
        .pointer("/next_sample_in_ms")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let head = format!(
        "gate {}  since {}  duty {}  next check in {next} ms",
        state.to_uppercase(),
        told::text(gate, "/since"),
        told::percent(gate, "/duty_milli", 1)
    );
    let head = escape(&head).chars().take(width).collect::<String>();
    let mut lines = vec![Line::styled(style(state), head)];
    lines.push(cut(told::text(gate, "/reason").to_owned()));
    lines.push(cut(format!("harm {}", told::harm(gate))));
    lines.push(Line::default());
    let signals = told::signals(gate);
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
    lines.extend(told::orders(gate).into_iter().map(&cut));
    lines.push(cut(told::regime(gate)));
    for (what, path) in [("policy refused: ", "/policy/refused"), ("alarm: ", "/alarm")] {
        if let Some(text) = gate.pointer(path).and_then(Value::as_str) {
            lines.push(cut(format!("{what}{text}")));
        }
    }
    lines.push(Line::default());
    let history = gate.pointer("/history").and_then(Value::as_array);
    for turn in history.into_iter().flatten().rev().take(HISTORY) {
        lines.push(cut(format!(
            "{}  {:<7}  {}",
            told::text(turn, "/at"),
            told::text(turn, "/state"),
            told::text(turn, "/reason")
        )));
    }
    lines
}

/// The state at a glance; the word stands there too, for those who see no colours.
fn style(state: &str) -> Style {
    match state {
        "open" => Style::Good,
        "limited" => Style::Waiting,
        _ => Style::Alarm,
    }
}

/// One line, for logs and pipes.
pub(in crate::commands) fn line(gate: &Value) -> String {
    format!(
        "{}  {:<7}  duty {}  {}",
        told::text(gate, "/at"),
        told::text(gate, "/state"),
        told::percent(gate, "/duty_milli", 1),
        told::text(gate, "/reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(gate: &Value, width: usize) -> Vec<String> {
        render(gate, width).iter().map(Line::plain).collect()
    }

    #[test]
    fn a_wide_terminal_shows_all_of_it() {
        let lines = plain(&told::sample(), 100);
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
    fn narrow_terminals_cut_and_colours_are_a_choice() {
        for width in 0..60 {
            let lines = plain(&told::sample(), width);
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= width && !line.contains('\x1b'))
            );
        }
        assert!(
            render(&told::sample(), 80)[0]
                .render(true)
                .starts_with("\x1b[31m")
        );
        assert!(!render(&Value::Null, 80).is_empty());
    }
}

//! PURE: a gate's status as lines for a terminal.

use serde_json::Value;

use super::told;

/// Changes shown at most.
const HISTORY: usize = 8;

/// Lines of at most `width` characters; colours only where wanted.
pub(super) fn render(gate: &Value, width: usize, color: bool) -> Vec<String> {
    let state = told::text(gate, "/state");
    let cut = |line: String| -> String { line.chars().take(width).collect() };
    let next = gate
        .pointer("/next_sample_in_ms")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let head = cut(format!(
        "gate {}  since {}  duty {}  next check in {next} ms",
        state.to_uppercase(),
        told::text(gate, "/since"),
        told::percent(gate, "/duty_milli", 1)
    ));
    let mut lines = vec![if color { paint(&head, state) } else { head }];
    lines.push(cut(told::text(gate, "/reason").to_owned()));
    lines.push(cut(format!("harm {}", told::harm(gate))));
    lines.push(String::new());
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
    lines.push(String::new());
    lines.extend(told::orders(gate).into_iter().map(&cut));
    lines.push(cut(told::regime(gate)));
    for (what, path) in [("policy refused: ", "/policy/refused"), ("alarm: ", "/alarm")] {
        if let Some(text) = gate.pointer(path).and_then(Value::as_str) {
            lines.push(cut(format!("{what}{text}")));
        }
    }
    lines.push(String::new());
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
fn paint(line: &str, state: &str) -> String {
    let code = match state {
        "open" => 32,
        "limited" => 33,
        _ => 31,
    };
    format!("\x1b[1;{code}m{line}\x1b[0m")
}

/// One line, for logs and pipes.
pub(super) fn line(gate: &Value) -> String {
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

    #[test]
    fn a_wide_terminal_shows_all_of_it() {
        let lines = render(&told::sample(), 100, false);
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
            let lines = render(&told::sample(), width, false);
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= width && !line.contains('\x1b'))
            );
        }
        assert!(render(&told::sample(), 80, true)[0].starts_with("\x1b[1;31m"));
        assert!(!render(&Value::Null, 80, false).is_empty());
    }
}

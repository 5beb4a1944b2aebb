//! The display of a running demo: a block that is redrawn on a terminal, lines otherwise.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::output::{Block, View};
use crate::status_page::{number, text};

/// Interval of the lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The state of the demo.
pub(crate) struct Snapshot<'a> {
    /// The current phase of the demo.
    pub(crate) phase: &'a str,
    /// `busy`, `quiet`, or empty.
    pub(crate) business: &'a str,
    /// The social agent's status.
    pub(crate) social: &'a Value,
    /// Number of rows at the start.
    pub(crate) rows: u64,
    /// Time until the business ends.
    pub(crate) left: Duration,
}

/// The display.
pub(crate) struct Display {
    shown: Block,
    last: Option<Instant>,
    moved: (Instant, u64),
    rate: u64,
}

impl Display {
    /// Creates a display on standard error.
    pub(crate) fn new() -> Self {
        Self {
            shown: Block::new(),
            last: None,
            moved: (Instant::now(), 0),
            rate: 0,
        }
    }

    /// Writes a line above the block.
    pub(crate) fn note(&mut self, line: &str) {
        self.shown.note(line);
    }

    /// Shows the state.
    pub(crate) fn show(&mut self, snapshot: &Snapshot<'_>) {
        let rows = sum_over_lanes(snapshot.social, "rows");
        let passed = self.moved.0.elapsed();
        if passed >= Duration::from_millis(900) {
            let per_second =
                u128::from(rows.saturating_sub(self.moved.1)) * 1_000 / passed.as_millis().max(1);
            self.rate = u64::try_from(per_second).unwrap_or(0);
            self.moved = (Instant::now(), rows);
        }
        let block = block(snapshot, self.rate);
        if self.shown.is_terminal() {
            let mut view = View::new();
            for line in &block {
                view.line(line);
            }
            self.shown.draw(&view);
        } else if self.last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
            self.last = Some(Instant::now());
            let line: Vec<&str> = block.iter().map(|line| line.trim()).collect();
            self.shown.note(&line.join(" | "));
        }
    }
}

/// PURE: renders the block.
fn block(snapshot: &Snapshot<'_>, rate: u64) -> Vec<String> {
    let social = snapshot.social;
    let (state, reason) = (text(social, "/gate/state"), text(social, "/gate/reason"));
    let rows = sum_over_lanes(social, "rows");
    let left = if snapshot.left.is_zero() {
        String::new()
    } else {
        format!(", {} s left", snapshot.left.as_secs())
    };
    let backlog = snapshot.rows.saturating_sub(rows);
    let backlog = if backlog > 0 {
        format!("about {backlog} left")
    } else {
        "first load completed".to_owned()
    };
    let business = if snapshot.business.is_empty() {
        "ended"
    } else {
        snapshot.business
    };
    vec![
        format!("  {}{left}", snapshot.phase),
        format!("  business  {business}"),
        format!(
            "  gate      {} ({reason})",
            if state.is_empty() { "starting" } else { state }
        ),
        format!("  rows      {rows} published, {rate} per second, {backlog}"),
        format!(
            "  chunks    {} published, the gate closed {} times, {} rows read while it was closed",
            sum_over_lanes(social, "chunks"),
            number(social, "/gate/closings"),
            number(social, "/driver/rows_while_closed")
        ),
    ]
}

/// Returns the sum of a number over all lanes.
pub(super) fn sum_over_lanes(value: &Value, key: &str) -> u64 {
    let lanes = value.pointer("/lanes").and_then(Value::as_object);
    lanes
        .into_iter()
        .flatten()
        .map(|(_, lane)| lane.get(key).and_then(Value::as_u64).unwrap_or(0))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_shows_gate_reason_rows_and_time_left() {
        let social = serde_json::json!({
            "gate": { "state": "closed", "reason": "host_cpu 91.0 % >= 70.0 %", "closings": 2 },
            "lanes": { "a.b": { "rows": 10, "chunks": 1 }, "a.c": { "rows": 5, "chunks": 1 } },
            "driver": { "rows_while_closed": 0 },
        });
        let snapshot = Snapshot {
            phase: "running",
            business: "busy",
            social: &social,
            rows: 100,
            left: Duration::from_secs(9),
        };
        let text = block(&snapshot, 7).join("\n");
        for wanted in [
            "closed (host_cpu 91.0 %",
            "15 published, 7 per second, about 85 left",
            "9 s left",
            "2 published",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}

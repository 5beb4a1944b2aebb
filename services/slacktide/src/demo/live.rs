//! What is seen while the demo runs: one block that renews itself on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::page::{number, over_lanes, text};
use crate::output::Block;

/// How often a line is written where no terminal is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A look at everything.
pub(crate) struct Look<'a> {
    /// What the demo does now.
    pub(crate) stage: &'a str,
    /// `busy`, `quiet`, or nothing.
    pub(crate) business: &'a str,
    /// The social agent's status.
    pub(crate) social: &'a Value,
    /// Rows at the start.
    pub(crate) rows: u64,
    /// Until the business ends.
    pub(crate) left: Duration,
}

/// The display.
pub(crate) struct Live {
    shown: Block,
    last: Option<Instant>,
    moved: (Instant, u64),
    rate: u64,
}

impl Live {
    /// For standard error, as it is.
    pub(crate) fn new() -> Self {
        Self {
            shown: Block::new(),
            last: None,
            moved: (Instant::now(), 0),
            rate: 0,
        }
    }

    /// Says what comes next, above the block.
    pub(crate) fn say(&mut self, line: &str) {
        self.shown.note(line);
    }

    /// Shows it.
    pub(crate) fn show(&mut self, look: &Look<'_>) {
        let rows = over_lanes(look.social, "rows");
        let passed = self.moved.0.elapsed();
        if passed >= Duration::from_millis(900) {
            let per_second =
                u128::from(rows.saturating_sub(self.moved.1)) * 1_000 / passed.as_millis().max(1);
            self.rate = u64::try_from(per_second).unwrap_or(0);
            self.moved = (Instant::now(), rows);
        }
        let block = block(look, self.rate);
        if self.shown.is_terminal() {
            self.shown.draw(&block);
        } else if self.last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last = Some(Instant::now());
            let line: Vec<&str> = block.iter().map(|line| line.trim()).collect();
            self.shown.note(&line.join(" | "));
        }
    }
}

/// PURE: the block.
fn block(look: &Look<'_>, rate: u64) -> Vec<String> {
    let social = look.social;
    let (state, reason) = (text(social, "/gate/state"), text(social, "/gate/reason"));
    let rows = over_lanes(social, "rows");
    let left = if look.left.is_zero() {
        String::new()
    } else {
        format!(", {} s left", look.left.as_secs())
    };
    let backlog = look.rows.saturating_sub(rows);
    let backlog = if backlog > 0 {
        format!("about {backlog} to go")
    } else {
        "caught up with the first load".to_owned()
    };
    let business = if look.business.is_empty() {
        "stopped"
    } else {
        look.business
    };
    vec![
        format!("  {}{left}", look.stage),
        format!("  business  {business}"),
        format!(
            "  gate      {} ({reason})",
            if state.is_empty() { "starting" } else { state }
        ),
        format!("  rows      {rows} moved, {rate} a second, {backlog}"),
        format!(
            "  chunks    {} published, the gate shut {} times, {} rows read while it was shut",
            over_lanes(social, "chunks"),
            number(social, "/gate/shuts"),
            number(social, "/driver/rows_while_shut")
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_gate_reason_rows_and_time_left() {
        let social = serde_json::json!({
            "gate": { "state": "shut", "reason": "host_cpu 91.0 % >= 70.0 %", "shuts": 2 },
            "lanes": { "a.b": { "rows": 10, "chunks": 1 }, "a.c": { "rows": 5, "chunks": 1 } },
            "driver": { "rows_while_shut": 0 },
        });
        let look = Look {
            stage: "running",
            business: "busy",
            social: &social,
            rows: 100,
            left: Duration::from_secs(9),
        };
        let text = block(&look, 7).join("\n");
        for wanted in [
            "shut (host_cpu 91.0 %",
            "15 moved, 7 a second, about 85 to go",
            "9 s left",
            "2 published",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}

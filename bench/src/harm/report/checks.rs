//! The targets of each variant, and whether they were met.

use std::fmt::Write;

use super::{Report, mean};
use crate::stats::Median;

impl Report {
    /// Renders one line per target.
    pub(super) fn checks(&self) -> String {
        let mut text = String::from("\ntargets and results\n");
        let mut add_line = |what: String, verdict: Verdict| {
            let _ = writeln!(text, "  {:<13} {what}", verdict.name());
        };
        for line in self
            .lines
            .iter()
            .filter(|line| !["timer", "none"].contains(&line.variant))
        {
            let (load, variant) = (&line.load, line.variant);
            let p99 = line.p99;
            add_line(
                format!("{load} {variant}: p99 {p99}, target at most 1.05"),
                Verdict::at_most(p99, 1.05),
            );
            for (name, middle) in [("p50", line.p50), ("p95", line.p95)] {
                add_line(
                    format!("{load} {variant}: {name} {middle}, target at most 1.03"),
                    Verdict::at_most(middle, 1.03),
                );
            }
            if let Some(timer) = self
                .lines
                .iter()
                .find(|other| other.variant == "timer" && other.load == line.load)
            {
                let (ours, theirs) = (p99.middle - 1.0, timer.p99.middle - 1.0);
                let share = ours.max(0.0) / theirs.max(1e-9);
                add_line(
                    format!(
                        "{load} {variant}: excess p99 {:.0} % of the timer's",
                        share * 100.0
                    ),
                    Verdict::from_bool(share <= 0.2),
                );
            }
            let min_rows = match (load.as_str(), variant) {
                ("30 %", "kernel_idle" | "tuned") => Some(50_000.0),
                ("30 %", "normal") => Some(10_000.0),
                _ => None,
            };
            if let Some(min_rows) = min_rows {
                let rows = line.rows_per_second;
                add_line(
                    format!("{load} {variant}: {rows:.0} rows/s, target {min_rows:.0}"),
                    Verdict::from_bool(rows >= min_rows),
                );
            }
            let (yields, within, longest) = line.yields;
            if yields > 0 {
                let what = format!(
                    "{load} {variant}: {within} of {yields} yields within 100 ms, the longest {longest:.1} ms"
                );
                add_line(what, Verdict::from_bool(within * 100 >= yields * 99));
            }
        }
        for (variant, seen) in &self.yields {
            let enough = seen.count > 0 && seen.within * 100 >= seen.count * 99;
            add_line(format!("85 % {variant}: {seen}"), Verdict::from_bool(enough));
        }
        let Some(timer) = self.idle.get("timer").map(|rates| mean(rates)) else {
            return text;
        };
        for (variant, rates) in self.idle.iter().filter(|(variant, _)| **variant != "timer") {
            let share = mean(rates) / timer;
            add_line(
                format!("idle {variant}: {:.0} % of the timer's rows", share * 100.0),
                Verdict::from_bool(share >= 0.9),
            );
        }
        for (variant, rates) in &self.spell {
            let share = mean(rates) / timer;
            add_line(
                format!("60 s quiet {variant}: {:.0} % of the timer's rows", share * 100.0),
                Verdict::from_bool(share >= 0.9),
            );
        }
        for line in self
            .lines
            .iter()
            .filter(|line| line.load == "bursts" && !["timer", "none"].contains(&line.variant))
        {
            let Some(quiet) = line.quiet_rows_per_second else {
                continue;
            };
            let share = quiet / timer;
            let what = format!(
                "10 s quiet {}: {:.0} % of the timer's rows",
                line.variant,
                share * 100.0
            );
            add_line(what, Verdict::from_bool(share >= 0.6));
        }
        if let Some((percent, rows)) = self.closed {
            add_line(
                format!("closed: {percent:.2} % of a core, {rows} rows"),
                Verdict::from_bool(percent < 1.0 && rows == 0),
            );
        }
        text
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Holds,
    /// The median is beyond the limit, but the interval includes it.
    Undecided,
    Fails,
}

impl Verdict {
    fn from_bool(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn at_most(seen: Median, bound: f64) -> Self {
        if seen.middle <= bound {
            Self::Holds
        } else if seen.low <= bound {
            Self::Undecided
        } else {
            Self::Fails
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Undecided => "not decided",
            Self::Fails => "DOES NOT HOLD",
        }
    }
}

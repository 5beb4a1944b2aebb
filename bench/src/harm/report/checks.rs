//! What was asked of each variant, and whether it was seen.

use std::fmt::Write;

use super::{Report, mean};
use crate::stats::Middle;

impl Report {
    /// A line for each.
    pub(super) fn checks(&self) -> String {
        let mut text = String::from("\nwhat was asked, and what was seen\n");
        let mut tell = |what: String, verdict: Verdict| {
            let _ = writeln!(text, "  {:<13} {what}", verdict.name());
        };
        for line in self
            .lines
            .iter()
            .filter(|line| !["timer", "nobody"].contains(&line.variant))
        {
            let (load, variant) = (&line.load, line.variant);
            let p99 = line.p99;
            tell(
                format!("{load} {variant}: p99 {p99}, at most 1.05 asked"),
                Verdict::at_most(p99, 1.05),
            );
            for (name, middle) in [("p50", line.p50), ("p95", line.p95)] {
                tell(
                    format!("{load} {variant}: {name} {middle}, at most 1.03 asked"),
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
                tell(
                    format!(
                        "{load} {variant}: excess p99 {:.0} % of the timer's",
                        share * 100.0
                    ),
                    Verdict::of(share <= 0.2),
                );
            }
            let least = match (load.as_str(), variant) {
                ("30 %", "kernel" | "tuned") => Some(50_000.0),
                ("30 %", "bare") => Some(10_000.0),
                _ => None,
            };
            if let Some(least) = least {
                let rows = line.rows_per_second;
                tell(
                    format!("{load} {variant}: {rows:.0} rows/s, {least:.0} asked"),
                    Verdict::of(rows >= least),
                );
            }
            let (yields, within, longest) = line.yields;
            if yields > 0 {
                let what = format!(
                    "{load} {variant}: {within} of {yields} yields within 100 ms, the longest {longest:.1} ms"
                );
                tell(what, Verdict::of(within * 100 >= yields * 99));
            }
        }
        for (variant, seen) in &self.yields {
            let enough = seen.count > 0 && seen.within * 100 >= seen.count * 99;
            tell(format!("85 % {variant}: {seen}"), Verdict::of(enough));
        }
        let Some(timer) = self.idle.get("timer").map(|rates| mean(rates)) else {
            return text;
        };
        for (variant, rates) in self.idle.iter().filter(|(variant, _)| **variant != "timer") {
            let share = mean(rates) / timer;
            tell(
                format!("idle {variant}: {:.0} % of the timer's rows", share * 100.0),
                Verdict::of(share >= 0.9),
            );
        }
        for (variant, rates) in &self.spell {
            let share = mean(rates) / timer;
            tell(
                format!("60 s quiet {variant}: {:.0} % of the timer's rows", share * 100.0),
                Verdict::of(share >= 0.9),
            );
        }
        for line in self
            .lines
            .iter()
            .filter(|line| line.load == "bursts" && !["timer", "nobody"].contains(&line.variant))
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
            tell(what, Verdict::of(share >= 0.6));
        }
        if let Some((percent, rows)) = self.shut {
            tell(
                format!("shut: {percent:.2} % of a core, {rows} rows"),
                Verdict::of(percent < 1.0 && rows == 0),
            );
        }
        text
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Holds,
    /// The middle is beyond the bound, and the interval reaches it.
    Undecided,
    Fails,
}

impl Verdict {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn at_most(seen: Middle, bound: f64) -> Self {
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

//! `[gate.duty]`, `[gate.trickle]`, `[[gate.window]]`: how much of the time may be worked.

use std::time::Duration;

use jiff::Timestamp;
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::law::duty::DutyLaw;
use crate::law::relief;

/// The `[gate.duty]` table. Shares are percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DutyConfig {
    /// How much longer the business's processes may take because of ours, in percent of their
    /// time on or waiting for a processor.
    pub harm_budget: f64,
    /// How long a gate that has just opened works at `probation_duty`.
    pub probation: Span,
    /// Percent of the time on probation.
    pub probation_duty: f64,
    /// Percent of the time at least, while the gate is open.
    pub least: f64,
    /// Percent of the time at most beside a business, without the kernel's help.
    pub most: f64,
    /// The same with the kernel's help.
    pub most_with_kernel: f64,
    /// The same where the harm cannot be measured and the kernel does not help.
    pub most_unmeasured: f64,
    /// Percent of the time that is rested beside a business, to measure it without us.
    pub rests: f64,
    /// How long a quantum should take beside a business.
    pub quantum_busy: Span,
    /// How long a quantum should take where there is none.
    pub quantum_idle: Span,
    /// How long a quantum is put off at most while somebody else runs, without the kernel's help.
    pub patience: Span,
}

impl Default for DutyConfig {
    fn default() -> Self {
        let law = DutyLaw::default();
        Self {
            harm_budget: percent(law.harm_budget),
            probation: span(law.probation),
            probation_duty: percent(law.probation_duty),
            least: percent(law.least),
            most: percent(law.most_bare),
            most_with_kernel: percent(law.most_kernel),
            most_unmeasured: percent(law.most_blind),
            rests: percent(law.rests),
            quantum_busy: span(law.quantum_busy),
            quantum_idle: span(law.quantum_idle),
            patience: span(law.patience),
        }
    }
}

/// Percent, without the dust of binary fractions.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

fn span(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl DutyConfig {
    /// What the law obeys.
    #[must_use]
    pub fn law(&self) -> DutyLaw {
        DutyLaw {
            harm_budget: self.harm_budget / 100.0,
            probation: self.probation.get(),
            probation_duty: self.probation_duty / 100.0,
            least: self.least / 100.0,
            most_bare: self.most / 100.0,
            most_kernel: self.most_with_kernel / 100.0,
            most_blind: self.most_unmeasured / 100.0,
            rests: self.rests / 100.0,
            quantum_busy: self.quantum_busy.get(),
            quantum_idle: self.quantum_idle.get(),
            patience: self.patience.get(),
            ..DutyLaw::default()
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let shares = [
            ("duty.probation_duty", self.probation_duty),
            ("duty.least", self.least),
            ("duty.most", self.most),
            ("duty.most_with_kernel", self.most_with_kernel),
            ("duty.most_unmeasured", self.most_unmeasured),
        ];
        for (key, value) in shares {
            if !(0.1..=100.0).contains(&value) {
                return wrong(key, value, "give a percentage from 0.1 to 100");
            }
        }
        for (key, value) in &shares[2..] {
            if *value < self.least {
                return wrong(key, *value, "it must not be below duty.least");
            }
        }
        if !(0.0..=1_000.0).contains(&self.harm_budget) || self.harm_budget <= 0.0 {
            return wrong(
                "duty.harm_budget",
                self.harm_budget,
                "give a percentage above 0, for example 5",
            );
        }
        if !(5.0..=90.0).contains(&self.rests) {
            let remedy = "give 5 to 90: without rests nobody knows how the business does without us";
            return wrong("duty.rests", self.rests, remedy);
        }
        for (key, span) in [
            ("duty.quantum_busy", self.quantum_busy),
            ("duty.quantum_idle", self.quantum_idle),
        ] {
            if span.get().is_zero() || span.get() > Duration::from_secs(1) {
                return wrong(key, span, "give 1ms to 1s");
            }
        }
        Ok(())
    }
}

fn wrong<T>(
    key: &'static str,
    value: impl std::fmt::Display,
    remedy: &'static str,
) -> Result<T, ConfigError> {
    Err(ConfigError {
        key,
        what: format!("is {value}"),
        remedy,
    })
}

/// The `[gate.trickle]` table: a little work after a long time without idleness. Off unless
/// given; `by` and `why` are signed into the audit chain whenever it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrickleConfig {
    /// How long there must have been no idleness.
    pub after: Span,
    /// Percent of the time that is worked then.
    pub duty: f64,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// One `[[gate.window]]`: work between two times although the core is busy, because a deadline
/// is near. Off unless given; `by` and `why` are signed into the audit chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// From, with a zone: `2026-12-31T20:00:00+08:00`.
    pub from: Timestamp,
    /// Until, exclusive.
    pub until: Timestamp,
    /// Percent of the time that is worked.
    pub duty: f64,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// Shortest time without idleness after which a trickle may begin.
const SHORTEST_TRICKLE: Duration = Duration::from_secs(60);

impl TrickleConfig {
    /// For the law.
    #[must_use]
    pub fn relief(&self) -> relief::Trickle {
        relief::Trickle {
            after: self.after.get(),
            duty: self.duty / 100.0,
            actor: self.by.as_str().into(),
            reason: self.why.as_str().into(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.after.get() < SHORTEST_TRICKLE {
            return wrong(
                "trickle.after",
                self.after,
                "a trickle disturbs the business: give at least 1m",
            );
        }
        answers("trickle.duty", self.duty, &self.by, &self.why)
    }
}

impl WindowConfig {
    /// For the law.
    #[must_use]
    pub fn relief(&self) -> relief::Window {
        relief::Window {
            from: self.from,
            until: self.until,
            duty: self.duty / 100.0,
            actor: self.by.as_str().into(),
            reason: self.why.as_str().into(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.until <= self.from {
            return wrong("window.until", self.until, "it must be after window.from");
        }
        answers("window.duty", self.duty, &self.by, &self.why)
    }
}

fn answers(key: &'static str, duty: f64, by: &str, why: &str) -> Result<(), ConfigError> {
    if !(0.1..=50.0).contains(&duty) {
        return wrong(key, duty, "give a percentage from 0.1 to 50");
    }
    if by.trim().is_empty() || why.trim().is_empty() {
        return wrong(key, duty, "say who answers for it (by) and why (why)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GateConfig;

    fn parse(text: &str) -> Result<GateConfig, String> {
        let config: GateConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn nothing_given_is_the_law_as_it_is_tuned() {
        let law = parse("").map(|config| config.limits().law);
        assert_eq!(law, Ok(DutyLaw::default()));
    }

    #[test]
    fn contradictions_are_refused_by_key() {
        for (text, key) in [
            ("duty.harm_budget = 0", "duty.harm_budget"),
            ("duty.harm_budget = nan", "duty.harm_budget"),
            ("duty.most = 101", "duty.most"),
            ("duty.most = 0.5", "duty.most"),
            ("duty.rests = 0", "duty.rests"),
            ("duty.quantum_busy = \"0ms\"", "duty.quantum_busy"),
            (
                "trickle = { after = \"1s\", duty = 1, by = \"li\", why = \"x\" }",
                "trickle.after",
            ),
            (
                "trickle = { after = \"6h\", duty = 1, by = \"\", why = \"x\" }",
                "trickle.duty",
            ),
            (
                "trickle = { after = \"6h\", duty = 90, by = \"li\", why = \"x\" }",
                "trickle.duty",
            ),
            (
                "[[window]]\nfrom = \"2026-12-31T20:00:00+08:00\"\nuntil = \"2026-12-31T19:00:00+08:00\"\nduty = 1\nby = \"li\"\nwhy = \"x\"",
                "window.until",
            ),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(error.starts_with(&format!("gate.{key} ")), "{text}: {error}");
        }
    }

    #[test]
    fn a_window_has_a_zone_a_name_and_a_reason() {
        let text = "[[window]]\nfrom = \"2026-12-31T20:00:00+08:00\"\nuntil = \"2026-12-31T23:00:00+08:00\"\nduty = 5\nby = \"li\"\nwhy = \"year end\"";
        let relief = parse(text)
            .map(|config| config.limits().relief)
            .unwrap_or_default();
        assert_eq!(relief.windows.len(), 1);
        assert!(parse(&text.replace("why = \"year end\"", "")).is_err());
        assert!(parse(&text.replace("+08:00", "")).is_err());
    }
}

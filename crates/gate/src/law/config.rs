//! `[gate.duty]`, `[gate.trickle]`, `[[gate.window]]`: the duty cycle and its exceptions.

use std::time::Duration;

use jiff::Timestamp;
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;
use crate::duty_law::DutyLaw;
use crate::relief;

/// The `[gate.duty]` table. Shares are percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DutyConfig {
    /// Accepted slowdown of the business's processes, in percent of their time on or waiting for a processor.
    pub harm_budget: f64,
    /// Duration of the probation after an opening.
    pub probation: Span,
    /// Duty on probation.
    pub probation_duty: f64,
    /// Minimum duty while the gate is open.
    pub min: f64,
    /// Maximum duty during business activity, in normal mode.
    pub max: f64,
    /// Maximum duty during business activity, in kernel-idle mode.
    pub max_with_kernel_idle: f64,
    /// Maximum duty in normal mode if the harm cannot be measured.
    pub max_unmeasured: f64,
    /// Percent of control ticks, which measure the business without our work.
    pub control_ticks: f64,
    /// Target duration of a quantum during business activity.
    pub quantum_busy: Span,
    /// Target duration of a quantum without business activity.
    pub quantum_idle: Span,
    /// How long a quantum is deferred at most while another process runs, in normal mode.
    pub max_deferral: Span,
}

impl Default for DutyConfig {
    fn default() -> Self {
        let law = DutyLaw::default();
        Self {
            harm_budget: percent(law.harm_budget),
            probation: span(law.probation),
            probation_duty: percent(law.probation_duty),
            min: percent(law.min_duty),
            max: percent(law.max_duty),
            max_with_kernel_idle: percent(law.max_duty_kernel_idle),
            max_unmeasured: percent(law.max_duty_unmeasured),
            control_ticks: percent(law.control_ticks),
            quantum_busy: span(law.quantum_busy),
            quantum_idle: span(law.quantum_idle),
            max_deferral: span(law.max_deferral),
        }
    }
}

/// Converts a share to percent, without binary rounding noise.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

fn span(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl DutyConfig {
    /// Returns the parameters of the law.
    #[must_use]
    pub fn law(&self) -> DutyLaw {
        DutyLaw {
            harm_budget: self.harm_budget / 100.0,
            probation: self.probation.get(),
            probation_duty: self.probation_duty / 100.0,
            min_duty: self.min / 100.0,
            max_duty: self.max / 100.0,
            max_duty_kernel_idle: self.max_with_kernel_idle / 100.0,
            max_duty_unmeasured: self.max_unmeasured / 100.0,
            control_ticks: self.control_ticks / 100.0,
            quantum_busy: self.quantum_busy.get(),
            quantum_idle: self.quantum_idle.get(),
            max_deferral: self.max_deferral.get(),
            ..DutyLaw::default()
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let shares = [
            ("duty.probation_duty", self.probation_duty),
            ("duty.min", self.min),
            ("duty.max", self.max),
            ("duty.max_with_kernel_idle", self.max_with_kernel_idle),
            ("duty.max_unmeasured", self.max_unmeasured),
        ];
        for (key, value) in shares {
            if !(0.1..=100.0).contains(&value) {
                return violation(key, value, "set a percentage from 0.1 to 100");
            }
        }
        for (key, value) in &shares[2..] {
            if *value < self.min {
                return violation(key, *value, "it must not be below duty.min");
            }
        }
        if !(0.0..=1_000.0).contains(&self.harm_budget) || self.harm_budget <= 0.0 {
            return violation(
                "duty.harm_budget",
                self.harm_budget,
                "set a percentage above 0, for example 5",
            );
        }
        if !(5.0..=90.0).contains(&self.control_ticks) {
            let remedy = "set 5 to 90: without control ticks the harm cannot be measured";
            return violation("duty.control_ticks", self.control_ticks, remedy);
        }
        for (key, span) in [
            ("duty.quantum_busy", self.quantum_busy),
            ("duty.quantum_idle", self.quantum_idle),
        ] {
            if span.get().is_zero() || span.get() > Duration::from_secs(1) {
                return violation(key, span, "set 1ms to 1s");
            }
        }
        Ok(())
    }
}

fn violation<T>(
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

/// The `[gate.trickle]` table: a little work after a long time without idleness. Off by default; `by` and `why` are
/// signed into the audit chain whenever it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrickleConfig {
    /// Minimum time without idleness.
    pub after: Span,
    /// Percent of the time that is worked then.
    pub duty: f64,
    /// Who is accountable.
    pub by: String,
    /// The stated reason.
    pub why: String,
}

/// One `[[gate.window]]`: work between two times although the core is busy, because of a deadline. Off by default; `by`
/// and `why` are signed into the audit chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// The start, with a zone: `2026-12-31T20:00:00+08:00`.
    pub from: Timestamp,
    /// The end, exclusive.
    pub until: Timestamp,
    /// Percent of the time that is worked.
    pub duty: f64,
    /// Who is accountable.
    pub by: String,
    /// The stated reason.
    pub why: String,
}

/// Minimum time without idleness before a trickle.
const MIN_TRICKLE_DELAY: Duration = Duration::from_secs(60);

impl TrickleConfig {
    /// Returns the exception for the law.
    #[must_use]
    pub fn relief(&self) -> relief::Trickle {
        relief::Trickle {
            after: self.after.get(),
            duty: self.duty / 100.0,
            actor: self.by.as_str().into(),
            reason: self.why.as_str().into(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.after.get() < MIN_TRICKLE_DELAY {
            return violation(
                "trickle.after",
                self.after,
                "a trickle disturbs the business: set at least 1m",
            );
        }
        validate_accountable("trickle.duty", self.duty, &self.by, &self.why)
    }
}

impl WindowConfig {
    /// Returns the exception for the law.
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

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.until <= self.from {
            return violation("window.until", self.until, "it must be after window.from");
        }
        validate_accountable("window.duty", self.duty, &self.by, &self.why)
    }
}

fn validate_accountable(key: &'static str, duty: f64, by: &str, why: &str) -> Result<(), ConfigError> {
    if !(0.1..=50.0).contains(&duty) {
        return violation(key, duty, "set a percentage from 0.1 to 50");
    }
    if by.trim().is_empty() || why.trim().is_empty() {
        return violation(key, duty, "set by (who is accountable) and why (the reason)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parsed::{error_of, parse};

    #[test]
    fn duty_config_default_equals_the_law_default() {
        let law = parse("").map(|config| config.limits().law);
        assert_eq!(law, Ok(DutyLaw::default()));
    }

    #[test]
    fn duty_config_contradictions_are_refused_by_key() {
        for (text, key) in [
            ("duty.harm_budget = 0", "duty.harm_budget"),
            ("duty.harm_budget = nan", "duty.harm_budget"),
            ("duty.max = 101", "duty.max"),
            ("duty.max = 0.5", "duty.max"),
            ("duty.control_ticks = 0", "duty.control_ticks"),
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
            let error = error_of(text);
            assert!(error.starts_with(&format!("gate.{key} ")), "{text}: {error}");
        }
    }

    #[test]
    fn window_config_requires_zone_name_and_reason() {
        let text = "[[window]]\nfrom = \"2026-12-31T20:00:00+08:00\"\nuntil = \"2026-12-31T23:00:00+08:00\"\nduty = 5\nby = \"li\"\nwhy = \"year end\"";
        let relief = parse(text)
            .map(|config| config.limits().relief)
            .unwrap_or_default();
        assert_eq!(relief.windows.len(), 1);
        assert!(parse(&text.replace("why = \"year end\"", "")).is_err());
        assert!(parse(&text.replace("+08:00", "")).is_err());
    }
}

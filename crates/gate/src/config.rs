//! The gate's configuration. The defaults are safe and work untuned.
//!
//! The table of a signal is defined next to the signal, the duty cycle's next to the law.

mod never_idle;
#[cfg(test)]
pub(crate) mod parsed;
mod record;

use std::time::Duration;

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;
use crate::law::config::{DutyConfig, TrickleConfig, WindowConfig};
use crate::limits::Limits;
use crate::own::OwnEntry;
use crate::relief::Reliefs;
use crate::signal::calendar;
use crate::signal::calendar::config::CalendarConfig;
use crate::signal::config::SignalsConfig;

pub use never_idle::NeverIdleConfig;
pub use record::RecordConfig;

/// The `[gate]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// `auto`: by the signals. `open`: always open, for benchmarks and sources that accept any load.
    pub mode: Mode,
    /// The sampling interval.
    pub interval: Span,
    /// Timeout of one reading; by default the interval, but at least 250 ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<Span>,
    /// Maximum age of the last sample; by default five intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Span>,
    /// Consecutive good samples that a closed gate needs to open.
    pub good_samples: u32,
    /// How long load must have been absent before a closed gate opens.
    pub hold: Span,
    /// Our own processes on this host: `nats-server`, `slacktide commercial` (program and leading arguments),
    /// `pid:1234`, `unit:nats.service`. This process, and the database backends that serve it, are always included.
    pub own: Vec<OwnEntry>,
    /// The signals and their limits.
    pub signals: SignalsConfig,
    /// The duty cycle.
    pub duty: DutyConfig,
    /// The alarm for a core that is never idle.
    pub never_idle: NeverIdleConfig,
    /// A little work after a long time without idleness. Off by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trickle: Option<TrickleConfig>,
    /// Times before a deadline in which work is done although the core is busy. None by default.
    #[serde(rename = "window", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowConfig>,
    /// Whether samples are recorded, for `gate simulate` and `gate forecast`.
    pub record: RecordConfig,
    /// The times in which work is wanted. Always by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarConfig>,
}

/// What determines the gate's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The signals.
    #[default]
    Auto,
    /// Nothing: always open.
    Open,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            interval: Span::from_millis(100),
            read_timeout: None,
            stale_after: None,
            good_samples: 5,
            hold: Span::from_secs(2),
            own: Vec::new(),
            signals: SignalsConfig::default(),
            duty: DutyConfig::default(),
            never_idle: NeverIdleConfig::default(),
            trickle: None,
            windows: Vec::new(),
            record: RecordConfig::default(),
            calendar: None,
        }
    }
}

impl GateConfig {
    /// Returns the timeout of one reading.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        self.read_timeout
            .map_or_else(|| self.interval.get().max(MIN_READ_TIMEOUT), Span::get)
    }

    /// Returns the maximum age of the last sample.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.stale_after
            .map_or_else(|| self.interval.get().saturating_mul(5), Span::get)
    }

    /// Returns the limits that the policy applies to the signals.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut signals = self.signals.limits();
        if self.calendar.is_some() {
            signals.insert(calendar::NAME.into(), calendar::LIMIT);
        }
        Limits {
            is_fixed_open: self.mode == Mode::Open,
            signals,
            good_samples: self.good_samples,
            hold: self.hold.get(),
            stale_after: self.stale_after(),
            clock_slack: Duration::from_secs(1),
            law: self.duty.law(),
            relief: Reliefs {
                trickle: self.trickle.as_ref().map(TrickleConfig::relief),
                windows: self.windows.iter().map(WindowConfig::relief).collect(),
            },
        }
    }

    /// Checks what the types cannot express.
    ///
    /// # Errors
    /// The first contradiction, with its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let violation = |key, what: String, remedy| Err(ConfigError { key, what, remedy });
        if self.interval.get() < MIN_INTERVAL {
            let what = format!("is {}", self.interval);
            return violation(
                "interval",
                what,
                "50ms is the shortest that CPU accounting can resolve",
            );
        }
        if self.mode == Mode::Open {
            return Ok(());
        }
        if self.read_timeout() > self.stale_after() || self.read_timeout().is_zero() {
            let what = format!("is {}", Span::from_millis(millis(self.read_timeout())));
            return violation(
                "read_timeout",
                what,
                "it must be above 0 and not above stale_after",
            );
        }
        if self.stale_after() < self.interval.get().saturating_mul(2) {
            let what = format!("is {}", Span::from_millis(millis(self.stale_after())));
            return violation(
                "stale_after",
                what,
                "set it to at least two intervals, or every delay closes the gate",
            );
        }
        if self.good_samples == 0 {
            return violation(
                "good_samples",
                "is 0".to_owned(),
                "a gate needs at least 1 good sample to open",
            );
        }
        let limits = self.limits();
        if limits.signals.is_empty() {
            let remedy = "turn one on, or set mode = \"open\" if any load is accepted";
            return violation("signals", "are all turned off".to_owned(), remedy);
        }
        self.duty.validate()?;
        self.never_idle.validate()?;
        self.calendar.as_ref().map(CalendarConfig::calendar).transpose()?;
        if let Some(trickle) = &self.trickle {
            trickle.validate()?;
        }
        for window in &self.windows {
            window.validate()?;
        }
        self.signals.validate()
    }
}

/// A reading that takes longer than the interval delays the next sample without failing.
const MIN_READ_TIMEOUT: Duration = Duration::from_millis(250);

const MIN_INTERVAL: Duration = Duration::from_millis(50);

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::parsed::{error_of, parse};
    use super::*;
    use crate::limits::Limit;

    #[test]
    fn config_default_is_safe_and_valid() {
        let config = parse("");
        assert_eq!(config, Ok(GateConfig::default()));
        let limits = GateConfig::default().limits();
        assert_eq!(
            limits.signals["host_cpu"],
            Limit {
                stop: 85.0,
                resume: 75.0,
                critical: Some(98.0),
                quiet: Some(10.0),
                unit: "percent"
            }
        );
        assert_eq!(limits.stale_after, Duration::from_millis(500));
    }

    #[test]
    fn config_with_a_stop_file_keeps_the_cpu_signal() {
        let config = parse("[signals.stop_file]\npath = \"/run/stop\"");
        let names: Vec<_> = config
            .map(|config| config.limits().signals.into_keys().collect())
            .unwrap_or_default();
        assert_eq!(
            names,
            ["host_cpu".into(), "memory".into(), "stop_file".into()] as [crate::sample::SignalName; 3]
        );
    }

    /// Trap: a misspelt metric throttles permanently.
    #[test]
    fn config_misspelt_signal_is_refused_with_the_known_ones() {
        let error = error_of("[signals.host_cpus]\nstop = 70");
        assert!(
            error.contains("host_cpus") && error.contains("`host_cpu`") && error.contains("`stop_file`"),
            "{error}"
        );
    }

    /// Trap: one threshold for stop and start flaps.
    #[test]
    fn config_contradictions_are_refused_by_key() {
        for (text, key) in [
            ("signals.host_cpu.resume = 85", "signals.host_cpu.resume"),
            ("signals.host_cpu.resume = nan", "signals.host_cpu.resume"),
            ("signals.host_cpu.stop = nan", "signals.host_cpu.stop"),
            ("signals.host_cpu.stop = 101", "signals.host_cpu.stop"),
            (
                "signals.host_cpu.enabled = false\nsignals.memory.enabled = false",
                "signals",
            ),
            ("signals.memory.group = \"core\"", "signals.memory.group"),
            ("signals.disk.group = \"/core\"", "signals.disk.group"),
            ("good_samples = 0", "good_samples"),
            ("interval = \"1ms\"", "interval"),
            ("read_timeout = \"50ms\"\nstale_after = \"150ms\"", "stale_after"),
            ("read_timeout = \"2s\"", "read_timeout"),
        ] {
            let error = error_of(text);
            assert!(error.starts_with(&format!("gate.{key} ")), "{text}: {error}");
        }
    }

    #[test]
    fn config_mode_open_is_parsed() {
        assert_eq!(parse("mode = \"open\"").map(|config| config.mode), Ok(Mode::Open));
        assert!(parse("mode = \"opne\"").is_err());
    }

    #[test]
    fn config_round_trips_through_toml() {
        let text = "hold = \"2s\"\nown = [\"nats-server\", \"slacktide commercial\", \"pid:12\", \"unit:nats.service\"]";
        let config = parse(text).unwrap_or_default();
        let written = toml::to_string(&config).unwrap_or_default();
        assert_eq!(parse(&written), Ok(config));
    }
}

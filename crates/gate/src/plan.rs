//! The sampler's plan: signals, limits and interval. Built from a configuration, replaced as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::GateConfig;
use crate::foreground::{self, Foreground};
use crate::limits::Limits;
use crate::own::OwnPids;
use crate::signal::{self, Signal};

/// The sampler's timing.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Time between samples.
    pub interval: Duration,
    /// Timeout of one reading.
    pub read_timeout: Duration,
}

/// The sampler's inputs; a reload replaces them as a whole.
pub(crate) struct Plan {
    pub(crate) signals: Vec<Box<dyn Signal>>,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    pub(crate) foreground: Option<Box<dyn Foreground>>,
}

impl Plan {
    /// Builds the plan of a valid configuration; `extra_signals` are the signals of other hosts and databases.
    pub(crate) fn from_config(
        config: &GateConfig,
        own_pids: &OwnPids,
        extra_signals: Vec<Box<dyn Signal>>,
    ) -> Self {
        let limits = config.limits();
        let pace = Pace {
            interval: config.interval.get(),
            read_timeout: config.read_timeout(),
        };
        if limits.is_fixed_open {
            // Reads nothing, least of all from the core.
            return Self {
                signals: Vec::new(),
                limits: Limits {
                    signals: BTreeMap::new(),
                    ..limits
                },
                pace,
                foreground: None,
            };
        }
        let mut signals = signal::configured(config, own_pids);
        signals.extend(extra_signals);
        Self {
            signals,
            limits,
            pace,
            foreground: foreground::configured(config, own_pids),
        }
    }
}

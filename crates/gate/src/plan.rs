//! What a sampler goes by: signals, limits, pace. Made of a configuration, replaced as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::GateConfig;
use crate::foreground::{self, Foreground};
use crate::limits::Limits;
use crate::own::OwnPids;
use crate::signal::{self, Signal};

/// How a sampler paces itself.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From one sample to the next.
    pub interval: Duration,
    /// How long one reading may take.
    pub read_timeout: Duration,
}

/// What a sampler does: replaced as a whole when the policy is loaded anew.
pub(crate) struct Plan {
    pub(crate) signals: Vec<Box<dyn Signal>>,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    pub(crate) foreground: Option<Box<dyn Foreground>>,
}

impl Plan {
    /// The plan of a valid configuration; `more` are the signals that are not the host's.
    pub(crate) fn of(config: &GateConfig, own_pids: &OwnPids, more: Vec<Box<dyn Signal>>) -> Self {
        let limits = config.limits();
        let pace = Pace {
            interval: config.interval.get(),
            read_timeout: config.read_timeout(),
        };
        if limits.is_fixed_open {
            // No probe of anything, least of all of the core.
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
        signals.extend(more);
        Self {
            signals,
            limits,
            pace,
            foreground: foreground::configured(config, own_pids),
        }
    }
}

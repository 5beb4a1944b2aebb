//! The alarm for a core that is never idle.

use std::time::Duration;

use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;

/// The `[gate.never_idle]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeverIdleConfig {
    /// Time for which the gate was closed, or a feed not drained, before the alarm.
    pub alarm_after: Span,
}

impl Default for NeverIdleConfig {
    fn default() -> Self {
        Self {
            alarm_after: Span::from_secs(4 * 3_600),
        }
    }
}

impl NeverIdleConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.alarm_after.get() < Duration::from_secs(1) {
            return Err(ConfigError {
                key: "never_idle.alarm_after",
                what: format!("is {}", self.alarm_after),
                remedy: "set at least 1s; 4h is usual",
            });
        }
        Ok(())
    }
}

//! Whether the kernel schedules our work only in idle time.
//!
//! A polling gate reacts in milliseconds, the scheduler in microseconds. The scheduler helps only if this process and
//! the database backend that serves it are in the idle class. Otherwise short quanta, pauses and a run queue check
//! before each quantum protect the business.

use std::sync::Arc;

use serde::Serialize;

/// The priority mode in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum PriorityMode {
    /// Our backend competes as an equal.
    Normal {
        /// Why kernel-idle scheduling is not available.
        why: Arc<str>,
    },
    /// This process and all its backends are in the idle class.
    KernelIdle {
        /// How that was confirmed.
        detail: Arc<str>,
    },
}

impl PriorityMode {
    /// Whether our work is in the idle class.
    #[must_use]
    pub fn is_kernel_idle(&self) -> bool {
        matches!(self, Self::KernelIdle { .. })
    }
}

impl Default for PriorityMode {
    fn default() -> Self {
        Self::Normal {
            why: "no helper is configured".into(),
        }
    }
}

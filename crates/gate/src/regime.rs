//! Whether the kernel puts our work behind the business's.
//!
//! A gate that polls reacts in milliseconds; the scheduler reacts in microseconds, but only if
//! the database backend that serves us is in the idle class as well as this process. Without that
//! right, short quanta, pauses and looks before each quantum have to do it.

use std::sync::Arc;

use serde::Serialize;

/// The regime in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "regime", rename_all = "snake_case")]
pub enum Regime {
    /// Our backend competes as an equal.
    Bare {
        /// Why the kernel's help is not had.
        why: Arc<str>,
    },
    /// This process and every backend of ours are in the idle class.
    Kernel {
        /// How that was confirmed.
        detail: Arc<str>,
    },
}

impl Regime {
    /// Whether the kernel helps.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }
}

impl Default for Regime {
    fn default() -> Self {
        Self::Bare {
            why: "no helper is configured".into(),
        }
    }
}

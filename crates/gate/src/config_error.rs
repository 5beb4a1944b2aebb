//! The error of an invalid gate configuration.

/// An invalid gate configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gate.{key} {what}; {remedy}")]
pub struct ConfigError {
    /// The key below `gate`.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// The remedy.
    pub remedy: &'static str,
}

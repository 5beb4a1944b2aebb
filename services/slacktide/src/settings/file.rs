//! Reads a configuration file and checks its rules.

use std::path::Path;

use runtime::config::{self, Loaded};
use serde::de::DeserializeOwned;

use super::violation::ConfigViolation;
use crate::failure::Failure;

/// A file with rules.
pub(crate) trait Validate: DeserializeOwned {
    /// Returns the violated rules; empty: the file may be used.
    fn violations(&self) -> Vec<ConfigViolation>;
}

/// Reads a file with the overrides from the environment, and checks its rules.
pub(crate) fn load<T: Validate>(path: &Path) -> Result<Loaded<T>, Failure> {
    let loaded: Loaded<T> = config::load_with(path, override_variables())?;
    let violations = loaded.value.violations();
    if violations.is_empty() {
        return Ok(loaded);
    }
    let text = config::read(path).unwrap_or_default();
    let mut messages = violations
        .iter()
        .map(|violation| violation.with_location(path, &text));
    let first = messages.next().unwrap_or_default();
    Err(Failure::usage(first).with(messages.map(|message| format!("error: {message}"))))
}

/// Returns the overrides `SLACKTIDE_TABLE__KEY`. Every key is in a table, so a variable without `__`
/// (`SLACKTIDE_LOG`, the server's `SLACKTIDE_LISTEN`) is not an override.
fn override_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.contains("__"))
        .collect()
}

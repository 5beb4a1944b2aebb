//! What a command prints: results to standard output, everything else to standard error.

use std::io::Write;

use serde::Serialize;

use crate::failure::Failure;

/// A line or a block of the result. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A remark beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error, in the one form that all have.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// The result as data.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))?;
    line(&text);
    Ok(())
}

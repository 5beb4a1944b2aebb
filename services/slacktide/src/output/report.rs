//! The value of a command, and its two forms.

use schemars::JsonSchema;
use serde::Serialize;

use super::stream::{self, Stream};
use super::{View, json, lines};
use crate::failure::Failure;

/// What a command returns: data with a schema, and the same for people.
pub(crate) trait Report: Serialize + JsonSchema {
    /// Describes the value for people.
    fn view(&self) -> View;
}

/// Shows the value of a command, as JSON or for people.
///
/// # Errors
/// It cannot be serialised.
pub(crate) fn report(value: &impl Report, is_json: bool) -> Result<(), Failure> {
    if is_json {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))?;
        Stream::Out.write(json::line(&text).as_bytes());
    } else {
        lines(value.view().render(stream::width()));
    }
    Ok(())
}

/// Shows one of several values of a command: as JSON on one line, or for people.
///
/// # Errors
/// It cannot be serialised.
pub(crate) fn report_line(value: &impl Report, is_json: bool) -> Result<(), Failure> {
    if is_json {
        let text = serde_json::to_string(value).map_err(|error| Failure::internal(&error))?;
        Stream::Out.write(json::line(&text).as_bytes());
        Ok(())
    } else {
        report(value, false)
    }
}

//! Terminal output: results on standard output, everything else on standard error.
//!
//! Only this module writes to them, so that text of another party never reaches a terminal unescaped.
//!
//! # Design
//!
//! A command makes a value, a [`Report`], and passes it to [`report()`]. The value is serialised for `--json`, and it
//! describes the same facts for people as a [`View`]: lines, labelled texts, commands to copy, and tables. A command formats
//! no columns and measures no width.
//!
//! **JSON.** The type of the value has a JSON Schema, which is published under `schemas/cli/` and compared by a test. The
//! rules, which `schemas/cli/README.md` states for readers:
//!
//! - the top level is an object; the entries of a list are in `items`
//! - a value that is not known is `null`, so that a key is always present
//! - times are RFC 3339 in UTC with three decimals ([`Time`]); durations are integers with the unit in the name (`…_ms`)
//! - ratios are numbers with three decimals ([`Ratio`]); amounts of money are texts
//! - commands that follow something print one object on each line
//!
//! **Width.** On a terminal, or where `COLUMNS` gives a width, no line of a view is wider than that: texts are wrapped, a table
//! wraps its cells, and where a table cannot fit at all, each of its rows is shown as a record, one field on each line. No
//! value is truncated. In a pipe or a file a row is one line, nothing is wrapped, and there are no colours.
//!
//! **A closed pipe** (`| head -1`) is not an error: the rest of the output is dropped, and the command ends with its own exit
//! code. Any other error of a write is kept until the end and makes the command fail ([`finish`]).
//!
//! - `report` the value of a command; `value` the types of its fields
//! - `view` what people see; `table` tables; `wrap` wrapped lines; `text` one line of escaped text with styles
//! - `live` output that is redrawn in place below a history; `progress` the progress of long work
//! - `json` JSON with escaped control characters
//! - `stream` the two streams; `log` the log lines of this process

mod json;
mod live;
mod log;
mod progress;
mod report;
mod stream;
mod table;
mod text;
mod value;
mod view;
mod wrap;

pub(crate) use json::JsonLines;
#[cfg(test)]
pub(crate) use json::text as rendered_json;
pub(crate) use live::{Block, Live};
pub(crate) use log::{log_sink, report_panics};
pub(crate) use progress::Progress;
pub(crate) use report::{Report, report, report_line};
pub(crate) use stream::{finish, is_closed, is_terminal};
pub(crate) use table::Table;
pub(crate) use text::{Line, Style, escape};
pub(crate) use value::{Ratio, Time, millis};
pub(crate) use view::View;
#[cfg(test)]
pub(crate) use wrap::display_width;

use std::process::ExitCode;

use crate::failure::Failure;
use stream::Stream;

/// Shows a line of the result.
pub(crate) fn line(text: &str) {
    let mut shown = View::new();
    shown.line(text);
    view(&shown);
}

/// Shows several lines of the result, unchanged but for the escapes.
pub(crate) fn lines<I>(texts: I)
where
    I: IntoIterator,
    I::Item: Into<Line>,
{
    Stream::Out.write(render_lines(Stream::Out, texts).as_bytes());
}

/// Shows a view without data: the result of a command that has no `--json`.
pub(crate) fn view(view: &View) {
    lines(view.render(stream::width()));
}

/// Shows a remark on standard error.
pub(crate) fn note(text: &str) {
    notes([text]);
}

/// Shows several lines on standard error.
pub(crate) fn notes<I>(texts: I)
where
    I: IntoIterator,
    I::Item: Into<Line>,
{
    Stream::Error.write(render_lines(Stream::Error, texts).as_bytes());
}

/// Shows an error.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// Shows why a command failed.
pub(crate) fn failure(failure: &Failure) {
    error(failure.what());
    notes(failure.more());
}

/// Writes a result unchanged to a file or a pipe. On a terminal it is shown line by line and escaped.
pub(crate) fn exact(text: &str) {
    if is_terminal() {
        lines(text.lines());
    } else {
        Stream::Out.write(text.as_bytes());
    }
}

/// Shows content as JSON below a view: a decoded message or row, for people.
///
/// # Errors
/// It cannot be serialised.
pub(crate) fn json_text(value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))?;
    Stream::Out.write(json::line(&text).as_bytes());
    Ok(())
}

/// Shows values as JSON, one on each line.
///
/// # Errors
/// One cannot be serialised.
pub(crate) fn json_lines(values: impl IntoIterator<Item = serde_json::Value>) -> Result<(), Failure> {
    for value in values {
        let text = serde_json::to_string(&value).map_err(|error| Failure::internal(&error))?;
        Stream::Out.write(json::line(&text).as_bytes());
    }
    Ok(())
}

/// Shows the help, or an error of the command line.
pub(crate) fn command_line(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        notes(error.render().to_string().trim_end().lines());
    } else {
        // Help and version contain only our own text.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Renders lines for a stream, each with a line end.
fn render_lines<I>(stream: Stream, texts: I) -> String
where
    I: IntoIterator,
    I::Item: Into<Line>,
{
    let is_coloured = stream.is_coloured();
    let rendered = texts
        .into_iter()
        .map(|text| Line::render(&text.into(), is_coloured) + "\n");
    rendered.collect()
}

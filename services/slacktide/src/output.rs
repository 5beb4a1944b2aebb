//! Terminal output: results on standard output, everything else on standard error.
//!
//! Only this module writes to them, so that text of another party never reaches a terminal unescaped: all output is a
//! [`Line`], a line escapes every character that acts on the terminal, and colours and cursor movement are types of this
//! module.
//!
//! - `columns` a table with a header
//! - `text` one line of escaped text with styles
//! - `screen` output that is redrawn in place
//! - `json` JSON with escaped control characters
//! - `log` the log lines of this process

mod columns;
mod json;
mod log;
mod screen;
mod text;

pub(crate) use columns::Columns;
#[cfg(test)]
pub(crate) use columns::display_width;
pub(crate) use json::JsonLines;
#[cfg(test)]
pub(crate) use json::json_text;
pub(crate) use log::{log_sink, report_panics};
pub(crate) use screen::{Block, Screen, redraw};
pub(crate) use text::{Line, Style, escape};

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;

/// Shows a line of the result. A closed pipe (`| head`) is not an error.
pub(crate) fn line(text: &str) {
    let _ = try_line(text);
}

/// Shows a line of the result.
///
/// # Errors
/// If the output is closed.
pub(crate) fn try_line(text: &str) -> io::Result<()> {
    Stream::Out.write(render_lines(Stream::Out, [text]).as_bytes())
}

/// Shows several lines of the result.
pub(crate) fn lines<I>(texts: I)
where
    I: IntoIterator,
    I::Item: Into<Line>,
{
    let _ = Stream::Out.write(render_lines(Stream::Out, texts).as_bytes());
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
    let _ = Stream::Error.write(render_lines(Stream::Error, texts).as_bytes());
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

/// Shows the result as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))?;
    let _ = Stream::Out.write(json::line(&text).as_bytes());
    Ok(())
}

/// Shows the result as JSON on one line.
///
/// # Errors
/// If the output is closed.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    Stream::Out.write(json::line(&serde_json::to_string(value)?).as_bytes())
}

/// Writes a result unchanged to a file or a pipe. On a terminal it is shown line by line and escaped.
pub(crate) fn exact(text: &str) {
    if is_terminal() {
        lines(text.lines());
    } else {
        let _ = Stream::Out.write(text.as_bytes());
    }
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

/// Returns whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    Stream::Out.is_terminal()
}

/// Returns the width of standard output, or `None` if it is not a terminal. `COLUMNS` overrides it.
pub(crate) fn width() -> Option<usize> {
    let from_environment = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    is_terminal().then(|| {
        let size = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        from_environment.or_else(size).unwrap_or(80)
    })
}

/// One of the two streams of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Error,
}

#[expect(clippy::disallowed_methods, reason = "the one place that writes to them")]
impl Stream {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Error => io::stderr().lock().write_all(bytes),
        }
    }

    fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }
}

impl Stream {
    /// Returns whether colours are shown: on a terminal, unless the environment sets `NO_COLOR`.
    fn is_coloured(self) -> bool {
        self.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
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

//! Everything that the program prints, escaped: names and texts of an export are another party's. Text lines are wrapped at 80
//! columns.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use schemas::visible::{Escape, escape};

/// The maximum width of a line.
const WIDTH: usize = 80;

/// The indent of continued lines.
const INDENT: &str = "  ";

/// How often progress is shown.
const INTERVAL: Duration = Duration::from_millis(200);

/// Prints a line of the result, wrapped. Returns whether it could be written.
pub fn line(text: &str) -> bool {
    let wrapped = wrap(&escape(text, Escape::Text));
    to_standard_output(&(wrapped.join("\n") + "\n"))
}

/// Prints JSON.
pub fn json(text: &str) -> bool {
    to_standard_output(&(escape(text, Escape::Json).into_owned() + "\n"))
}

/// Prints a text of the program itself.
pub fn text(text: &str) -> bool {
    to_standard_output(text)
}

/// Prints an error.
pub fn error(text: &str) {
    to_standard_error(&format!("error: {}\n", escape(text, Escape::Text)));
}

fn to_standard_output(text: &str) -> bool {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only writer to standard output of this program; the text is escaped"
    )]
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        // The reader has seen enough.
        Err(error) => error.kind() == std::io::ErrorKind::BrokenPipe,
    }
}

fn to_standard_error(text: &str) {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only writer to standard error of this program; the text is escaped"
    )]
    let mut out = std::io::stderr().lock();
    // A failure to report a failure cannot be reported.
    let _ = out.write_all(text.as_bytes());
}

/// Breaks a line at spaces; a longer word is not broken, so that it can be copied.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut current = String::new();
    for word in text.split(' ') {
        let width = current.chars().count() + 1 + word.chars().count();
        if !current.trim().is_empty() && width > WIDTH {
            lines.push(std::mem::replace(&mut current, INDENT.to_owned() + word));
        } else if current.is_empty() && lines.is_empty() {
            word.clone_into(&mut current);
        } else {
            current.push(' ');
            current.push_str(word);
        }
    }
    lines.push(current);
    lines
}

/// The progress of the verification, in bytes of the files: a line that is redrawn on a terminal, nothing elsewhere.
pub struct Progress {
    total: u64,
    begun: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Begins, with the length of all files.
    #[must_use]
    pub fn new(total: u64) -> Self {
        #[allow(clippy::disallowed_methods, reason = "nothing is written")]
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            total,
            begun: Instant::now(),
            shown: None,
            is_terminal,
        }
    }

    /// Shows how many bytes are done.
    pub fn set(&mut self, done: u64) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        let elapsed = self.begun.elapsed().as_millis().max(1);
        let (done, total) = (u128::from(done), u128::from(self.total.max(1)));
        let percent = (done * 100 / total).min(100);
        let rate = done / 1_000 * 1_000 / elapsed / 1_000;
        let left = total.saturating_sub(done) * elapsed / done.max(1) / 1_000;
        to_standard_error(&format!(
            "\r\u{1b}[K{percent} % verified, {rate} MB/s, {left} s left"
        ));
    }

    /// Removes the line.
    pub fn end(&self) {
        if self.shown.is_some() {
            to_standard_error("\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_lines_are_wrapped_at_80_columns() {
        let text = "FAULT ".to_owned() + &"word ".repeat(40);
        let lines = wrap(text.trim());
        assert!(
            lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("  word"));
        let digest = "a".repeat(100);
        assert_eq!(wrap(&digest), [digest.as_str()]);
    }
}

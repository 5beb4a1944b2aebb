//! JSON that is safe on a terminal: invisible characters are written as `\uXXXX`, which keeps the values.

use std::borrow::Cow;
use std::io::{self, Write};

use schemas::visible::{Escape, escape};

use super::stream::{self, Stream};

/// Escapes invisible characters in JSON text. No value changes.
fn safe(text: &str) -> Cow<'_, str> {
    escape(text, Escape::Json)
}

/// Returns escaped JSON with a line end.
pub(super) fn line(text: &str) -> String {
    safe(text).into_owned() + "\n"
}

/// Returns a value as a report with `--json` prints it.
#[cfg(test)]
pub(crate) fn text(value: &impl serde::Serialize) -> String {
    safe(&serde_json::to_string_pretty(value).unwrap_or_default()).into_owned()
}

/// The buffer size of writes, in bytes.
const BUFFER_SIZE: usize = 64 << 10;

/// A writer of JSON lines to standard output.
#[derive(Default)]
pub(crate) struct JsonLines {
    /// Escaped lines that are not written yet.
    ready: Vec<u8>,
    /// The incomplete last line.
    partial: Vec<u8>,
}

impl JsonLines {
    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.partial);
        self.ready.extend_from_slice(safe(&text).as_bytes());
        self.partial.clear();
    }

    /// Writes the complete lines.
    ///
    /// # Errors
    /// Standard output takes no more, so that the source of the lines stops reading.
    fn write_ready(&mut self) -> io::Result<()> {
        Stream::Out.write(&self.ready);
        self.ready.clear();
        if stream::is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl Write for JsonLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        if self.ready.len() >= BUFFER_SIZE {
            self.write_ready()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_line();
        self.write_ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_hidden_characters_are_escaped_and_values_kept() -> Result<(), Box<dyn std::error::Error>> {
        let value = serde_json::json!({ "a\u{202e}": "\u{1b}[2J \u{7f}\u{9b}\u{2028}\u{e0041}张\"\\" });
        for text in [value.to_string(), serde_json::to_string_pretty(&value)?] {
            let shown = safe(&text);
            assert!(
                !shown.contains(['\u{1b}', '\u{202e}', '\u{7f}', '\u{9b}', '\u{2028}', '\u{e0041}']),
                "{shown}"
            );
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown)?, value);
        }
        Ok(())
    }

    #[test]
    fn json_lines_cut_anywhere_are_escaped() -> io::Result<()> {
        let text = "{\"a\":\"\u{202e}\"}\n";
        for cut in 0..text.len() {
            let mut out = JsonLines::default();
            out.write_all(&text.as_bytes()[..cut])?;
            out.write_all(&text.as_bytes()[cut..])?;
            assert_eq!(out.ready, b"{\"a\":\"\\u202e\"}\n");
        }
        Ok(())
    }
}

//! Output that is redrawn in place.

use std::io;

use super::{Line, Stream, render_lines};

/// The alternate screen of a terminal, until it is dropped.
pub(crate) struct Screen(());

impl Screen {
    /// Opens it; `None` if standard output is not a terminal with cursor movement.
    pub(crate) fn open() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !Stream::Out.is_terminal() {
            return None;
        }
        // Hide the cursor and disable wrapping: the terminal truncates long lines.
        let _ = Stream::Out.write(b"\x1b[?1049h\x1b[?25l\x1b[?7l");
        Some(Self(()))
    }

    /// Draws the lines from the first row on, and clears the rest.
    pub(crate) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let is_coloured = Stream::Out.is_coloured();
        let mut text = String::new();
        for (row, line) in (1_usize..).zip(lines) {
            text += &format!("\x1b[{row};1H{}\x1b[K", line.render(is_coloured));
        }
        Stream::Out.write(format!("{text}\x1b[J").as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Stream::Out.write(b"\x1b[?7h\x1b[?25h\x1b[?1049l");
    }
}

/// Shows the lines of a result; on a terminal it clears the screen first.
pub(crate) fn redraw(lines: &[Line]) -> io::Result<()> {
    let clear = if Stream::Out.is_terminal() {
        "\x1b[H\x1b[2J"
    } else {
        ""
    };
    Stream::Out.write(format!("{clear}{}", render_lines(Stream::Out, lines)).as_bytes())
}

/// Lines on standard error that the next ones replace.
pub(crate) struct Block {
    is_terminal: bool,
    height: usize,
}

impl Block {
    /// An empty block.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: Stream::Error.is_terminal(),
            height: 0,
        }
    }

    /// Returns whether it can be redrawn; elsewhere each drawing adds lines.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Keeps the drawn lines and writes a line below them.
    pub(crate) fn note(&mut self, text: &str) {
        self.height = 0;
        super::note(text);
    }

    /// Draws the lines in place of the last ones.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let up = match self.height {
            rows if rows > 0 && self.is_terminal => format!("\x1b[{rows}A"),
            _ => String::new(),
        };
        let clear = if self.is_terminal { "\x1b[2K" } else { "" };
        let is_coloured = Stream::Error.is_coloured();
        let drawn = lines
            .iter()
            .map(|line| format!("{clear}{}\n", Line::from(line).render(is_coloured)));
        let text: String = drawn.collect();
        let _ = Stream::Error.write(format!("{up}{text}").as_bytes());
        self.height = lines.len();
    }
}

//! Output that is redrawn in place.
//!
//! Finished lines stay above the part that is redrawn, so that the terminal keeps the history.

use super::stream::{self, Stream};
use super::text::Line;
use super::{View, render_lines};

/// A live part on standard output below a growing history. Where the cursor cannot be moved, only the history is written.
pub(crate) struct Live {
    is_redrawable: bool,
    height: usize,
}

impl Live {
    /// Creates it on standard output.
    pub(crate) fn new() -> Self {
        Self {
            is_redrawable: Stream::Out.is_redrawable(),
            height: 0,
        }
    }

    /// Returns whether the live part is shown.
    pub(crate) fn is_redrawable(&self) -> bool {
        self.is_redrawable
    }

    /// Adds lines to the history, and draws the live part below them.
    pub(crate) fn draw(&mut self, history: &View, live: &View) {
        let width = stream::width();
        let history = history.render(width);
        if !self.is_redrawable {
            if !history.is_empty() {
                super::lines(history);
            }
            return;
        }
        let live = live.render(Some(width.unwrap_or(80)));
        let live = clip(live, stream::height().saturating_sub(1));
        let up = match self.height {
            0 => String::new(),
            rows => format!("\x1b[{rows}A"),
        };
        self.height = live.len();
        let text = render_lines(Stream::Out, history) + &render_lines(Stream::Out, live);
        Stream::Out.write(format!("{up}\r\x1b[J{text}").as_bytes());
    }
}

/// Keeps the lines that fit, with a note about the others: lines above the screen cannot be redrawn.
fn clip(mut lines: Vec<Line>, height: usize) -> Vec<Line> {
    let height = height.max(1);
    if lines.len() > height {
        let hidden = lines.len() - height + 1;
        lines.truncate(height - 1);
        lines.push(format!("… {hidden} more lines: enlarge the terminal").into());
    }
    lines
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
            is_terminal: Stream::Error.is_redrawable(),
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

    /// Draws the view in place of the last one.
    pub(crate) fn draw(&mut self, view: &View) {
        let lines = view.render(Some(stream::width().unwrap_or(80)));
        let up = match self.height {
            rows if rows > 0 && self.is_terminal => format!("\x1b[{rows}A\r\x1b[J"),
            _ => String::new(),
        };
        self.height = lines.len();
        let text = render_lines(Stream::Error, lines);
        Stream::Error.write(format!("{up}{text}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_part_taller_than_the_terminal_is_clipped() {
        let lines: Vec<Line> = (0..9).map(|number| Line::from(number.to_string())).collect();
        let shown: Vec<String> = clip(lines.clone(), 4).iter().map(Line::plain).collect();
        assert_eq!(shown, ["0", "1", "2", "… 6 more lines: enlarge the terminal"]);
        assert_eq!(clip(lines, 9).len(), 9);
    }
}

//! What people see of a value: lines, labelled texts, commands to copy, and tables.

use super::table::Table;
use super::text::Line;
use super::wrap;

/// A part of a view.
#[derive(Debug, Clone)]
enum Part {
    /// A text behind a head, to whose width continuation lines are indented.
    Text {
        head: String,
        text: Line,
    },
    /// A line of a file, which is never wrapped.
    Exact(Line),
    /// A command to copy.
    Command {
        indent: usize,
        text: String,
    },
    Table(Table),
}

/// The parts of a view, from the top down.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    parts: Vec<Part>,
}

impl View {
    /// Creates an empty view.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a line. Its continuation lines are indented like it, and by two more columns.
    pub(crate) fn line(&mut self, text: impl Into<Line>) -> &mut Self {
        self.parts.push(Part::Text {
            head: String::new(),
            text: text.into(),
        });
        self
    }

    /// Adds an empty line.
    pub(crate) fn blank(&mut self) -> &mut Self {
        self.line("")
    }

    /// Adds a text behind a label, for example `gate      open`. The label gives the indent of continuation lines.
    pub(crate) fn labelled(&mut self, label: impl Into<String>, text: impl Into<Line>) -> &mut Self {
        self.parts.push(Part::Text {
            head: label.into(),
            text: text.into(),
        });
        self
    }

    /// Adds a line of a file that is copied: it is wrapped by the terminal alone.
    pub(crate) fn exact(&mut self, text: impl Into<Line>) -> &mut Self {
        self.parts.push(Part::Exact(text.into()));
        self
    }

    /// Adds a command that an operator copies.
    pub(crate) fn command(&mut self, indent: usize, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Command {
            indent,
            text: text.into(),
        });
        self
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: Table) -> &mut Self {
        self.parts.push(Part::Table(table));
        self
    }

    /// Renders the lines: no wider than `width`, or unwrapped.
    pub(crate) fn render(&self, width: Option<usize>) -> Vec<Line> {
        self.parts.iter().flat_map(|part| part.render(width)).collect()
    }

    /// Renders the lines without colours, unwrapped.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> Vec<String> {
        self.render(None).iter().map(Line::plain).collect()
    }
}

impl Part {
    fn render(&self, width: Option<usize>) -> Vec<Line> {
        match (self, width) {
            (Self::Table(table), _) => table.render(width),
            (Self::Exact(line), _) => vec![line.clone()],
            (Self::Text { head, text }, None) => vec![Line::from(head).and_line(text.clone())],
            (Self::Text { head, text }, Some(width)) if head.is_empty() => {
                let plain = text.plain();
                let indent = plain.len() - plain.trim_start().len();
                wrap_line(text, indent, width)
            }
            (Self::Text { head, text }, Some(width)) => wrap::wrap(head, text, width),
            (Self::Command { indent, text }, None) => {
                vec![Line::from(format!("{}{text}", " ".repeat(*indent)))]
            }
            (Self::Command { indent, text }, Some(width)) => wrap::wrap_command(*indent, text, width),
        }
    }
}

/// Wraps a line that fits or continues with its own indent and two more columns.
fn wrap_line(text: &Line, indent: usize, width: usize) -> Vec<Line> {
    let plain = text.plain();
    if wrap::display_width(&plain) <= width {
        return vec![text.clone()];
    }
    let deeper = indent + 2;
    let wrapped = wrap::wrap(&" ".repeat(deeper), &text.slice(indent, plain.len()), width);
    let first_head = deeper.min(2);
    // The first line begins at the indent itself.
    wrapped
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let length = line.plain().len();
            if index == 0 {
                line.slice(first_head, length)
            } else {
                line
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_in_a_pipe_wraps_nothing() {
        let mut view = View::new();
        view.line("word ".repeat(40).trim_end().to_owned());
        view.labelled("why:  ", "word ".repeat(40).trim_end().to_owned());
        view.command(2, "slacktide a b".repeat(20));
        assert_eq!(view.plain().len(), 3);
    }

    #[test]
    fn view_on_a_terminal_keeps_the_width_and_the_indent() {
        let mut view = View::new();
        view.line(format!("  {}", "word ".repeat(40)));
        view.labelled("why:  ", "word ".repeat(40));
        let lines: Vec<String> = view.render(Some(80)).iter().map(Line::plain).collect();
        assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
        assert!(
            lines[0].starts_with("  word") && lines[1].starts_with("    word"),
            "{lines:#?}"
        );
        let why = lines.iter().position(|line| line.starts_with("why:")).unwrap();
        assert!(lines[why + 1].starts_with("      word"), "{lines:#?}");
    }
}

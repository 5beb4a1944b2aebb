//! One line of output with styles.
//!
//! A style is separate from the text. Rendering escapes the text of every span, so a colour, a cursor movement or a line
//! break in foreign text is shown as its escape.

use std::borrow::Cow;

use schemas::visible::{self, Escape};

/// Escapes every invisible character that acts on a terminal.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    visible::escape(text, Escape::Text)
}

/// The meaning of a span, shown as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// It works.
    Good,
    /// It waits.
    Waiting,
    /// An operator must act.
    Alarm,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Waiting => "33",
            Self::Alarm => "31",
        }
    }
}

/// One line: spans of text, each plain or with a style.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    spans: Vec<(Option<Style>, String)>,
}

impl Line {
    /// A line of one style.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self {
            spans: vec![(Some(style), text.into())],
        }
    }

    /// Adds plain text.
    pub(crate) fn and(mut self, text: impl Into<String>) -> Self {
        self.spans.push((None, text.into()));
        self
    }

    /// Adds text with a style.
    pub(crate) fn and_styled(mut self, style: Style, text: impl Into<String>) -> Self {
        self.spans.push((Some(style), text.into()));
        self
    }

    /// Adds the spans of another line.
    pub(crate) fn and_line(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// Returns the part between two byte positions of the escaped text, with its styles.
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        let (mut spans, mut start) = (Vec::new(), 0);
        for (style, text) in &self.spans {
            let text = escape(text);
            let end = start + text.len();
            let (first, last) = (from.clamp(start, end) - start, to.clamp(start, end) - start);
            if let Some(part) = text.get(first..last).filter(|part| !part.is_empty()) {
                spans.push((*style, part.to_owned()));
            }
            start = end;
        }
        Self { spans }
    }

    /// Renders the line for a terminal, a pipe or a file.
    pub(crate) fn render(&self, is_coloured: bool) -> String {
        let mut shown = String::new();
        for (style, text) in &self.spans {
            match style.filter(|_| is_coloured) {
                Some(style) => {
                    shown.push_str("\x1b[");
                    shown.push_str(style.code());
                    shown.push('m');
                    shown.push_str(&escape(text));
                    shown.push_str("\x1b[0m");
                }
                None => shown.push_str(&escape(text)),
            }
        }
        shown
    }

    /// Returns the line without colours.
    pub(crate) fn plain(&self) -> String {
        self.render(false)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::default().and(text)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<&Line> for Line {
    fn from(line: &Line) -> Self {
        line.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_style_is_shown_only_where_wanted() {
        let line = Line::from("a ").and_styled(Style::Waiting, "held").and(" b");
        assert_eq!(line.render(false), "a held b");
        assert_eq!(line.render(true), "a \x1b[33mheld\x1b[0m b");
    }

    #[test]
    fn line_foreign_style_and_break_are_escaped() {
        let hostile = "\x1b[32mok\x1b[0m\r\nerror: \u{202e}none\u{9b}2J";
        let shown = Line::styled(Style::Alarm, hostile).render(true);
        assert_eq!(
            shown,
            "\x1b[31m\\u{1b}[32mok\\u{1b}[0m\\r\\nerror: \\u{202e}none\\u{9b}2J\x1b[0m"
        );
    }

    proptest! {
        #[test]
        fn line_of_any_text_holds_only_visible_characters(text in any::<String>(), marks in "[\\u{300}-\\u{36f}]{0,9}") {
            let shown = Line::from(format!("{text}{marks}")).render(true);
            prop_assert!(shown.chars().all(visible::is_visible), "{shown:?}");
            prop_assert_eq!(escape(&shown), shown.as_str());
        }
    }
}

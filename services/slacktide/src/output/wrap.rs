//! Wraps styled lines to a width. Every word is kept; only blanks at the end of a line are dropped.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use super::text::Line;

/// Returns the display width of a text: 2 for each Chinese, Japanese and Korean character.
pub(crate) fn display_width(text: &str) -> usize {
    textwrap::core::display_width(text)
}

fn options(width: usize) -> Options<'static> {
    Options::new(width.max(1))
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

/// Wraps a line behind a head; continuation lines are indented by the width of the head.
pub(super) fn wrap(head: &str, line: &Line, width: usize) -> Vec<Line> {
    let indent = display_width(head);
    let text = line.plain();
    let mut lines = Vec::new();
    let mut at = 0;
    for piece in textwrap::wrap(&text, options(width.saturating_sub(indent))) {
        // Pieces follow each other, with blanks between them.
        let from = text
            .get(at..)
            .and_then(|rest| rest.find(piece.as_ref()))
            .map_or(at, |found| at + found);
        at = from + piece.len();
        let start = if lines.is_empty() {
            head.to_owned()
        } else {
            " ".repeat(indent)
        };
        lines.push(Line::from(start).and_line(line.slice(from, at)));
    }
    if lines.is_empty() {
        lines.push(Line::from(head));
    }
    lines
}

/// Wraps a command that is to be copied: a backslash joins the lines, and no word is broken.
pub(super) fn wrap_command(indent: usize, command: &str, width: usize) -> Vec<Line> {
    let blanks = " ".repeat(indent);
    let room = width.saturating_sub(indent + 4).max(1);
    let pieces = textwrap::wrap(command, options(room).break_words(false));
    let last = pieces.len().saturating_sub(1);
    let line = |(index, piece): (usize, std::borrow::Cow<'_, str>)| {
        let more = if index == 0 { "" } else { "  " };
        let end = if index == last { "" } else { " \\" };
        Line::from(format!("{blanks}{more}{piece}{end}"))
    };
    pieces.into_iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;

    fn plain(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::plain).collect()
    }

    #[test]
    fn wrap_keeps_the_width_every_word_and_the_styles() {
        let long = "a".repeat(150);
        let text = format!("one two {long} three 索赔索赔 {}", "four ".repeat(40));
        for width in [20, 80, 100] {
            let lines = wrap("    why: ", &Line::styled(Style::Alarm, text.clone()), width);
            let shown = plain(&lines);
            assert!(
                shown.iter().all(|line| display_width(line) <= width),
                "{shown:#?}"
            );
            let joined: String = shown.join("").split_whitespace().collect();
            let wanted: String = format!("why:{text}").split_whitespace().collect();
            assert_eq!(joined, wanted);
            assert!(lines.iter().all(|line| line.render(true).contains("\x1b[31m")));
        }
    }

    #[test]
    fn wrap_command_is_joined_by_backslashes() {
        let command =
            "slacktide feed rewind setl --recipient insurer-a --from chunk:1.17 --actor NAME --reason TEXT";
        let lines = plain(&wrap_command(2, command, 40));
        assert!(lines.iter().all(|line| line.len() <= 40), "{lines:#?}");
        let (last, others) = lines.split_last().unwrap();
        assert!(others.iter().all(|line| line.ends_with(" \\")) && !last.ends_with('\\'));
        let joined = lines.join("\n").replace("\\\n", "");
        assert_eq!(joined.split_whitespace().collect::<Vec<_>>().join(" "), command);
    }
}

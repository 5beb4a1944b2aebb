//! README.md and README.zh-CN.md have the same content: headings, commands, figures and links.

use std::fs;

use harness::workspace;

/// What both pages must have in common between two headings.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    /// The level of its heading; 0 before the first one.
    level: usize,
    /// Fenced blocks, unchanged.
    blocks: Vec<String>,
    /// Numbers outside of blocks and link targets, sorted.
    figures: Vec<String>,
    /// Code spans, sorted: word order differs between the languages.
    code: Vec<String>,
    /// Link targets, in order.
    links: Vec<String>,
}

/// The links between the two pages.
const PAGES: [&str; 2] = ["README.md", "README.zh-CN.md"];

fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![(Section::default(), String::new())];
    let mut block: Option<String> = None;
    for line in page.lines() {
        if let Some(mut open) = block.take() {
            open.push_str(line);
            if line.starts_with("```") {
                sections.last_mut().unwrap().0.blocks.push(open);
            } else {
                open.push('\n');
                block = Some(open);
            }
        } else if line.starts_with("```") {
            block = Some(format!("{line}\n"));
        } else if line.starts_with('#') {
            let level = line.bytes().take_while(|byte| *byte == b'#').count();
            let section = Section {
                level,
                ..Section::default()
            };
            sections.push((section, String::new()));
        } else {
            let text = &mut sections.last_mut().unwrap().1;
            text.push_str(without_list_number(line));
            // A code span may continue on the next line.
            text.push(' ');
        }
    }
    assert!(block.is_none(), "a fenced block has no end");
    let filled = sections.into_iter().map(|(mut section, text)| {
        let (text, links) = without_link_targets(&text);
        section.links = links;
        section.links.retain(|link| !PAGES.contains(&link.as_str()));
        section.code = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        section.code.sort();
        section.figures = figures(&text);
        section
    });
    filled.collect()
}

/// Returns the line without the number of a list item, which Markdown counts itself.
fn without_list_number(line: &str) -> &str {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(". ") {
        Some(rest) if digits > 0 => rest,
        _ => line,
    }
}

fn without_link_targets(text: &str) -> (String, Vec<String>) {
    let mut pieces = text.split("](");
    let mut rest = pieces.next().unwrap().to_owned();
    let mut links = Vec::new();
    for piece in pieces {
        let (target, after) = piece.split_once(')').expect("a link ends with a parenthesis");
        links.push(target.to_owned());
        rest.push(']');
        rest.push_str(after);
    }
    (rest, links)
}

/// Returns the numbers of a text, sorted, with their inner points and commas.
fn figures(text: &str) -> Vec<String> {
    let pieces = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    let mut figures: Vec<String> = pieces
        .map(|piece| piece.trim_matches(['.', ',']).to_owned())
        .filter(|piece| !piece.is_empty())
        .collect();
    figures.sort();
    figures
}

#[test]
fn readme_in_chinese_equals_the_english_one() {
    let read = |page: &str| sections(&fs::read_to_string(workspace().join(page)).unwrap());
    let (english, chinese) = (read(PAGES[0]), read(PAGES[1]));
    for (number, (english, chinese)) in english.iter().zip(&chinese).enumerate() {
        assert_eq!(chinese, english, "section {number} of {PAGES:?} differs");
    }
    assert_eq!(chinese.len(), english.len(), "the number of headings differs");
    assert!(english.len() > 8 && english.iter().any(|section| section.figures.len() > 10));
}

#[test]
fn readme_comparison_finds_each_difference() {
    let page = "# A\nrun `make x` in 2.5 s, see [b](docs/b.md)\n```\nls\n```\n1. one\n";
    let same = "# 甲\n2.5 秒，`make x`，见[乙](docs/b.md)\n```\nls\n```\n1. 一\n";
    assert_eq!(sections(same), sections(page));
    for (from, to) in [
        ("2.5", "2.6"),
        ("make x", "make y"),
        ("docs/b.md", "docs/c.md"),
        ("\nls", "\nls -l"),
        ("# ", "## "),
    ] {
        assert_ne!(sections(&same.replacen(from, to, 1)), sections(page), "{from}");
    }
}

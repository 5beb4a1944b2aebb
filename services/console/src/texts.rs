//! Every text of the console, in English and Chinese, by key.
//!
//! The files in `texts/en` and `texts/zh` have one text a line: `key = text`, with placeholders `{name}`. A test compares the
//! keys of both languages and refuses one that no source file uses.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// The BCP 47 tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The value of the cookie and the form.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// Reads a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        [Self::En, Self::Zh]
            .into_iter()
            .find(|language| language.code() == code)
    }

    /// Returns the first language of an `Accept-Language` header that there is; English without one. Weights are not
    /// compared: browsers list the preferred one first.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let tags = header.split(',').map(str::trim);
        let known = |tag: &str| {
            let tag = tag.to_ascii_lowercase();
            match tag.get(..2) {
                Some("zh") => Some(Self::Zh),
                Some("en") => Some(Self::En),
                _ => None,
            }
        };
        tags.filter_map(known).next().unwrap_or(Self::En)
    }
}

type Table = HashMap<&'static str, &'static str>;

const EN: [&str; 2] = [
    include_str!("../texts/en/frame.txt"),
    include_str!("../texts/en/records.txt"),
];
const ZH: [&str; 2] = [
    include_str!("../texts/zh/frame.txt"),
    include_str!("../texts/zh/records.txt"),
];

static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| [parse(&EN), parse(&ZH)]);

fn parse(files: &[&'static str]) -> Table {
    lines(files).collect()
}

/// Returns key and text of each line that is neither empty nor a comment.
fn lines(files: &[&'static str]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = files.iter().flat_map(|file| file.lines());
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, text)| (key.trim(), text.trim()))
}

/// The texts of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts(pub Language);

impl Texts {
    /// Returns a text by its key.
    #[must_use]
    pub fn get(self, key: &str) -> &'static str {
        // A test refuses a key without a text in the sources; a key with a part from outside goes through `known`.
        self.known(key).unwrap_or("?")
    }

    /// Returns a text by its key, or `None`: for keys with a part that another program reports, such as a state.
    #[must_use]
    pub fn known(self, key: &str) -> Option<&'static str> {
        let table = match self.0 {
            Language::En => &TABLES[0],
            Language::Zh => &TABLES[1],
        };
        table.get(key).copied()
    }

    /// Returns a text with its placeholders replaced. The result is plain text, to be escaped.
    #[must_use]
    pub fn with(self, key: &str, values: &[(&str, &str)]) -> String {
        let (mut rest, mut text) = (self.get(key), String::new());
        // In one pass: a value that looks like a placeholder is not replaced again.
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                rest = after;
                break;
            };
            let value = values.iter().find(|(known, _)| *known == name);
            text.push_str(value.map_or("?", |(_, value)| value));
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests;

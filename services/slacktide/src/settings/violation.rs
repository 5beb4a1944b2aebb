//! A violated rule of a configuration file, with its line.

use std::fmt;
use std::path::Path;

use runtime::span::Span;

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigViolation {
    /// The index of the `[[feed]]`, from 0, if the key is in one.
    feed: Option<usize>,
    /// The key, from the top of the file or of the feed.
    key: String,
    what: String,
    remedy: String,
}

impl ConfigViolation {
    /// A violation at a key from the top of the file.
    pub(crate) fn new(key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            feed: None,
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A violation at a key of one feed.
    pub(crate) fn in_feed(
        feed: usize,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            feed: Some(feed),
            ..Self::new(key, what, remedy)
        }
    }

    /// Renders the violation with file and line.
    pub(crate) fn with_location(&self, path: &Path, text: &str) -> String {
        let line = self.line(text).map_or(String::new(), |line| format!(":{line}"));
        format!("{}{line}: {self}", path.display())
    }

    fn line(&self, text: &str) -> Option<usize> {
        match self.feed {
            Some(feed) => line_in_feed(text, feed, &self.key),
            None => line_of(text, &self.key),
        }
    }
}

impl fmt::Display for ConfigViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = if self.feed.is_some() { "feed." } else { "" };
        write!(f, "{table}{}: {}; {}", self.key, self.what, self.remedy)
    }
}

/// Whether a duration is from `min_ms` to `max_ms`.
pub(crate) fn is_within(span: Span, min_ms: u64, max_ms: u64) -> bool {
    (Span::from_millis(min_ms)..=Span::from_millis(max_ms)).contains(&span)
}

/// The line of key `a.b.c`, or of the nearest table above it.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    let mut nearest = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = header(line) {
            table = header;
            if key == table || key.starts_with(&format!("{table}.")) {
                nearest = Some(at + 1);
            }
        } else if let Some(name) = assigned(line) {
            let whole = if table.is_empty() {
                name.to_owned()
            } else {
                format!("{table}.{name}")
            };
            if key == whole || key.starts_with(&format!("{whole}.")) {
                return Some(at + 1);
            }
        }
    }
    nearest
}

fn line_in_feed(text: &str, feed: usize, key: &str) -> Option<usize> {
    let starts: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim().starts_with("[[feed]]"))
        .map(|(at, _)| at)
        .collect();
    let start = *starts.get(feed)?;
    let end = starts.get(feed + 1).copied().unwrap_or(usize::MAX);
    let found = text
        .lines()
        .enumerate()
        .skip(start)
        .take_while(|(at, _)| *at < end);
    let line = found
        .into_iter()
        .find(|(_, line)| assigned(line.trim()) == Some(key))
        .map(|(at, _)| at);
    Some(line.unwrap_or(start) + 1)
}

fn header(line: &str) -> Option<String> {
    let inner = line.strip_prefix('[')?.split(']').next()?;
    (!line.contains('=')).then(|| inner.trim_matches(['[', ' ']).to_owned())
}

fn assigned(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    (!line.starts_with('#')).then(|| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "[gate]\nhold = \"1s\"\n\n[[feed]]\nname = \"a\"\n\n[[feed]]\nname = \"b\"\nkey = []\n";

    #[test]
    fn violation_names_the_line_of_its_key_or_table() {
        let render = |violation: ConfigViolation| violation.with_location(Path::new("f.toml"), TEXT);
        assert_eq!(
            render(ConfigViolation::new("gate.hold", "is x", "do y")),
            "f.toml:2: gate.hold: is x; do y"
        );
        assert_eq!(
            render(ConfigViolation::new("gate.own", "is x", "do y")),
            "f.toml:1: gate.own: is x; do y"
        );
        assert_eq!(
            render(ConfigViolation::new("lease.ttl", "is x", "do y")),
            "f.toml: lease.ttl: is x; do y"
        );
        assert_eq!(
            render(ConfigViolation::in_feed(1, "key", "is x", "do y")),
            "f.toml:9: feed.key: is x; do y"
        );
        assert_eq!(
            render(ConfigViolation::in_feed(0, "key", "is x", "do y")),
            "f.toml:4: feed.key: is x; do y"
        );
    }
}

//! A broken rule, and where in the file it stands.

use std::fmt;
use std::path::Path;

use runtime::span::Span;

/// What contradicts the rules of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Which `[[feed]]`, counted from 0, where it is in one.
    feed: Option<usize>,
    /// The key, from the top or from the feed.
    key: String,
    what: String,
    remedy: String,
}

impl Broken {
    /// A rule about a key from the top.
    pub(crate) fn new(key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            feed: None,
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A rule about a key of one feed.
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

    /// The sentence, with file and line where the key stands in the file.
    pub(crate) fn told(&self, path: &Path, text: &str) -> String {
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

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = if self.feed.is_some() { "feed." } else { "" };
        write!(f, "{table}{}: {}; {}", self.key, self.what, self.remedy)
    }
}

/// Whether a time is from `least_ms` to `most_ms`.
pub(crate) fn within(span: Span, least_ms: u64, most_ms: u64) -> bool {
    (Span::from_millis(least_ms)..=Span::from_millis(most_ms)).contains(&span)
}

/// The line of `a.b.c`: of the key, or of the nearest table above it.
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
    fn a_rule_names_the_line_of_its_key_or_of_its_table() {
        let told = |broken: Broken| broken.told(Path::new("f.toml"), TEXT);
        assert_eq!(
            told(Broken::new("gate.hold", "is x", "do y")),
            "f.toml:2: gate.hold: is x; do y"
        );
        assert_eq!(
            told(Broken::new("gate.own", "is x", "do y")),
            "f.toml:1: gate.own: is x; do y"
        );
        assert_eq!(
            told(Broken::new("lease.ttl", "is x", "do y")),
            "f.toml: lease.ttl: is x; do y"
        );
        assert_eq!(
            told(Broken::in_feed(1, "key", "is x", "do y")),
            "f.toml:9: feed.key: is x; do y"
        );
        assert_eq!(
            told(Broken::in_feed(0, "key", "is x", "do y")),
            "f.toml:4: feed.key: is x; do y"
        );
    }
}

//! Configuration errors with their position.

use std::path::{Path, PathBuf};

/// An invalid configuration. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {why}; give the configuration file with --config", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        why: String,
    },
    /// Something in the file.
    #[error("{}:{line}:{column}: {key}: {what}", .path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// The key, from the top; `file` where there is none.
        key: String,
        /// What is wrong, and what may have been meant.
        what: String,
    },
    /// Something in the environment, or in what it made of the file.
    #[error("{what} (overridden by {variables})")]
    Override {
        /// The variables that may have done it.
        variables: String,
        /// What is wrong, and what may have been meant.
        what: String,
    },
    /// A secret that cannot be read.
    #[error("secret from {from}: {why}; {remedy}")]
    Secret {
        /// The file or variable; never the secret.
        from: String,
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl ConfigError {
    pub(super) fn in_text(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self::Place {
            path: path.to_owned(),
            line,
            column,
            key: key_at(text, line),
            what: explained(error),
        }
    }

    pub(super) fn overridden(path: &Path, variables: &[&str], error: &toml::de::Error) -> Self {
        let what = format!("{}: {}", path.display(), explained(error));
        Self::Override {
            variables: variables.join(", "),
            what,
        }
    }
}

/// The key of a line with that of the table above it.
fn key_at(text: &str, line: usize) -> String {
    let mut table = "";
    let mut key = "";
    for text in text.lines().take(line) {
        let text = text.trim();
        let (name, is_table) = match text.strip_prefix('[') {
            Some(rest) if !text.contains('=') => (rest.trim_matches(['[', ']', ' ']), true),
            _ => (text.split_once('=').map_or("", |(name, _)| name.trim()), false),
        };
        if is_table {
            (table, key) = (name, "");
        } else if !name.is_empty() && !name.starts_with('#') {
            key = name;
        }
    }
    match (table, key) {
        ("", "") => "file".to_owned(),
        (table, "") => table.to_owned(),
        ("", key) => key.to_owned(),
        (table, key) => format!("{table}.{key}"),
    }
}

/// The message, with the key that may have been meant where one is near.
fn explained(error: &toml::de::Error) -> String {
    let message = error.message();
    let mut names = message.split('`').skip(1).step_by(2);
    let near = message
        .starts_with("unknown ")
        .then(|| names.next())
        .flatten()
        .and_then(|given| nearest(given, names));
    match near {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message.to_owned(),
    }
}

fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min()
        .map(|(_, name)| name)
}

/// How many characters are missing, too many, other or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(distance("hodl", "hold"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(
            nearest("host_cpus", ["stop_file", "host_cpu"].into_iter()),
            Some("host_cpu")
        );
        assert_eq!(nearest("colour", ["hold", "own"].into_iter()), None);
    }

    #[test]
    fn config_error_key_has_its_full_path() {
        let text = "a = 1\n# b = 2\n[c.d]\n[[e]]\nf = [\n  1,\n]\n";
        assert_eq!(key_at(text, 1), "a");
        assert_eq!(key_at(text, 3), "c.d");
        assert_eq!(key_at(text, 6), "e.f");
        assert_eq!(key_at("", 1), "file");
    }
}

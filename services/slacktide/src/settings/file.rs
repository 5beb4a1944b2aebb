//! Reading a file, and telling its kind by its tables.

use std::path::Path;

use runtime::config::{self, Loaded};
use serde::de::DeserializeOwned;

use super::rule::Broken;
use super::{CommercialFile, PartyFile, SocialFile};
use crate::failure::Failure;

/// A file whose rules can be checked.
pub(crate) trait Checked: DeserializeOwned {
    /// The rules that it breaks; none: it may be used.
    fn broken(&self) -> Vec<Broken>;
}

/// A file of any kind.
pub(crate) enum Kind {
    /// `[social]`.
    Social(Box<Loaded<SocialFile>>),
    /// `[commercial]`.
    Commercial(Box<Loaded<CommercialFile>>),
    /// `[exchange]` alone, perhaps with `[trust]`.
    Party(Box<Loaded<PartyFile>>),
}

/// Reads a file with the overrides of the environment, and checks its rules.
pub(crate) fn load<T: Checked>(path: &Path) -> Result<Loaded<T>, Failure> {
    let loaded: Loaded<T> = config::load_with(path, variables())?;
    let broken = loaded.value.broken();
    if broken.is_empty() {
        return Ok(loaded);
    }
    let text = config::read(path).unwrap_or_default();
    let mut told = broken.iter().map(|broken| broken.told(path, &text));
    let first = told.next().unwrap_or_default();
    Err(Failure::usage(first).with(told.map(|one| format!("error: {one}"))))
}

/// Reads a file of whatever kind its tables say it is.
pub(crate) fn load_any(path: &Path) -> Result<Kind, Failure> {
    let text = config::read(path)?;
    match kind_of(&text) {
        "social" => Ok(Kind::Social(Box::new(load(path)?))),
        "commercial" => Ok(Kind::Commercial(Box::new(load(path)?))),
        "party" => Ok(Kind::Party(Box::new(load(path)?))),
        _ => Err(Failure::usage(format!(
            "{}: none of the tables [social], [commercial] and [exchange] is in it; begin from one of the samples under config/",
            path.display()
        ))),
    }
}

/// Told by the headers, so that a file with a fault elsewhere still gets that fault's own error.
fn kind_of(text: &str) -> &'static str {
    let has = |table: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(&format!("[{table}]")))
    };
    if has("social") {
        "social"
    } else if has("commercial") {
        "commercial"
    } else if has("exchange") {
        "party"
    } else {
        "unknown"
    }
}

/// Overrides are `SLACKTIDE_TABLE__KEY`. Every key of these files is in a table, so a variable
/// without `__` (`SLACKTIDE_LOG`, the server's `SLACKTIDE_LISTEN`) means something else.
fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.contains("__"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_is_told_by_its_tables() {
        assert_eq!(kind_of("[exchange]\n[social]\n"), "social");
        assert_eq!(kind_of("  [commercial] # one\n"), "commercial");
        assert_eq!(kind_of("[exchange]\n"), "party");
        assert_eq!(kind_of("# [exchange]\n"), "unknown");
    }
}

//! Reads a configuration file of any kind, and detects the kind by its tables.

use std::path::Path;

use runtime::config::{self, Loaded};

use super::file::load;
use super::{CommercialFile, GatewayFile, PartyFile, SocialFile};
use crate::failure::Failure;

/// A file of any kind.
pub(crate) enum ConfigFile {
    /// `[social]`.
    Social(Box<Loaded<SocialFile>>),
    /// `[commercial]`.
    Commercial(Box<Loaded<CommercialFile>>),
    /// `[exchange]` alone, perhaps with `[trust]`.
    Party(Box<Loaded<PartyFile>>),
}

/// Reads a gateway's file, or returns `None` if the file is of another kind.
pub(crate) fn load_gateway(path: &Path) -> Result<Option<Loaded<GatewayFile>>, Failure> {
    let text = config::read(path)?;
    (detect_kind(&text) == "gateway").then(|| load(path)).transpose()
}

/// Reads the file of a party of any kind.
pub(crate) fn load_any(path: &Path) -> Result<ConfigFile, Failure> {
    let text = config::read(path)?;
    match detect_kind(&text) {
        "social" => Ok(ConfigFile::Social(Box::new(load(path)?))),
        "commercial" => Ok(ConfigFile::Commercial(Box::new(load(path)?))),
        "party" => Ok(ConfigFile::Party(Box::new(load(path)?))),
        "gateway" => Err(Failure::usage(format!(
            "{}: is a gateway's file, and this command is for a party; check it with `slacktide gateway check`",
            path.display()
        ))),
        _ => Err(Failure::usage(format!(
            "{}: none of the tables [social], [commercial] and [exchange] is in it; begin from one of the samples under config/",
            path.display()
        ))),
    }
}

/// Detects the kind by the table headers, so that a file with an error elsewhere gets the error of its kind.
fn detect_kind(text: &str) -> &'static str {
    let has = |table: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(&format!("[{table}]")))
    };
    if has("social") {
        "social"
    } else if has("commercial") {
        "commercial"
    } else if has("gateway") {
        "gateway"
    } else if has("exchange") {
        "party"
    } else {
        "unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_kind_is_detected_by_its_tables() {
        assert_eq!(detect_kind("[exchange]\n[social]\n"), "social");
        assert_eq!(detect_kind("  [commercial] # one\n"), "commercial");
        assert_eq!(detect_kind("[exchange]\n[gateway]\n"), "gateway");
        assert_eq!(detect_kind("[exchange]\n"), "party");
        assert_eq!(detect_kind("# [exchange]\n"), "unknown");
    }
}

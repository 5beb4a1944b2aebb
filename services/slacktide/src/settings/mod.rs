//! The configuration files, one for each process: what may stand in them, and what is refused.
//!
//! Types refuse unknown keys and malformed names, keys and durations with their place in the
//! file; what types cannot say is checked by rules, each with a place and a remedy of its own.
//! Nothing is opened here but the file and, when asked for, the files of its secrets.
//!
//! - [`file`] reading a file, and telling its kind by its tables
//! - [`rule`] what a broken rule looks like, and its line in the file
//! - [`exchange`], [`key`], [`sealing`], [`database`] tables that several kinds share
//! - [`social`] with [`feed`] and [`priority`]; [`commercial`]; [`party`] the administrator's and the auditor's

pub(crate) mod commercial;
pub(crate) mod database;
pub(crate) mod exchange;
pub(crate) mod feed;
pub(crate) mod file;
pub(crate) mod key;
pub(crate) mod party;
pub(crate) mod priority;
pub(crate) mod rule;
pub(crate) mod sealing;
pub(crate) mod social;

pub(crate) use commercial::CommercialFile;
pub(crate) use file::{Kind, load, load_any};
pub(crate) use party::PartyFile;
pub(crate) use social::SocialFile;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_shipped_sample_is_read_and_breaks_no_rule() -> Result<(), Box<dyn std::error::Error>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let mut kinds = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                kinds.push(match load_any(&path)? {
                    Kind::Social(_) => "social",
                    Kind::Commercial(_) => "commercial",
                    Kind::Party(_) => "party",
                });
            }
        }
        kinds.sort_unstable();
        assert_eq!(kinds, ["commercial", "party", "party", "social"]);
        Ok(())
    }
}

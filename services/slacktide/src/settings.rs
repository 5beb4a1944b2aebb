//! The configuration files, one for each process, and their validation.
//!
//! Types refuse unknown keys and malformed names, keys and durations with their line. Rules check the rest;
//! each violation has a key and a remedy. Only the file and, on request, the files of its secrets are opened.
//!
//! - [`mod@file`] reads a file of a known kind; [`any`] detects the kind of a file by its tables
//! - [`violation`] a violated rule, with its line in the file
//! - [`sample_keys`] keys of the shipped samples, which are refused
//! - [`exchange`], [`key`], [`encryption`], [`database`], [`status`] tables that several kinds share
//! - [`store_address`] a store that a command names
//! - [`social`] with [`feed`], [`priority`], [`blocklist`], [`masks`], [`masking`], [`reconcile`] and [`requests`]; [`commercial`] with [`store`]; [`party`] the administrator's and the auditor's;
//!   [`gateway`] the gateway's

mod any;
pub(crate) mod blocklist;
pub(crate) mod commercial;
pub(crate) mod database;
pub(crate) mod encryption;
pub(crate) mod exchange;
pub(crate) mod feed;
pub(crate) mod file;
#[cfg(test)]
mod fuzz;
pub(crate) mod gateway;
pub(crate) mod key;
pub(crate) mod masking;
pub(crate) mod masks;
pub(crate) mod party;
pub(crate) mod priority;
mod reconcile;
pub(crate) mod requests;
pub(crate) mod sample_keys;
pub(crate) mod social;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod store_address;
mod telemetry;
pub(crate) mod violation;

pub(crate) use any::{ConfigFile, load_any, load_gateway};
pub(crate) use commercial::CommercialFile;
pub(crate) use file::load;
pub(crate) use gateway::GatewayFile;
pub(crate) use party::PartyFile;
pub(crate) use social::SocialFile;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn samples(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                samples(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.push(path);
            }
        }
        Ok(())
    }

    fn config() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
    }

    #[test]
    fn samples_are_read_and_violate_no_rule() -> Outcome {
        let mut paths = Vec::new();
        samples(&config(), &mut paths)?;
        let is_part = |folder: &Path| folder.ends_with("feeds") || folder.ends_with("kinds");
        paths.retain(|path| !path.parent().is_some_and(is_part));
        let (mut social, mut commercial, mut party) = (0, 0, 0);
        let mut gateways = 0;
        for path in &paths {
            if load_gateway(path)?.is_some() {
                gateways += 1;
                continue;
            }
            match load_any(path)? {
                ConfigFile::Social(_) => social += 1,
                ConfigFile::Commercial(_) => commercial += 1,
                ConfigFile::Party(_) => party += 1,
            }
        }
        // The reference, one machine, two networks, two insurers, a cluster.
        assert_eq!((social, commercial), (5, 6), "{paths:?}");
        assert!(party >= 7, "{paths:?}");
        assert_eq!(gateways, 3, "{paths:?}");
        Ok(())
    }

    /// A comment that is a table or a key is valid configuration once its `# ` is removed.
    #[test]
    fn samples_commented_out_keys_are_valid() -> Outcome {
        let folder = tempfile::tempdir()?;
        let uncommented = |name: &str| -> std::io::Result<PathBuf> {
            let text = std::fs::read_to_string(config().join(name))?;
            let line = |line: &str| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') => format!("{rest}\n"),
                Some(rest)
                    if rest
                        .split_once(" = ")
                        .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) =>
                {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            };
            let path = folder.path().join(name);
            std::fs::write(&path, text.lines().map(line).collect::<String>())?;
            Ok(path)
        };
        let social = load::<SocialFile>(&uncommented("social.toml")?)?.value;
        assert!(social.requests.quota.len() == 1 && social.blocklist.is_some());
        assert!(!social.trust.officers.is_empty() && social.gate.signals.stop_file.is_some());
        let commercial = load::<CommercialFile>(&uncommented("commercial.toml")?)?.value;
        assert!(commercial.requests.interval.is_some());
        let gateway = load::<GatewayFile>(&uncommented("gateway.toml")?)?.value;
        assert!(!gateway.identities().is_empty() && gateway.exchange.tls.is_some());
        Ok(())
    }

    /// A user appends feeds and kinds to the file of the agent.
    #[test]
    fn samples_feeds_and_kinds_can_be_appended() -> Outcome {
        let (mut paths, mut kinds) = (Vec::new(), Vec::new());
        samples(&config().join("feeds"), &mut paths)?;
        samples(&config().join("kinds"), &mut kinds)?;
        assert_eq!((paths.len(), kinds.len()), (16, 2), "{paths:?} {kinds:?}");
        let sample = std::fs::read_to_string(config().join("social.toml"))?;
        let (head, _) = sample.split_once("[[feed]]").ok_or("the sample has a feed")?;
        let mut text = head.to_owned();
        for path in paths.iter().chain(&kinds) {
            text.push_str(&std::fs::read_to_string(path)?);
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("social.toml");
        std::fs::write(&path, text)?;
        let loaded = load::<SocialFile>(&path)?;
        assert_eq!(loaded.value.feeds.len(), paths.len());
        assert_eq!(loaded.value.kinds.len(), kinds.len());
        for (feed, path) in loaded.value.feeds.iter().zip(&paths) {
            let name = feed.definition().name.to_string();
            assert!(
                path.file_stem()
                    .is_some_and(|stem| stem.to_string_lossy() == name),
                "{path:?} holds {name}"
            );
        }
        Ok(())
    }
}

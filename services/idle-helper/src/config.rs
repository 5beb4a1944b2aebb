//! The helper's configuration: one TOML file, which only root can change. The environment overrides nothing in it.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Group, User};
use serde::{Deserialize, Serialize};

use crate::HelperError;
use crate::trust::{TrustError, check_trusted};

/// Why the configuration cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}; name the configuration file with --config", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
    },
    /// Another user can change the file.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// The file is not a valid configuration.
    #[error("{path}:{line}:{column}: {what}; docs/idle-helper.md lists the keys", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

/// Reads a configuration file that only root and this process's user can change: it decides which processes may be
/// moved.
///
/// # Errors
/// If others can change the file or a folder of its path, or it is not valid.
pub fn load(path: &Path) -> Result<HelperConfig, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    };
    std::fs::symlink_metadata(path).map_err(unreadable)?;
    check_trusted(path)?;
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(path, &text)
}

/// PURE. Parses a configuration; the path is for messages.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(path: &Path, text: &str) -> Result<HelperConfig, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        ConfigError::Invalid {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
            what: error.message().to_owned(),
        }
    })
}

/// The configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperConfig {
    /// The only table.
    pub idle_helper: HelperTable,
}

/// The `[idle_helper]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperTable {
    /// The socket's path; mode 0660.
    #[serde(default = "socket")]
    pub socket: PathBuf,
    /// The group that may write to the socket; by default only the helper's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Account>,
    /// The users whose processes may send requests; compared with the kernel's peer credentials.
    pub allow: Vec<Account>,
    /// The user that PostgreSQL runs as.
    #[serde(default = "owner")]
    pub owner: Account,
    /// PostgreSQL's programs; by default any program of that user named `postgres`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executables: Vec<PathBuf>,
    /// The control group, relative to the root of the hierarchy.
    #[serde(default = "cgroup")]
    pub cgroup: String,
}

fn socket() -> PathBuf {
    "/run/slacktide/idle.sock".into()
}

fn owner() -> Account {
    Account::Name("postgres".to_owned())
}

fn cgroup() -> String {
    "/slacktide-idle".to_owned()
}

/// A user or a group, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Account {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl Account {
    pub(crate) fn user(&self) -> Result<u32, HelperError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => match User::from_name(name) {
                Ok(Some(user)) => Ok(user.uid.as_raw()),
                _ => Err(HelperError::Unknown {
                    what: "user",
                    name: name.clone(),
                }),
            },
        }
    }

    pub(crate) fn group(&self) -> Result<u32, HelperError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => match Group::from_name(name) {
                Ok(Some(group)) => Ok(group.gid.as_raw()),
                _ => Err(HelperError::Unknown {
                    what: "group",
                    name: name.clone(),
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const SAMPLE: &str = include_str!("../../../deploy/idle-helper.toml");

    fn read(text: &str) -> Result<HelperConfig, ConfigError> {
        parse(Path::new("helper.toml"), text)
    }

    #[test]
    fn config_sample_is_valid() {
        let config = read(SAMPLE).expect("the sample is good");
        let table = config.idle_helper;
        assert_eq!((table.socket, table.cgroup), (socket(), cgroup()));
        assert_eq!(table.allow, [Account::Name("slacktide".to_owned())]);
    }

    #[test]
    fn config_unknown_keys_and_users_are_refused() {
        let unknown = read("[idle_helper]\nallow = [1]\nallowed = 2\n").expect_err("an unknown key");
        let text = unknown.to_string();
        assert!(text.starts_with("helper.toml:3:1: "), "{text}");
        assert!(text.contains("`allowed`"), "{text}");
        assert!(read("[idle_helper]\n").is_err());
        let both = read("[idle_helper]\nallow = [1000, \"root\"]\n").expect("read");
        let users: Vec<_> = both.idle_helper.allow.iter().map(|one| one.user().ok()).collect();
        assert_eq!(users, [Some(1000), Some(0)]);
        let unknown = Account::Name("no such user".to_owned());
        assert!(
            unknown
                .user()
                .is_err_and(|error| error.to_string().contains("no such user"))
        );
    }

    #[test]
    fn config_file_writable_by_others_is_refused() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("helper.toml");
        std::fs::write(&file, "[idle_helper]\nallow = [1]\n")?;
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&file, 0o644)?;
        assert!(load(&file).is_ok());
        for open in [0o664, 0o646] {
            mode(&file, open)?;
            assert!(load(&file).is_err_and(|no| no.to_string().contains("chmod")));
        }
        mode(&file, 0o644)?;
        mode(folder.path(), 0o777)?;
        assert!(matches!(load(&file), Err(ConfigError::Untrusted(_))));
        let missing = load(&folder.path().join("none.toml"));
        assert!(missing.is_err_and(|no| no.to_string().contains("none.toml")));
        Ok(())
    }

    /// Dropping a tree as deep as its text is long would overflow the stack.
    #[test]
    fn config_deep_nesting_is_refused() {
        let many = 30_000;
        for text in [
            format!("a = {}", "[".repeat(many)),
            format!("a = {}", "{ a = ".repeat(many)),
            format!("a{} = 1", ".a".repeat(many)),
            format!("[a{}]", ".a".repeat(many)),
            format!("[[a{}]]", ".a".repeat(many)),
        ] {
            assert!(read(&text).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

        #[test]
        fn config_any_text_is_read_or_refused(text in prop_oneof!["\\PC{0,200}", "[a-z_.\\[\\]=\"'#{}\\n0-9-]{0,200}"]) {
            let _ = read(&text).map_err(|error| error.to_string());
        }

        #[test]
        fn config_changed_sample_is_read_or_refused(
            changes in vec((any::<Index>(), 0_usize..4, 0_usize..30, "\\PC{0,6}"), 1..6),
        ) {
            let mut text: Vec<char> = SAMPLE.chars().collect();
            for (position, change, length, new) in &changes {
                let start = position.index(text.len() + 1);
                let end = (start + length).min(text.len());
                match change {
                    0 => drop(text.splice(start..start, new.chars())),
                    1 => drop(text.splice(start..end, new.chars())),
                    2 => drop(text.drain(start..end)),
                    _ => text.truncate(start.max(1)),
                }
            }
            let _ = read(&String::from_iter(text)).map_err(|error| error.to_string());
        }
    }
}

//! The helper's configuration.

use std::path::PathBuf;

use nix::unistd::{Group, User};
use serde::{Deserialize, Serialize};

use super::HelperError;

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
    pub(super) fn user(&self) -> Result<u32, HelperError> {
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

    pub(super) fn group(&self) -> Result<u32, HelperError> {
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
    use super::*;

    #[test]
    fn config_sample_is_valid() {
        let sample = include_str!("../../../../deploy/idle-helper.toml");
        let config: HelperConfig = toml::from_str(sample).expect("the sample is good");
        let table = config.idle_helper;
        assert_eq!((table.socket, table.cgroup), (socket(), cgroup()));
        assert_eq!(table.allow, [Account::Name("slacktide".to_owned())]);
    }

    #[test]
    fn config_unknown_keys_and_users_are_refused() {
        assert!(toml::from_str::<HelperConfig>("[idle_helper]\nallow = [1]\nallowed = 2\n").is_err());
        assert!(toml::from_str::<HelperConfig>("[idle_helper]\n").is_err());
        let both: HelperConfig = toml::from_str("[idle_helper]\nallow = [1000, \"root\"]\n").expect("read");
        let users: Vec<_> = both.idle_helper.allow.iter().map(|one| one.user().ok()).collect();
        assert_eq!(users, [Some(1000), Some(0)]);
        let unknown = Account::Name("no such user".to_owned());
        assert!(
            unknown
                .user()
                .is_err_and(|error| error.to_string().contains("no such user"))
        );
    }
}

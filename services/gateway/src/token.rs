//! Bearer tokens, known only by their SHA-256 digests.
//!
//! A token is 256 random bits, shown once. Its file has the digest, the party, the role and the expiry, so a stolen copy of the
//! file authenticates no one. The file is read again when it changes: a revoked token is refused from the next request on.
//!
//! - [`file`](mod@file) reads and replaces the file

pub mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use schemas::name::PartyName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::party::{ConsoleRole, Role};
use file::Stamp;

/// What every token begins with, so that scanners for leaked secrets find it.
pub const PREFIX: &str = "stg_";

/// One token, as in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Names the token in logs; not secret.
    pub id: String,
    /// The party that it authenticates.
    pub party: PartyName,
    /// The role in which the party is served; a party of another role is not authenticated.
    pub role: Role,
    /// The SHA-256 digest of the token, in lowercase hex.
    pub sha256: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it allows in the console. Such a token opens the console and not the interface, so that a person who may see states
    /// does not get rows with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleRole>,
}

/// An unusable file of tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error(
        "cannot read the tokens of {path}: {cause}; run `slacktide gateway token new` or correct the path"
    )]
    Read {
        /// The file.
        path: String,
        /// The cause.
        cause: std::io::Error,
    },
    /// It cannot be replaced.
    #[error(
        "cannot replace the tokens of {path}: {cause}; give its folder to the account that runs the command"
    )]
    Write {
        /// The file.
        path: String,
        /// The cause.
        cause: std::io::Error,
    },
    /// It is not a file of tokens.
    #[error(
        "{path} is not a file of tokens: {cause}; restore it, or remove it and run `slacktide gateway token new`"
    )]
    Format {
        /// The file.
        path: String,
        /// The cause.
        cause: serde_json::Error,
    },
    /// Others can read or write it.
    #[error("{path} has mode {mode:o}, so other accounts can read or write it; run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A token to revoke does not exist.
    #[error("{path} has no token {id:?}; `slacktide gateway token list` shows the ids")]
    NoSuch {
        /// The file.
        path: String,
        /// The given id.
        id: String,
    },
}

/// The tokens of all parties.
#[derive(Debug, Default)]
pub struct TokenRegistry {
    source: Option<Source>,
    tokens: RwLock<Snapshot>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// The roles in which parties are served; `None` does not compare them.
    roles: Option<BTreeMap<PartyName, Role>>,
}

/// The tokens as they were at a stamp of the file.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    stamp: Option<Stamp>,
    tokens: Arc<[TokenEntry]>,
}

impl TokenRegistry {
    /// Reads a file of tokens, and reads it again whenever it changes. A file that becomes unusable authenticates no one.
    ///
    /// # Errors
    /// [`TokenError`] when the file cannot be read now, is malformed, or is readable by others.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let (stamp, tokens) = file::read(path)?;
        Ok(Self {
            source: Some(Source {
                path: path.to_owned(),
                roles: None,
            }),
            tokens: RwLock::new(Snapshot {
                stamp: Some(stamp),
                tokens: tokens.into(),
            }),
        })
    }

    /// Binds the tokens to the roles in which parties are served: a token of another role authenticates no one.
    #[must_use]
    pub fn for_roles(mut self, roles: BTreeMap<PartyName, Role>) -> Self {
        if let Some(source) = &mut self.source {
            source.roles = Some(roles);
        }
        self
    }

    /// Returns a registry of these tokens, without a file.
    #[must_use]
    pub fn new(tokens: Vec<TokenEntry>) -> Self {
        Self {
            source: None,
            tokens: RwLock::new(Snapshot {
                stamp: None,
                tokens: tokens.into(),
            }),
        }
    }

    /// Returns the party of a token and the token's id, or `None` if the token is unknown, revoked, expired, or of the console.
    #[must_use]
    pub fn authenticate(&self, bearer: &str, now: Timestamp) -> Option<(PartyName, String)> {
        let found = self.find(bearer, now)?;
        found.console.is_none().then_some((found.party, found.id))
    }

    /// Returns the entry of a token, or `None` if the token is unknown, revoked or expired.
    #[must_use]
    pub fn find(&self, bearer: &str, now: Timestamp) -> Option<TokenEntry> {
        let digest = digest_of(bearer);
        let tokens = self.current();
        // Every entry is compared, each in constant time.
        let found = tokens.iter().fold(None, |found, entry| {
            if is_equal(entry.sha256.as_bytes(), digest.as_bytes()) {
                Some(entry)
            } else {
                found
            }
        })?;
        self.is_valid(found, now).then(|| found.clone())
    }

    /// Returns the entry of an id, or `None` if there is none, or it is expired.
    #[must_use]
    pub fn entry(&self, id: &str, now: Timestamp) -> Option<TokenEntry> {
        let tokens = self.current();
        let found = tokens.iter().find(|entry| entry.id == id)?;
        self.is_valid(found, now).then(|| found.clone())
    }

    /// Whether an entry is of a party that is served in its role, and not expired.
    fn is_valid(&self, entry: &TokenEntry, now: Timestamp) -> bool {
        let roles = self.source.as_ref().and_then(|source| source.roles.as_ref());
        let is_bound = roles.is_none_or(|roles| roles.get(&entry.party) == Some(&entry.role));
        is_bound && now < entry.expires_at
    }

    /// Returns the tokens of the file as it is now.
    fn current(&self) -> Arc<[TokenEntry]> {
        let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(source) = &self.source else {
            return known.tokens;
        };
        let stamp = Stamp::of(&source.path).ok();
        if stamp == known.stamp {
            return known.tokens;
        }
        let snapshot = match file::read(&source.path) {
            Ok((stamp, tokens)) => {
                tracing::info!(tokens = tokens.len(), "tokens read again");
                Snapshot {
                    stamp: Some(stamp),
                    tokens: tokens.into(),
                }
            }
            Err(error) => {
                tracing::error!(%error, "tokens are unusable, none is accepted");
                Snapshot {
                    stamp,
                    tokens: Arc::default(),
                }
            }
        };
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = snapshot.clone();
        snapshot.tokens
    }
}

/// Returns the digest of a token, as the file has it.
#[must_use]
pub fn digest_of(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Compares two texts of equal length in a time that does not depend on their content.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0_u8, |difference, (a, b)| {
        std::hint::black_box(difference | (a ^ b))
    });
    one.len() == other.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::file::{NewToken, add, revoke};

    fn new_token(party: &str, role: Role) -> NewToken {
        NewToken {
            party: PartyName::new(party).unwrap(),
            role,
            expires_at: Timestamp::from_second(2_000).unwrap(),
            note: "for a test".to_owned(),
            console: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn token_authenticates_until_it_expires_or_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let (a, token_a) = add(&path, new_token("insurer-a", Role::Recipient), at(1_000)).unwrap();
        let registry = TokenRegistry::read(&path).unwrap();
        let party = |token: &str, second| registry.authenticate(token, at(second)).map(|(party, _)| party);
        assert_eq!(party(&token_a, 1_999), Some(a.party.clone()));
        assert_eq!(party(&token_a, 2_000), None, "expired");
        for other in ["", "stg_", &token_a[..token_a.len() - 1], &a.sha256] {
            assert_eq!(party(other, 1_000), None, "{other}");
        }
        // A running gateway sees what the commands change.
        let (b, token_b) = add(&path, new_token("insurer-b", Role::Recipient), at(1_000)).unwrap();
        assert_eq!(party(&token_b, 1_000), Some(b.party));
        revoke(&path, &a.id).unwrap();
        assert_eq!(party(&token_a, 1_000), None, "revoked");
        assert!(party(&token_b, 1_000).is_some());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(party(&token_b, 1_000), None, "the file is gone");
    }

    #[test]
    fn token_of_another_role_authenticates_no_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let (entry, token) = add(&path, new_token("insurer-a", Role::Bureau), at(1_000)).unwrap();
        let of_role = |role| {
            let registry = TokenRegistry::read(&path).unwrap();
            registry.for_roles(BTreeMap::from([(entry.party.clone(), role)]))
        };
        assert!(of_role(Role::Bureau).authenticate(&token, at(1_000)).is_some());
        assert_eq!(of_role(Role::Recipient).authenticate(&token, at(1_000)), None);
    }

    #[test]
    fn token_of_the_console_does_not_open_the_interface() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let mut new = new_token("insurer-a", Role::Recipient);
        new.console = Some(ConsoleRole::Viewer);
        let (entry, token) = add(&path, new, at(1_000)).unwrap();
        let registry = TokenRegistry::read(&path).unwrap();
        assert_eq!(registry.authenticate(&token, at(1_000)), None);
        assert_eq!(registry.find(&token, at(1_000)), Some(entry.clone()));
        assert_eq!(registry.entry(&entry.id, at(1_999)), Some(entry.clone()));
        assert_eq!(registry.entry(&entry.id, at(2_000)), None, "expired");
        revoke(&path, &entry.id).unwrap();
        assert_eq!(registry.entry(&entry.id, at(1_000)), None, "revoked");
    }

    #[test]
    fn token_comparison_reads_all_bytes() {
        assert!(is_equal(b"abc", b"abc"));
        for other in ["abz", "bbc", "ab", "abcd", ""] {
            assert!(!is_equal(b"abc", other.as_bytes()), "{other}");
        }
    }
}

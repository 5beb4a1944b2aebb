//! The location of a secret, and its text after reading.
//!
//! The text is wiped by the `zeroize` crate. The `secrecy` crate is not used: its `SecretString` first cuts a text to its
//! length, which may leave the text in memory that is not wiped.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::ConfigError;

/// Where a secret is: `{ file = "agent.nk" }` or `{ env = "AGENT_KEY" }`. There is no way to
/// write the secret itself, so a configuration can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// In a file that only its owner (and perhaps group) can read.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

/// Refuses a secret in place of its location; the error does not contain it.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            file: Option<PathBuf>,
            env: Option<String>,
        }

        impl<'de> Visitor<'de> for Place {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("where the secret is: { file = … } or { env = … }")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Secret, E> {
                Err(E::custom(format!(
                    "is a text; give {}",
                    &self as &dyn de::Expected
                )))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table {
                        file: Some(path),
                        env: None,
                    } => Ok(Secret::File(path)),
                    Table {
                        file: None,
                        env: Some(name),
                    } => Ok(Secret::Env(name)),
                    _ => Err(de::Error::custom("give one of file and env")),
                }
            }
        }

        deserializer.deserialize_any(Place)
    }
}

/// A secret's text. `Debug` does not show it, it cannot be serialised, and its memory is wiped when
/// it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// A secret that was made here.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text: for the call that needs it, never for a log line or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Secret {
    /// Reads it, without the line end behind it; `folder` is where relative paths are meant from.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or is in a file that everyone on the host can read.
    pub fn read(&self, folder: &Path) -> Result<SecretText, ConfigError> {
        let wrong = |why: String, remedy| ConfigError::Secret {
            from: self.to_string(),
            why,
            remedy,
        };
        let text = Zeroizing::new(match self {
            Self::File(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| wrong(error.to_string(), "check the path and who may read it"))?;
                let mode = mode(&path).map_err(|error| wrong(error.to_string(), "check the path"))?;
                if mode & 0o007 != 0 {
                    let why = format!(
                        "everyone on this host can use the file (mode {:03o})",
                        mode & 0o777
                    );
                    return Err(wrong(
                        why,
                        "chmod 600 it, and change the secret if others may have seen it",
                    ));
                }
                if mode & 0o070 != 0 {
                    tracing::warn!(file = %path.display(), "secret file is open to its group");
                }
                text
            }
            Self::Env(name) => {
                std::env::var(name).map_err(|error| wrong(error.to_string(), "set the variable"))?
            }
        });
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(wrong("it is empty".to_owned(), "put the secret there"));
        }
        Ok(SecretText::new(text.to_owned()))
    }
}

/// Shows the location, not the secret.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "variable {name}"),
        }
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode())
}

#[cfg(not(unix))]
fn mode(path: &Path) -> std::io::Result<u32> {
    std::fs::metadata(path).map(|_| 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secret_file_is_relative_and_must_not_be_world_readable() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("key");
        std::fs::write(&path, "hush\n")?;
        let secret = Secret::File("key".into());
        for (mode, is_read) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            let read = secret.read(folder.path());
            assert_eq!(read.is_ok(), is_read, "{mode:o}");
            assert!(!format!("{read:?}").contains("hush"));
            if let Ok(text) = read {
                assert_eq!(text.expose(), "hush");
            }
        }
        Ok(())
    }

    #[test]
    fn secret_empty_or_missing_error_names_its_location() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("key");
        std::fs::write(&path, "\n")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let empty = Secret::File("key".into()).read(folder.path());
        assert!(empty.is_err_and(|error| error.to_string().contains("file key: it is empty")));
        let absent = Secret::Env("SLACKTIDE_TEST_NOT_SET".to_owned()).read(folder.path());
        assert!(absent.is_err_and(|error| error.to_string().contains("SLACKTIDE_TEST_NOT_SET")));
        Ok(())
    }

    #[test]
    fn is_written_as_where_it_is() {
        #[derive(Deserialize)]
        struct Holder {
            key: Secret,
        }
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.key).ok();
        assert_eq!(read("key = { file = \"a\" }"), Some(Secret::File("a".into())));
        assert_eq!(read("key = { env = \"A\" }"), Some(Secret::Env("A".to_owned())));
        assert_eq!(read("key = \"the secret itself\""), None);
        assert_eq!(read("key = { file = \"a\", env = \"A\" }"), None);
        let error = toml::from_str::<Holder>("key = \"hush\"").map(|holder| holder.key);
        let error = error.expect_err("a secret in its place").message().to_owned();
        assert!(
            !error.contains("hush") && error.contains("{ file = … }"),
            "{error}"
        );
    }
}

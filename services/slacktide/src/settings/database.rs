//! The location of a database.

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::config::{Secret, SecretText};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use servers::Url;

use super::violation::ConfigViolation;
use crate::failure::Failure;

/// The database system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabaseKind {
    /// PostgreSQL, by `url`.
    Postgres,
    /// SQLite, by `path`.
    Sqlite,
}

/// The place of a URL: `{ file = … }`, `{ env = … }`, or `{ value = … }` without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabaseUrl {
    /// A file that only its owner can read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The URL itself.
    Value(String),
}

/// Refuses a URL in place of the table without repeating it: it may hold a password.
impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlaceVisitor;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            file: Option<PathBuf>,
            env: Option<String>,
            value: Option<String>,
        }

        impl<'de> Visitor<'de> for PlaceVisitor {
            type Value = DatabaseUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "where the URL is: { file = … }, { env = … }, or { value = … } without a password",
                )
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<DatabaseUrl, E> {
                Err(E::custom(format!(
                    "is a string; give {}",
                    &self as &dyn de::Expected
                )))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DatabaseUrl, A::Error> {
                match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table {
                        file: Some(path),
                        env: None,
                        value: None,
                    } => Ok(DatabaseUrl::File(path)),
                    Table {
                        file: None,
                        env: Some(name),
                        value: None,
                    } => Ok(DatabaseUrl::Env(name)),
                    Table {
                        file: None,
                        env: None,
                        value: Some(text),
                    } => Ok(DatabaseUrl::Value(text)),
                    _ => Err(de::Error::custom("give one of file, env and value")),
                }
            }
        }

        deserializer.deserialize_any(PlaceVisitor)
    }
}

impl DatabaseUrl {
    /// Returns the URL. Relative files, also those that the URL names, are relative to `folder`.
    ///
    /// # Errors
    /// If it cannot be read or used. No part of it is in the error.
    pub(crate) fn read(&self, folder: &Path) -> Result<SecretText, Failure> {
        let (from, text) = match self {
            Self::File(path) => read_secret(&Secret::File(path.clone()), folder)?,
            Self::Env(name) => read_secret(&Secret::Env(name.clone()), folder)?,
            Self::Value(text) => ("url".to_owned(), SecretText::new(text.clone())),
        };
        let anchored = Url::anchored(text.expose(), folder);
        let anchored =
            anchored.map_err(|error| Failure::usage(format!("{from}: {error}; {}", error.remedy())))?;
        Ok(SecretText::new(anchored))
    }

    fn holds_password(&self) -> bool {
        matches!(self, Self::Value(text) if runtime::config::show::without_password(text) != *text)
    }
}

fn read_secret(secret: &Secret, folder: &Path) -> Result<(String, SecretText), Failure> {
    Ok((secret.to_string(), secret.read(folder)?))
}

/// Returns the violated rules about `url` and `path`.
pub(crate) fn violations(
    table: &str,
    kind: DatabaseKind,
    url: Option<&DatabaseUrl>,
    path: Option<&Path>,
) -> Vec<ConfigViolation> {
    let mut violations = Vec::new();
    let mut report = |key: &str, what: &str, remedy: &str| {
        violations.push(ConfigViolation::new(&format!("{table}.{key}"), what, remedy))
    };
    match kind {
        DatabaseKind::Postgres => {
            if url.is_none() {
                report(
                    "url",
                    "is missing",
                    "give the URL of PostgreSQL: url = { env = \"DATABASE_URL\" }, or { file = … }",
                );
            }
            if path.is_some() {
                report(
                    "path",
                    "is for SQLite, and kind is \"postgres\"",
                    "remove it, or set kind = \"sqlite\"",
                );
            }
        }
        DatabaseKind::Sqlite => {
            if path.is_none() {
                report("path", "is missing", "give the file: path = \"core.db\"");
            }
            if url.is_some() {
                report(
                    "url",
                    "is for PostgreSQL, and kind is \"sqlite\"",
                    "remove it, or set kind = \"postgres\"",
                );
            }
        }
    }
    if let Some(DatabaseUrl::Value(text)) = url
        && let Err(error) = Url::parse(text)
    {
        report("url", &error.to_string(), error.remedy());
    }
    if url.is_some_and(DatabaseUrl::holds_password) {
        report(
            "url",
            "holds a password in clear text",
            "put it into a file of mode 0600 or into a variable: { file = … } or { env = … }",
        );
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str) -> Result<SecretText, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.url");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        DatabaseUrl::File("core.url".into()).read(folder.path())
    }

    #[test]
    fn url_file_invalid_is_named_and_not_shown() {
        for (text, expected) in [
            (
                "postgres://u:hush@db/core\npostgres://u:hush@other/core\n",
                "more than one line",
            ),
            ("# the core\npostgres://u:hush@db/core\n", "more than one line"),
            (
                "postgres://u:hush@db/core?hush=1\n",
                "parameter 1 of the URL is not known",
            ),
            (
                "postgres://u:hush@db/core?sslmode=hush\n",
                "sslmode takes disable",
            ),
            ("hush\n", "cannot be read"),
        ] {
            let error = read(text).expect_err(expected).to_string();
            assert!(
                error.contains("file core.url") && error.contains(expected),
                "{error}"
            );
            assert!(!error.contains("hush") && !error.contains("other"), "{error}");
        }
        let good = read("postgres://u:hush@db/core?sslrootcert=ca.pem\n").unwrap();
        assert!(good.expose().ends_with("/ca.pem") && good.expose().contains("sslrootcert=/"));
    }

    #[test]
    fn url_instead_of_a_table_is_not_repeated() {
        #[derive(Deserialize)]
        struct Holder {
            url: DatabaseUrl,
        }
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.url);
        for text in ["url = \"postgres://u:hush@db/core\"", "url = [\"hush\"]"] {
            let error = read(text).expect_err(text);
            assert!(!error.message().contains("hush"), "{}", error.message());
            assert!(error.message().contains("{ file = … }"), "{}", error.message());
        }
        let file = read("url = { file = \"core.url\" }").unwrap();
        assert_eq!(file, DatabaseUrl::File("core.url".into()));
        let env = read("url = { env = \"CORE_URL\" }").unwrap();
        assert_eq!(env, DatabaseUrl::Env("CORE_URL".to_owned()));
        for text in [
            "url = {}",
            "url = { file = \"a\", env = \"A\" }",
            "url = { path = \"a\" }",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn url_as_a_value_is_checked_with_the_file() {
        let url = DatabaseUrl::Value("postgres://u@db/core?hush=1".to_owned());
        let found = violations("source", DatabaseKind::Postgres, Some(&url), None);
        let text = format!("{found:?}");
        assert!(
            text.contains("parameter 1 of the URL") && !text.contains("hush"),
            "{text}"
        );
    }
}

//! Where a database is.

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::config::{Secret, SecretText};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use servers::Url;

use super::rule::Broken;
use crate::failure::Failure;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabaseKind {
    /// PostgreSQL, by `url`.
    Postgres,
    /// SQLite, by `path`.
    Sqlite,
}

/// Where a URL stands: `{ file = … }`, `{ env = … }`, or `{ value = … }` where it holds no
/// password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabaseUrl {
    /// In a file that only its owner reads.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
    /// Here.
    Value(String),
}

/// A URL that stands where its place belongs is refused without being repeated: it holds a password.
impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            file: Option<PathBuf>,
            env: Option<String>,
            value: Option<String>,
        }

        impl<'de> Visitor<'de> for Place {
            type Value = DatabaseUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "where the URL is: { file = … }, { env = … }, or { value = … } without a password",
                )
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<DatabaseUrl, E> {
                Err(E::custom(format!(
                    "is a text; give {}",
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

        deserializer.deserialize_any(Place)
    }
}

impl DatabaseUrl {
    /// The URL. Relative files are meant from `folder`, also those that it names itself.
    ///
    /// # Errors
    /// Where it cannot be read or used. No part of it is in the error.
    pub(crate) fn read(&self, folder: &Path) -> Result<SecretText, Failure> {
        let (from, text) = match self {
            Self::File(path) => of_secret(&Secret::File(path.clone()), folder)?,
            Self::Env(name) => of_secret(&Secret::Env(name.clone()), folder)?,
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

fn of_secret(secret: &Secret, folder: &Path) -> Result<(String, SecretText), Failure> {
    Ok((secret.to_string(), secret.read(folder)?))
}

/// The rules about the two ways to say where a database is.
pub(crate) fn broken(
    table: &str,
    kind: DatabaseKind,
    url: Option<&DatabaseUrl>,
    path: Option<&Path>,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut say = |key: &str, what: &str, remedy: &str| {
        broken.push(Broken::new(&format!("{table}.{key}"), what, remedy))
    };
    match kind {
        DatabaseKind::Postgres => {
            if url.is_none() {
                say(
                    "url",
                    "is missing",
                    "say where PostgreSQL is: url = { env = \"DATABASE_URL\" }, or { file = … }",
                );
            }
            if path.is_some() {
                say(
                    "path",
                    "is for SQLite, and kind is \"postgres\"",
                    "remove it, or say kind = \"sqlite\"",
                );
            }
        }
        DatabaseKind::Sqlite => {
            if path.is_none() {
                say("path", "is missing", "say which file: path = \"core.db\"");
            }
            if url.is_some() {
                say(
                    "url",
                    "is for PostgreSQL, and kind is \"sqlite\"",
                    "remove it, or say kind = \"postgres\"",
                );
            }
        }
    }
    if let Some(DatabaseUrl::Value(text)) = url
        && let Err(error) = Url::parse(text)
    {
        say("url", &error.to_string(), error.remedy());
    }
    if url.is_some_and(DatabaseUrl::holds_password) {
        say(
            "url",
            "holds a password in clear",
            "put it into a file of mode 0600 or into a variable: { file = … } or { env = … }",
        );
    }
    broken
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
    fn url_file_with_a_fault_is_named_and_not_shown() {
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
    fn url_in_the_place_of_its_place_is_not_repeated() {
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
    fn url_in_the_file_itself_is_checked_with_it() {
        let url = DatabaseUrl::Value("postgres://u@db/core?hush=1".to_owned());
        let found = broken("source", DatabaseKind::Postgres, Some(&url), None);
        let text = format!("{found:?}");
        assert!(
            text.contains("parameter 1 of the URL") && !text.contains("hush"),
            "{text}"
        );
    }
}

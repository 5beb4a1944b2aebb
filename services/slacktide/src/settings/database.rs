//! Where a database is.

use std::path::{Path, PathBuf};

use runtime::config::{Secret, SecretText};
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum DatabaseUrl {
    /// In a file that only its owner reads.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
    /// Here.
    Value(String),
}

impl DatabaseUrl {
    /// The URL; relative files are meant from `folder`.
    pub(crate) fn read(&self, folder: &Path) -> Result<SecretText, Failure> {
        Ok(match self {
            Self::File(path) => Secret::File(path.clone()).read(folder)?,
            Self::Env(name) => Secret::Env(name.clone()).read(folder)?,
            Self::Value(text) => SecretText::new(text.clone()),
        })
    }

    fn holds_password(&self) -> bool {
        matches!(self, Self::Value(text) if runtime::config::show::without_password(text) != *text)
    }
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
    if url.is_some_and(DatabaseUrl::holds_password) {
        say(
            "url",
            "holds a password in clear",
            "put it into a file of mode 0600 or into a variable: { file = … } or { env = … }",
        );
    }
    broken
}

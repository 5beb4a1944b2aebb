//! The `[source]` table: the system of record, and how gently it is asked.

use std::path::PathBuf;

use gate::GateConfig;
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::database::{self, DatabaseKind, DatabaseUrl};
use crate::settings::rule::{Broken, within};

/// The `[source]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// Which database.
    pub(crate) kind: DatabaseKind,
    /// PostgreSQL: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<DatabaseUrl>,
    /// SQLite: which file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// A statement that runs longer is cancelled.
    #[serde(default = "second")]
    pub(crate) statement_timeout: Span,
    /// PostgreSQL: roles declared never to write, such as the backup's: they do not hold the fence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read_only_roles: Vec<String>,
    /// PostgreSQL: serve although the account may write to the feeds' tables.
    #[serde(default)]
    pub(crate) allow_writable_account: bool,
}

fn second() -> Span {
    Span::from_secs(1)
}

impl SourceTable {
    /// The rules that it breaks.
    pub(super) fn broken(&self) -> Vec<Broken> {
        let mut broken = database::broken("source", self.kind, self.url.as_ref(), self.path.as_deref());
        let mut say = |key: &str, what: String, remedy: &str| broken.push(Broken::new(key, what, remedy));
        if !within(self.statement_timeout, 10, 60_000) {
            say(
                "source.statement_timeout",
                format!("is {}", self.statement_timeout),
                "give 10ms to 1m; short statements are what keeps the core unharmed",
            );
        }
        if self.kind == DatabaseKind::Sqlite && !self.read_only_roles.is_empty() {
            say(
                "source.read_only_roles",
                "is for PostgreSQL, and kind is \"sqlite\"".to_owned(),
                "remove it",
            );
        }
        broken
    }

    /// What the gate asks for and this database cannot give. Its probes are made and dropped; nothing
    /// is opened before it is asked.
    pub(super) fn lacks(&self, gate: &GateConfig) -> Option<Broken> {
        let path = self.path.as_ref().filter(|_| self.kind == DatabaseKind::Sqlite)?;
        let error = source::sqlite::probes(path, &gate.signals).err()?;
        Some(Broken::new("gate.signals", error.what, error.remedy))
    }
}

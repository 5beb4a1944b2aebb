//! The `[source]` table: the system of record.

use std::path::PathBuf;

use gate::GateConfig;
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::settings::database::{self, DatabaseKind, DatabaseUrl};
use crate::settings::violation::{ConfigViolation, is_within};

/// The `[source]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// The database system.
    pub(crate) kind: DatabaseKind,
    /// PostgreSQL: the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<DatabaseUrl>,
    /// SQLite: the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// A statement that runs longer is cancelled.
    #[serde(default = "second")]
    pub(crate) statement_timeout: Span,
    /// PostgreSQL: roles that never write, such as the backup's. Their transactions do not hold the fence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read_only_roles: Vec<String>,
    /// PostgreSQL: run although the account may write to the feeds' tables.
    #[serde(default)]
    pub(crate) allow_writable_account: bool,
}

fn second() -> Span {
    Span::from_secs(1)
}

impl SourceTable {
    /// Returns the rules that the table violates.
    pub(super) fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations =
            database::violations("source", self.kind, self.url.as_ref(), self.path.as_deref());
        let mut report =
            |key: &str, what: String, remedy: &str| violations.push(ConfigViolation::new(key, what, remedy));
        if !is_within(self.statement_timeout, 10, 60_000) {
            report(
                "source.statement_timeout",
                format!("is {}", self.statement_timeout),
                "give 10ms to 1m; short statements protect the core",
            );
        }
        if self.kind == DatabaseKind::Sqlite && !self.read_only_roles.is_empty() {
            report(
                "source.read_only_roles",
                "is for PostgreSQL, and kind is \"sqlite\"".to_owned(),
                "remove it",
            );
        }
        violations
    }

    /// Returns a violation if the database does not support a configured signal. Opens no connection.
    pub(super) fn unsupported_signals(&self, gate: &GateConfig) -> Option<ConfigViolation> {
        let path = self.path.as_ref().filter(|_| self.kind == DatabaseKind::Sqlite)?;
        let error = source::sqlite::probes(path, &gate.signals).err()?;
        Some(ConfigViolation::new("gate.signals", error.what, error.remedy))
    }
}

//! A store that a command names: a SQLite file, a URL without a password, or a file with a `[store]` table.

use std::path::{Path, PathBuf};

use runtime::config::Loaded;
use runtime::span::Span;
use serde::Deserialize;

use super::commercial::StoreTable;
use super::database::{self, DatabaseKind, DatabaseUrl};
use super::file::{Validate, load};
use super::store::{self, LedgerTable, StoreFeeds};
use super::violation::ConfigViolation;
use crate::failure::Failure;

/// The store, and the folder from which its relative paths are meant.
#[derive(Debug, Clone)]
pub(crate) struct StoreAddress {
    /// Its settings.
    pub(crate) store: StoreTable,
    /// The folder.
    pub(crate) folder: PathBuf,
}

/// A file with a `[store]` table: the insurer's, or one of its own. Other tables are ignored.
#[derive(Debug, Clone, Deserialize)]
struct StoreFile {
    store: StoreTable,
}

impl Validate for StoreFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        let store = &self.store;
        let mut violations =
            database::violations("store", store.kind, store.url.as_ref(), store.path.as_deref());
        violations.extend(store::violations(store.kind, &store.feed));
        violations
    }
}

impl StoreAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// The file cannot be read, or a rule is violated. No part of a URL is in the error.
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        if Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let loaded: Loaded<StoreFile> = load(Path::new(text))?;
            return Ok(Self {
                folder: loaded.folder().to_owned(),
                store: loaded.value.store,
            });
        }
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let store = StoreTable {
            kind: if is_url {
                DatabaseKind::Postgres
            } else {
                DatabaseKind::Sqlite
            },
            url: is_url.then(|| DatabaseUrl::Value(text.to_owned())),
            path: (!is_url).then(|| PathBuf::from(text)),
            schema: None,
            statement_timeout: Span::from_secs(300),
            mode: ::store::Mode::default(),
            ledger: LedgerTable::default(),
            feed: StoreFeeds::new(),
        };
        let file = StoreFile { store };
        if !file.violations().is_empty() {
            return Err(Failure::usage(
                "the store's URL cannot be used here: it holds a password or an unknown parameter; write a file with a [store] \
                 table, as in the insurer's file, and name it: store.toml",
            ));
        }
        Ok(Self {
            store: file.store,
            folder: PathBuf::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_address_is_a_file_a_url_or_settings() -> Result<(), Failure> {
        let address = StoreAddress::read("rebuilt.db")?;
        assert_eq!(address.store.path.as_deref(), Some(Path::new("rebuilt.db")));
        let address = StoreAddress::read("postgres://auditor@db/rebuilt")?;
        assert_eq!(address.store.kind, DatabaseKind::Postgres);
        let folder = tempfile::tempdir().map_err(|error| Failure::internal(&error))?;
        let file = folder.path().join("store.toml");
        let text =
            "[commercial]\nrecipient = \"insurer-a\"\n[store]\nkind = \"sqlite\"\npath = \"live.db\"\n";
        std::fs::write(&file, text).map_err(|error| Failure::internal(&error))?;
        let address = StoreAddress::read(&file.display().to_string())?;
        assert_eq!(address.folder, folder.path());
        Ok(())
    }

    #[test]
    fn store_address_with_a_password_is_refused_and_not_shown() {
        let error = StoreAddress::read("postgres://u:hush@db/rebuilt")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hush") && error.contains("store.toml"), "{error}");
    }
}

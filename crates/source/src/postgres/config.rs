//! Settings of a PostgreSQL source.

use std::fmt;
use std::time::Duration;

/// How to connect to a PostgreSQL source.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host/database`, or `key=value` pairs. Never shown or logged.
    pub url: String,
    /// The server cancels a statement that runs longer.
    pub statement_timeout: Duration,
    /// The server cancels a statement that waits longer for a lock.
    pub lock_timeout: Duration,
    /// Roles that never write, such as the backup's. They do not block the fence.
    pub read_only_roles: Vec<String>,
    /// Serve even if the account may write to the feed's tables.
    pub allow_writable_account: bool,
}

impl PostgresConfig {
    /// Creates settings with the default timeouts: 1 s for a statement, 100 ms for a lock.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            statement_timeout: Duration::from_secs(1),
            lock_timeout: Duration::from_millis(100),
            read_only_roles: Vec::new(),
            allow_writable_account: false,
        }
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &"(not shown)")
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("read_only_roles", &self.read_only_roles)
            .field("allow_writable_account", &self.allow_writable_account)
            .finish()
    }
}

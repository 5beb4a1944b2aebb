//! One database of a cluster, for one test.

use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{Client, Error, NoTls, Row};

/// A database. It is removed with its cluster.
#[derive(Debug, Clone)]
pub struct Db {
    /// `postgres://postgres@127.0.0.1:PORT/NAME`, as superuser.
    pub url: String,
    port: u16,
    name: String,
}

impl Db {
    pub(super) fn new(port: u16, name: &str) -> Self {
        Self {
            url: url(port, "postgres", name),
            port,
            name: name.to_owned(),
        }
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL for another role.
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        url(self.port, role, &self.name)
    }

    /// Returns the URL for another role through another port, such as a proxy's.
    #[must_use]
    pub fn url_via(&self, port: u16, role: &str) -> String {
        url(port, role, &self.name)
    }

    /// Creates a role with LOGIN and runs `grants`, in which `$role` is its name, in this database. The name begins with `name` and
    /// is new in the whole cluster. Returns the name; see [`url_as`](Self::url_as).
    pub async fn role(&self, name: &str, grants: &str) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let role = format!("{name}_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!(
            "CREATE ROLE {role} LOGIN; {}",
            grants.replace("$role", &role)
        ))
        .await;
        role
    }

    /// Runs statements separated by semicolons, as superuser.
    pub async fn execute(&self, sql: &str) {
        let done = self.connect().await.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{}: {}\n{sql}", self.name, describe(&error)));
    }

    /// Runs one query, as superuser.
    pub async fn query(&self, sql: &str) -> Vec<Row> {
        let rows = self.connect().await.query(sql, &[]).await;
        rows.unwrap_or_else(|error| panic!("{}: {}\n{sql}", self.name, describe(&error)))
    }

    /// Returns the one `bigint` of a query, such as a count.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql).await;
        assert_eq!(rows.len(), 1, "one row: {sql}");
        rows[0]
            .try_get(0)
            .unwrap_or_else(|error| panic!("one bigint: {sql}: {error}"))
    }

    /// Opens a session as superuser, for tests that hold transactions open. It ends when dropped.
    pub async fn connect(&self) -> Client {
        open(&self.url)
            .await
            .unwrap_or_else(|error| panic!("{}: {}", self.url, describe(&error)))
    }

    /// Opens a session as another role.
    pub async fn connect_as(&self, role: &str) -> Client {
        open(&self.url_as(role))
            .await
            .unwrap_or_else(|error| panic!("{} as {role}: {}", self.name, describe(&error)))
    }

    pub(super) async fn try_connect(&self) -> Result<Client, Error> {
        open(&self.url).await
    }
}

fn url(port: u16, role: &str, database: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{port}/{database}")
}

async fn open(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // The task ends when the client is dropped; the client reports its errors.
    tokio::spawn(connection);
    Ok(client)
}

/// Returns the server's message. The error's own text is only "db error".
fn describe(error: &Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

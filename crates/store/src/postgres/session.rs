//! Connections and their settings.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemas::column::RowSchema;
use schemas::name::Lane;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

use super::failure;
use crate::error::{Error, ErrorKind, Result};

/// Lanes are stored side by side, but a receiver has few cores for us.
const MOST: usize = 4;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Texts and times are written in fixed forms. A poller that is suspended within a transaction
/// must not hold its locks for ever. Whoever turned `synchronous_commit` off did not know that
/// the exchange is told right after the commit.
const SETTINGS: &str = "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; \
     SET bytea_output = 'hex'; SET jit = off; SET lock_timeout = '15s'; SET statement_timeout = '5min'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'warning'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A connection.
pub(super) struct Session {
    pub(super) client: Client,
    connection: JoinHandle<()>,
    /// Staging tables of this connection, by lane, with the columns they were made for.
    pub(super) stages: HashMap<Lane, Vec<(RowSchema, String)>>,
    /// How many were made: their names are counted.
    pub(super) made: u32,
}

impl Session {
    /// Ends a transaction that failed; where that fails too, the connection is closed.
    pub(super) async fn rollback(&self) {
        let _ = self.client.batch_execute("ROLLBACK").await;
    }

    /// The staging table for these columns.
    pub(super) fn stage(&self, lane: &Lane, schema: &RowSchema) -> Option<&str> {
        let stages = self.stages.get(lane)?;
        stages
            .iter()
            .find(|(made_for, _)| made_for == schema)
            .map(|(_, name)| name.as_str())
    }

    /// Statements without parameters.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|error| failure::of(&error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Connections that are not in use.
pub(super) struct Pool {
    wire: Config,
    idle: Mutex<Vec<Session>>,
    free: Semaphore,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool(url not shown)")
    }
}

impl Pool {
    pub(super) fn new(url: &str) -> Result<Self> {
        let mut wire: Config = url.parse().map_err(|_| {
            Error::new(
                ErrorKind::Refused,
                "the store's url cannot be read",
                "write it as postgres://user:password@host:port/database",
            )
        })?;
        wire.application_name("slacktide store")
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(Duration::from_secs(30));
        Ok(Self {
            wire,
            idle: Mutex::default(),
            free: Semaphore::new(MOST),
        })
    }

    /// A connection, for one verb. At most [`MOST`] are out at a time.
    pub(super) async fn take(&self) -> Result<Taken<'_>> {
        let closed = || {
            Error::new(
                ErrorKind::Unreachable,
                "the store is closed",
                "the process is ending",
            )
        };
        let permit = self.free.acquire().await.map_err(|_| closed())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle.filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => self.connect().await?,
        };
        Ok(Taken {
            session,
            _permit: permit,
        })
    }

    /// Takes it back, unless its state is in doubt. One whose future was dropped in the middle
    /// of a transaction never comes here: it is closed, and the server undoes its work.
    pub(super) async fn give_back<T>(&self, taken: Taken<'_>, done: &Result<T>) {
        let Taken { session, _permit } = taken;
        if done.is_ok() && !session.client.is_closed() && !self.free.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }

    pub(super) fn close(&self) {
        self.free.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn connect(&self) -> Result<Session> {
        let connecting = tokio::time::timeout(CONNECT_WITHIN * 2, self.wire.connect(NoTls));
        let (client, connection) = connecting
            .await
            .map_err(|_| {
                Error::new(
                    ErrorKind::Unreachable,
                    "the store does not answer",
                    "it is tried again",
                )
            })?
            .map_err(|error| failure::of(&error))?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %failure::of(&error), "the connection to the store ended");
            }
        });
        let session = Session {
            client,
            connection,
            stages: HashMap::new(),
            made: 0,
        };
        session.run(SETTINGS).await?;
        Ok(session)
    }
}

/// A connection in use.
pub(super) struct Taken<'a> {
    session: Session,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl std::ops::Deref for Taken<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl std::ops::DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

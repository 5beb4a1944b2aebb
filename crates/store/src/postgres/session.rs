//! Connections and their settings.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::name::Lane;
use schemas::receipt::StoreId;
use servers::{CONNECT_WITHIN, Reached, Servers, settings};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::table::shape::Shape;

/// The maximum number of connections: lanes are stored in parallel, but a receiver has few cores.
const MAX_CONNECTIONS: usize = 4;

/// The maximum number of prepared statements of a connection.
const MAX_STATEMENTS: usize = 256;

/// A suspended poller must not hold its locks permanently. `synchronous_commit` is set because the exchange is
/// notified right after the commit.
///
/// Statements are prepared once for a connection, and planned for each execution, because the tables grow.
///
/// Settings that decide about values are in [`servers::settings`]; the pool adds the statement timeout.
const SETTINGS: &str = "SET jit = off; SET plan_cache_mode = force_custom_plan; SET lock_timeout = '15s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'error'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The first statement of a transaction that needs constraint errors at once.
pub(super) const IMMEDIATE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// The key of a staging table: the shape of the tables, and its columns.
pub(super) type StageKey = (Shape, Vec<String>);

/// A connection.
pub(super) struct Session {
    pub(super) client: Client,
    connection: JoinHandle<()>,
    /// Whether a transaction is open. After an error it stays open at the server.
    in_transaction: AtomicBool,
    /// The staging tables of this connection by lane, with their keys.
    pub(super) stages: HashMap<Lane, Vec<(StageKey, String)>>,
    /// The prepared statements of the bookkeeping, by their texts.
    statements: Mutex<HashMap<String, Statement>>,
    /// The number of created staging tables, which is part of their names.
    pub(super) made: u32,
    /// Lanes with a partitioned table: the server does not report new rows of it.
    pub(super) uncounted: HashSet<Lane>,
}

impl Session {
    /// Begins a transaction, with `first` as its first statements.
    pub(super) async fn begin(&self, first: &str) -> Result<()> {
        // Set before sending: if a later statement of the batch fails, the transaction is open.
        self.in_transaction.store(true, Ordering::Relaxed);
        self.run(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {first}"))
            .await
    }

    /// Commits. A transaction ends even if its commit fails.
    pub(super) async fn commit(&self) -> Result<()> {
        self.in_transaction.store(false, Ordering::Relaxed);
        self.run("COMMIT").await
    }

    /// Ends a failed transaction, if there is one; if that fails too, the connection is closed.
    pub(super) async fn rollback(&self) {
        if self.in_transaction.swap(false, Ordering::Relaxed) {
            let _ = self.client.batch_execute("ROLLBACK").await;
        }
    }

    /// Returns the staging table for these columns.
    pub(super) fn stage(&self, lane: &Lane, wanted: &StageKey) -> Option<&str> {
        let stages = self.stages.get(lane)?;
        stages
            .iter()
            .find(|(made_for, _)| made_for == wanted)
            .map(|(_, name)| name.as_str())
    }

    /// Returns whether the server reports the number of new rows of a lane's table.
    pub(super) fn is_counted(&self, lane: &Lane) -> bool {
        !self.uncounted.contains(lane)
    }

    /// Checks settings that only a superuser can change.
    async fn check_settings(&self) -> Result<()> {
        const REQUIRED_SETTINGS: &[settings::Demand] = settings::DEMANDED_OF_STORE;
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let unmet = self
            .client
            .query_typed(&settings::unmet(REQUIRED_SETTINGS), &[])
            .await;
        for row in unmet.map_err(fail)? {
            let name: String = row.try_get(0).map_err(fail)?;
            let wanted = REQUIRED_SETTINGS
                .iter()
                .find(|check_settings| check_settings.name == name);
            // A superuser's own session may change it.
            let sql = wanted
                .map(|check_settings| format!("SET {} = '{}'", check_settings.name, check_settings.value));
            if self.run(&sql.unwrap_or_default()).await.is_err() {
                let (what, remedy) = settings::refusal(REQUIRED_SETTINGS, &name);
                return Err(Error::new(ErrorKind::Denied, what, remedy));
            }
        }
        Ok(())
    }

    /// Returns a prepared statement. The first call of a connection prepares it.
    pub(super) async fn prepared(&self, sql: &str) -> std::result::Result<Statement, tokio_postgres::Error> {
        let known = self.statements().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements();
        // Texts with the names of feeds' tables are as many as feeds.
        if statements.len() >= MAX_STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn statements(&self) -> MutexGuard<'_, HashMap<String, Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs statements without parameters.
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

/// The default statement timeout.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);

/// The pool of idle connections.
pub(super) struct Pool {
    servers: Servers,
    pub(super) statement_timeout: Duration,
    idle: Mutex<Vec<Session>>,
    free: Semaphore,
    /// The store that was prepared: every new connection must reach the same one.
    identity: Mutex<Option<StoreId>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool(url not shown)")
    }
}

impl Pool {
    pub(super) fn new(url: &str) -> Result<Self> {
        let servers = Servers::of(url, "slacktide store", Duration::from_secs(30));
        let servers = servers.map_err(|error| failure::of_url(&error))?;
        Ok(Self {
            servers,
            statement_timeout: STATEMENT_TIMEOUT,
            idle: Mutex::default(),
            free: Semaphore::new(MAX_CONNECTIONS),
            identity: Mutex::default(),
        })
    }

    /// Sets the store's identity; `None` during preparation, which closes idle connections.
    pub(super) fn identify(&self, id: Option<StoreId>) {
        if id.is_none() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Checks that the connection reaches the prepared store: a restored or other database behind the same address
    /// must not take rows before it is compared.
    async fn is_same(&self, session: &Session) -> Result<()> {
        let expected = self
            .identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(expected) = expected else { return Ok(()) };
        match crate::bookkeeping::refill::identity(session).await {
            Ok(identity) if identity.id == expected => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Unreachable,
                "another database answers than the one that was the store until now",
                "it is compared with the receipts before anything is stored; see `slacktide status`",
            )),
        }
    }

    /// Returns a connection for one operation. At most [`MAX_CONNECTIONS`] are in use.
    pub(super) async fn take(&self) -> Result<PooledSession<'_>> {
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
        Ok(PooledSession {
            _watchdog: Watchdog::over(&session, self.statement_timeout * 3 + CONNECT_WITHIN),
            session,
            _permit: permit,
        })
    }

    /// Returns a connection to the pool, unless its state is uncertain. A connection whose future was dropped within
    /// a transaction is not returned: it is closed, and the server rolls back.
    pub(super) async fn release<T>(&self, taken: PooledSession<'_>, done: &Result<T>) {
        let PooledSession { session, .. } = taken;
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

    /// Opens a connection outside of the pool.
    pub(super) async fn connect(&self) -> Result<Session> {
        let reached = self.servers.connect().await.map_err(failure::unreached)?;
        let ready = timeout(CONNECT_WITHIN, self.prepared(reached));
        ready.await.map_err(|_| failure::unanswered())?
    }

    async fn prepared(&self, reached: Reached) -> Result<Session> {
        tracing::debug!(security = %reached.security, "connected to the store");
        let (client, driver) = (reached.client, reached.driver);
        let connection = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::debug!(error = %failure::of(&error), "connection to the store closed");
            }
        });
        let session = Session {
            client,
            connection,
            in_transaction: AtomicBool::new(false),
            stages: HashMap::new(),
            statements: Mutex::default(),
            made: 0,
            uncounted: HashSet::new(),
        };
        let pins = settings::pins(settings::BOTH.iter().chain(settings::STORE));
        let longest = self.statement_timeout.as_millis();
        session
            .run(&format!("{pins}{SETTINGS}; SET statement_timeout = {longest}"))
            .await?;
        session.check_settings().await?;
        self.is_same(&session).await?;
        Ok(session)
    }
}

/// A connection in use.
pub(super) struct PooledSession<'a> {
    session: Session,
    _watchdog: Watchdog,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

/// Closes a connection on which an operation exceeds the server's own timeout: it is half-open, and nothing else
/// would end the wait. Dropping it cancels the watch.
struct Watchdog(JoinHandle<()>);

impl Watchdog {
    fn over(session: &Session, bound: Duration) -> Self {
        let connection = session.connection.abort_handle();
        Self(tokio::spawn(async move {
            tokio::time::sleep(bound).await;
            tracing::debug!("store operation timed out, closing its connection");
            connection.abort();
        }))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::ops::Deref for PooledSession<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl std::ops::DerefMut for PooledSession<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

//! Connections and their settings.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemas::name::Lane;
use schemas::receipt::StoreId;
use servers::{CONNECT_WITHIN, Reached, Servers, settings};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::table::shape::Shape;

/// Lanes are stored side by side, but a receiver has few cores for us.
const MOST: usize = 4;

/// A poller that is suspended within a transaction must not hold its locks for ever. Whoever turned
/// `synchronous_commit` off did not know that the exchange is told right after the commit.
///
/// What decides about values is in [`servers::settings`]; what a statement may take is added by the pool.
const SETTINGS: &str = "SET jit = off; SET lock_timeout = '15s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'error'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The first statement of a transaction that has to know at once what a constraint refuses.
pub(super) const IMMEDIATE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// What a staging table is for: the tables as they were, and its columns.
pub(super) type Staged = (Shape, Vec<String>);

/// A connection.
pub(super) struct Session {
    pub(super) client: Client,
    connection: JoinHandle<()>,
    /// Whether a transaction was begun and not ended. An error within it leaves it open at the server.
    in_transaction: AtomicBool,
    /// Staging tables of this connection, by lane, with what they were made for.
    pub(super) stages: HashMap<Lane, Vec<(Staged, String)>>,
    /// How many were made: their names are counted.
    pub(super) made: u32,
    /// Lanes whose rows go to a partitioned table: the server does not tell new rows of it from others.
    pub(super) uncounted: HashSet<Lane>,
}

impl Session {
    /// Begins a transaction, with `first` as its first statements.
    pub(super) async fn begin(&self, first: &str) -> Result<()> {
        // Before it is sent: where a later statement of the batch fails, the transaction is open.
        self.in_transaction.store(true, Ordering::Relaxed);
        self.run(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {first}"))
            .await
    }

    /// Commits. A transaction whose commit fails has ended too.
    pub(super) async fn commit(&self) -> Result<()> {
        self.in_transaction.store(false, Ordering::Relaxed);
        self.run("COMMIT").await
    }

    /// Ends a transaction that failed, where there is one; where that fails too, the connection is closed.
    pub(super) async fn rollback(&self) {
        if self.in_transaction.swap(false, Ordering::Relaxed) {
            let _ = self.client.batch_execute("ROLLBACK").await;
        }
    }

    /// The staging table for these columns.
    pub(super) fn stage(&self, lane: &Lane, wanted: &Staged) -> Option<&str> {
        let stages = self.stages.get(lane)?;
        stages
            .iter()
            .find(|(made_for, _)| made_for == wanted)
            .map(|(_, name)| name.as_str())
    }

    /// Whether the server tells how many rows of a lane's table are new.
    pub(super) fn is_counted(&self, lane: &Lane) -> bool {
        !self.uncounted.contains(lane)
    }

    /// Checks what only a superuser may set.
    async fn demand(&self) -> Result<()> {
        const DEMANDED: &[settings::Demand] = settings::DEMANDED_OF_STORE;
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let unmet = self.client.query_typed(&settings::unmet(DEMANDED), &[]).await;
        for row in unmet.map_err(fail)? {
            let name: String = row.try_get(0).map_err(fail)?;
            let wanted = DEMANDED.iter().find(|demand| demand.name == name);
            // A superuser's own session may change it.
            let sql = wanted.map(|demand| format!("SET {} = '{}'", demand.name, demand.value));
            if self.run(&sql.unwrap_or_default()).await.is_err() {
                let (what, remedy) = settings::refusal(DEMANDED, &name);
                return Err(Error::new(ErrorKind::Denied, what, remedy));
            }
        }
        Ok(())
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

/// How long the server works on a statement before it gives up, unless it is told otherwise.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);

/// Connections that are not in use.
pub(super) struct Pool {
    servers: Servers,
    pub(super) statement_timeout: Duration,
    idle: Mutex<Vec<Session>>,
    free: Semaphore,
    /// The store that this was prepared for: every new connection must reach the same one.
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
            free: Semaphore::new(MOST),
            identity: Mutex::default(),
        })
    }

    /// Notes which store this is; `None` while it is being prepared, and connections that are idle are closed then.
    pub(super) fn identify(&self, id: Option<StoreId>) {
        if id.is_none() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// A database that was restored, or another one behind the same address, must not take rows before it is checked.
    async fn is_same(&self, session: &Session) -> Result<()> {
        let expected = self
            .identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(expected) = expected else { return Ok(()) };
        match super::refill::identity(session).await {
            Ok(identity) if identity.id == expected => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Unreachable,
                "another database answers than the one that was the store until now",
                "it is compared with the receipts before anything is stored; see `slacktide status`",
            )),
        }
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
            _watchdog: Watchdog::over(&session, self.statement_timeout * 3 + CONNECT_WITHIN),
            session,
            _permit: permit,
        })
    }

    /// Takes it back, unless its state is in doubt. One whose future was dropped in the middle
    /// of a transaction never comes here: it is closed, and the server undoes its work.
    pub(super) async fn give_back<T>(&self, taken: Taken<'_>, done: &Result<T>) {
        let Taken { session, .. } = taken;
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
        let reached = self.servers.connect().await.map_err(failure::unreached)?;
        let ready = timeout(CONNECT_WITHIN, self.prepared(reached));
        ready.await.map_err(|_| failure::unanswered())?
    }

    async fn prepared(&self, reached: Reached) -> Result<Session> {
        tracing::debug!(security = %reached.security, "connected to the store");
        let (client, driver) = (reached.client, reached.driver);
        let connection = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::debug!(error = %failure::of(&error), "the connection to the store ended");
            }
        });
        let session = Session {
            client,
            connection,
            in_transaction: AtomicBool::new(false),
            stages: HashMap::new(),
            made: 0,
            uncounted: HashSet::new(),
        };
        let pins = settings::pins(settings::BOTH.iter().chain(settings::STORE));
        let longest = self.statement_timeout.as_millis();
        session
            .run(&format!("{pins}{SETTINGS}; SET statement_timeout = {longest}"))
            .await?;
        session.demand().await?;
        self.is_same(&session).await?;
        Ok(session)
    }
}

/// A connection in use.
pub(super) struct Taken<'a> {
    session: Session,
    _watchdog: Watchdog,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

/// Ends a connection on which a verb takes longer than the server itself would let it: the connection is half-open,
/// and nobody else would end the wait. Dropped, it lets go.
struct Watchdog(JoinHandle<()>);

impl Watchdog {
    fn over(session: &Session, bound: Duration) -> Self {
        let connection = session.connection.abort_handle();
        Self(tokio::spawn(async move {
            tokio::time::sleep(bound).await;
            tracing::debug!("a verb at the store took too long: its connection is given up");
            connection.abort();
        }))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
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

//! The connection of a source: statements end with the permit.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use gate::permit::Permit;
use servers::{CONNECT_WITHIN, Cancel, Reached, Servers, settings};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use tracing::debug;

use super::activity::snapshots::Activities;
use super::config::PostgresConfig;
use super::failure::{self, no_response};
use super::source_mark::identity::Identity;
use crate::count::{DriverCounter, YIELD_BOUND};
use crate::error::{Error, ErrorKind, Result};
use crate::meter::Meter;

/// How much longer than the server's own timeout the agent waits for a statement. The server normally ends it. On a half-open
/// connection only this timeout does.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// The session of a source. Connects when needed.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PostgresConfig,
    servers: Servers,
    here: bool,
    pub(super) counter: Arc<DriverCounter>,
    connection: Mutex<Slot>,
    pids: StdMutex<Vec<u32>>,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<LiveConnection>,
    generation: u64,
}

/// A working connection.
#[derive(Debug)]
pub(super) struct LiveConnection {
    pub(super) client: Client,
    /// Cancels the running statement.
    pub(super) cancel: Cancel,
    driver_task: JoinHandle<()>,
    /// Incremented with each connection: prepared statements belong to one.
    pub(super) generation: u64,
    /// The default time zone of sessions, in which column defaults fill columns without zone.
    pub(super) zone: String,
    /// Whether a query has set another zone than UTC.
    is_in_zone: bool,
    /// The database's identity, as far as it was read.
    pub(super) identity: Identity,
    /// The observed transactions.
    pub(super) activities: Activities,
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        self.driver_task.abort();
    }
}

/// Exclusive use of the session, for one statement after the other.
pub(super) struct SessionGuard<'a> {
    session: &'a Session,
    slot: MutexGuard<'a, Slot>,
    metered: Option<(Meter, Instant)>,
}

impl Drop for SessionGuard<'_> {
    fn drop(&mut self) {
        if let Some((meter, since)) = self.metered.take() {
            meter.add(since.elapsed());
        }
    }
}

impl Session {
    pub(super) fn new(config: PostgresConfig, counter: Arc<DriverCounter>) -> Result<Self> {
        let servers = Servers::of(&config.url, "slacktide", CONNECT_WITHIN * 2);
        let servers = servers.map_err(|error| failure::invalid_url(&error))?;
        let here = servers.hosts().all(is_here);
        Ok(Self {
            config,
            servers,
            here,
            counter,
            connection: Mutex::default(),
            pids: StdMutex::default(),
        })
    }

    /// Locks the session, and connects it if needed.
    pub(super) async fn lock(&self, permit: &Permit) -> Result<SessionGuard<'_>> {
        let mut slot = self.connection.lock().await;
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        if slot
            .connection
            .as_ref()
            .is_some_and(|connection| connection.client.is_closed())
        {
            self.forget(&mut slot);
        }
        if slot.connection.is_none() {
            let generation = slot.generation + 1;
            let connection = tokio::select! {
                biased;
                connection = self.connect(generation) => connection?,
                () = permit.revoked() => return Err(Error::revoked()),
            };
            slot.generation = generation;
            slot.connection = Some(connection);
        }
        let mut locked = SessionGuard {
            session: self,
            slot,
            metered: None,
        };
        locked.reset_zone(permit).await?;
        Ok(locked)
    }

    pub(super) fn own_backends(&self) -> Vec<u32> {
        if self.here {
            self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone()
        } else {
            Vec::new()
        }
    }

    pub(super) async fn close(&self) {
        let mut slot = self.connection.lock().await;
        self.forget(&mut slot);
    }

    fn forget(&self, slot: &mut Slot) {
        slot.connection = None;
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns how long a statement may take by the agent's clock.
    pub(super) fn statement_deadline(&self) -> Duration {
        self.config.statement_timeout + HEARD_WITHIN
    }

    async fn connect(&self, generation: u64) -> Result<LiveConnection> {
        let within = CONNECT_WITHIN.saturating_mul(self.servers.many().saturating_add(1));
        let ready = timeout(within, self.connected(generation));
        ready.await.map_err(|_| no_response())?
    }

    async fn connected(&self, generation: u64) -> Result<LiveConnection> {
        let reached = self.servers.connect().await.map_err(failure::connect_error)?;
        self.prepared(reached, generation).await
    }

    async fn prepared(&self, reached: Reached, generation: u64) -> Result<LiveConnection> {
        debug!(security = %reached.security, "connected to the source");
        let driver = reached.driver;
        let driver_task = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                debug!(error = %failure::classify(&error, None), "the connection to the source ended");
            }
        });
        // From here on the task ends with the value.
        let mut connection = LiveConnection {
            client: reached.client,
            cancel: reached.cancel,
            driver_task,
            generation,
            zone: String::new(),
            is_in_zone: false,
            identity: Identity::default(),
            activities: Activities::new(),
        };
        let fail = |error: tokio_postgres::Error| failure::classify(&error, None);
        self.counter.statement();
        let row = connection
            .client
            .query_one(
                "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('TimeZone')",
                &[],
            )
            .await
            .map_err(fail)?;
        self.counter.row();
        let pid: i32 = row.try_get(0).map_err(fail)?;
        connection.zone = row.try_get(1).map_err(fail)?;
        self.counter.statement();
        connection
            .client
            .batch_execute(&self.settings())
            .await
            .map_err(fail)?;
        self.counter.statement();
        check_privileged_settings(&connection.client).await?;
        if let Ok(pid) = u32::try_from(pid) {
            self.pids.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        }
        Ok(connection)
    }

    fn settings(&self) -> String {
        let statement = self.config.statement_timeout.as_millis().max(1);
        let lock = self.config.lock_timeout.as_millis().max(1);
        format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {statement}; \
             SET lock_timeout = {lock}; SET client_min_messages = 'error'; SET row_security = off; \
             SET idle_in_transaction_session_timeout = '1s'; \
             {}SET plan_cache_mode = 'force_custom_plan'; SET jit = off; SET max_parallel_workers_per_gather = 0; {RAW_CLIENT_ENCODING}",
            settings::pins(settings::BOTH.iter().chain(settings::SOURCE)),
        )
    }
}

/// Checks settings that only a superuser may set.
async fn check_privileged_settings(client: &Client) -> Result<()> {
    const DEMANDED: &[settings::Demand] = settings::DEMANDED_OF_SOURCE;
    let fail = |error: tokio_postgres::Error| failure::classify(&error, None);
    let unmet = client.query_typed(&settings::unmet(DEMANDED), &[]).await;
    let Some(row) = unmet.map_err(fail)?.into_iter().next() else {
        return Ok(());
    };
    let name: String = row.try_get(0).map_err(fail)?;
    let (what, remedy) = settings::refusal(DEMANDED, &name);
    Err(Error::new(ErrorKind::Refused, what, remedy))
}

/// A database of encoding `SQL_ASCII` stores any bytes as text. With client encoding UTF-8 it would fail a whole quantum for one
/// invalid value. Without conversion it returns the bytes, and each value is validated here.
const RAW_CLIENT_ENCODING: &str = "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) \
     WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'";

impl SessionGuard<'_> {
    /// Adds the time of the session's use to a meter.
    pub(super) fn metered(mut self, meter: &Meter) -> Self {
        self.metered = Some((meter.clone(), Instant::now()));
        self
    }

    pub(super) fn connection(&self) -> Result<&LiveConnection> {
        self.slot.connection.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unreachable,
                "the session was dropped",
                "it is opened again at the next use",
            )
        })
    }

    /// Sets the time zone of the following statements, until the session is locked again.
    pub(super) async fn set_query_zone(&mut self, permit: &Permit, zone: Option<&str>) -> Result<()> {
        let Some(zone) = zone else { return Ok(()) };
        if let Some(connection) = &mut self.slot.connection {
            connection.is_in_zone = true;
        }
        let refused = |error: Error| match error.kind {
            ErrorKind::Database | ErrorKind::Refused => Error::new(
                ErrorKind::Refused,
                format!("unknown time zone {zone} at the database"),
                "correct zone in the kind: a name of the IANA database, such as Asia/Shanghai",
            ),
            _ => error,
        };
        self.set_zone(permit, zone).await.map_err(refused)
    }

    /// Resets the zone to UTC if a query has set another.
    async fn reset_zone(&mut self, permit: &Permit) -> Result<()> {
        if !self.connection()?.is_in_zone {
            return Ok(());
        }
        self.set_zone(permit, "UTC").await?;
        if let Some(connection) = &mut self.slot.connection {
            connection.is_in_zone = false;
        }
        Ok(())
    }

    async fn set_zone(&mut self, permit: &Permit, zone: &str) -> Result<()> {
        let sql = "SELECT pg_catalog.set_config('TimeZone', $1, false)";
        self.query(permit, sql, &[(&zone, Type::TEXT)]).await.map(|_| ())
    }

    /// Returns the connection, to record observations.
    pub(super) fn connection_mut(&mut self) -> Result<&mut LiveConnection> {
        self.slot.connection.as_mut().ok_or_else(|| {
            Error::new(
                ErrorKind::Unreachable,
                "the session was dropped",
                "it is opened again at the next use",
            )
        })
    }

    /// Runs one small statement. It is cancelled when the permit is revoked.
    pub(super) async fn query(
        &mut self,
        permit: &Permit,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        self.session.counter.statement();
        let answer = {
            let connection = self.connection()?;
            let mut asked = pin!(timeout(
                self.session.statement_deadline(),
                connection.client.query_typed(sql, params)
            ));
            let answer = tokio::select! {
                biased;
                answer = &mut asked => Some(answer),
                () = permit.revoked() => None,
            };
            match answer {
                Some(answer) => Ok(answer),
                None => {
                    let ended = timeout(YIELD_BOUND, async {
                        let _ = connection.cancel.send().await;
                        let _ = asked.await;
                    });
                    Err(ended.await.is_ok())
                }
            }
        };
        match answer {
            Ok(Err(_)) => {
                self.abandon();
                Err(no_response())
            }
            Ok(Ok(Ok(rows))) => {
                rows.iter().for_each(|_| self.session.counter.row());
                Ok(rows)
            }
            Ok(Ok(Err(error))) => Err(failure::classify(&error, None)),
            Err(idle) => {
                if !idle {
                    self.abandon();
                }
                Err(Error::revoked())
            }
        }
    }

    /// Prepares a statement: the server parses it and resolves names, but reads no row. `of` is the feed's text, to locate a syntax
    /// error.
    pub(super) async fn prepare(
        &mut self,
        permit: &Permit,
        sql: &str,
        types: &[Type],
        of: Option<&str>,
    ) -> Result<Statement> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        self.session.counter.statement();
        let asked = self.connection()?.client.prepare_typed(sql, types);
        match timeout(CONNECT_WITHIN, asked).await {
            Ok(prepared) => prepared.map_err(|error| failure::classify(&error, of)),
            Err(_) => {
                self.abandon();
                Err(Error::new(
                    ErrorKind::TimedOut,
                    "the database did not prepare the query",
                    "it is retried",
                ))
            }
        }
    }

    /// Drops the connection: a statement did not end in time, or the connection's state is unknown.
    pub(super) fn abandon(&mut self) {
        self.session.forget(&mut self.slot);
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    }
}

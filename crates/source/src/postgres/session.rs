//! The one connection: statements raced against the permit.

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

use super::activity::Activities;
use super::config::PostgresConfig;
use super::failure::{self, unanswered};
use super::source_mark::Identity;
use crate::count::{DriverCounter, YIELD_BOUND};
use crate::error::{Error, ErrorKind, Result};
use crate::meter::Meter;

/// How much longer than the server's own bound a statement is waited for. The server ends it in time where it hears
/// us; where it does not, as on a half-open connection, nobody else would.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// The session of a source, connected when needed.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PostgresConfig,
    servers: Servers,
    here: bool,
    pub(super) counter: Arc<DriverCounter>,
    live: Mutex<Slot>,
    pids: StdMutex<Vec<u32>>,
}

#[derive(Debug, Default)]
struct Slot {
    live: Option<Live>,
    generation: u64,
}

/// A connection that works, as far as is known.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) client: Client,
    /// Cancels what the client is doing.
    pub(super) cancel: Cancel,
    connection: JoinHandle<()>,
    /// Counted up with each connection: prepared statements belong to one.
    pub(super) generation: u64,
    /// What a session gets that sets no time zone: the zone in which defaults fill columns
    /// without zone.
    pub(super) zone: String,
    /// A question has set another zone than UTC.
    is_in_zone: bool,
    /// Which database it leads to, as far as it was asked.
    pub(super) identity: Identity,
    /// Which transactions were open there.
    pub(super) activities: Activities,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The session while one statement after the other runs on it; alone.
pub(super) struct Turn<'a> {
    session: &'a Session,
    slot: MutexGuard<'a, Slot>,
    metered: Option<(Meter, Instant)>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((meter, since)) = self.metered.take() {
            meter.add(since.elapsed());
        }
    }
}

impl Session {
    pub(super) fn new(config: PostgresConfig, counter: Arc<DriverCounter>) -> Result<Self> {
        let servers = Servers::of(&config.url, "slacktide", CONNECT_WITHIN * 2);
        let servers = servers.map_err(|error| failure::of_url(&error))?;
        let here = servers.hosts().all(is_here);
        Ok(Self {
            config,
            servers,
            here,
            counter,
            live: Mutex::default(),
            pids: StdMutex::default(),
        })
    }

    /// Takes the session, connecting it if need be.
    pub(super) async fn turn(&self, permit: &Permit) -> Result<Turn<'_>> {
        let mut slot = self.live.lock().await;
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        if slot.live.as_ref().is_some_and(|live| live.client.is_closed()) {
            self.forget(&mut slot);
        }
        if slot.live.is_none() {
            let generation = slot.generation + 1;
            let live = tokio::select! {
                biased;
                live = self.connect(generation) => live?,
                () = permit.revoked() => return Err(Error::revoked()),
            };
            slot.generation = generation;
            slot.live = Some(live);
        }
        let mut turn = Turn {
            session: self,
            slot,
            metered: None,
        };
        turn.leave_zone(permit).await?;
        Ok(turn)
    }

    pub(super) fn own_backends(&self) -> Vec<u32> {
        if self.here {
            self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone()
        } else {
            Vec::new()
        }
    }

    pub(super) async fn close(&self) {
        let mut slot = self.live.lock().await;
        self.forget(&mut slot);
    }

    fn forget(&self, slot: &mut Slot) {
        slot.live = None;
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How long a statement may take by our clock.
    pub(super) fn patience(&self) -> Duration {
        self.config.statement_timeout + HEARD_WITHIN
    }

    async fn connect(&self, generation: u64) -> Result<Live> {
        let within = CONNECT_WITHIN.saturating_mul(self.servers.many().saturating_add(1));
        let ready = timeout(within, self.connected(generation));
        ready.await.map_err(|_| unanswered())?
    }

    async fn connected(&self, generation: u64) -> Result<Live> {
        let reached = self.servers.connect().await.map_err(failure::unreached)?;
        self.prepared(reached, generation).await
    }

    async fn prepared(&self, reached: Reached, generation: u64) -> Result<Live> {
        debug!(security = %reached.security, "connected to the source");
        let driver = reached.driver;
        let connection = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                debug!(error = %failure::of(&error, None), "the connection to the source ended");
            }
        });
        // From here on the task ends with the value.
        let mut live = Live {
            client: reached.client,
            cancel: reached.cancel,
            connection,
            generation,
            zone: String::new(),
            is_in_zone: false,
            identity: Identity::default(),
            activities: Activities::new(),
        };
        let fail = |error: tokio_postgres::Error| failure::of(&error, None);
        self.counter.statement();
        let row = live
            .client
            .query_one(
                "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('TimeZone')",
                &[],
            )
            .await
            .map_err(fail)?;
        self.counter.row();
        let pid: i32 = row.try_get(0).map_err(fail)?;
        live.zone = row.try_get(1).map_err(fail)?;
        self.counter.statement();
        live.client.batch_execute(&self.settings()).await.map_err(fail)?;
        self.counter.statement();
        demand(&live.client).await?;
        if let Ok(pid) = u32::try_from(pid) {
            self.pids.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        }
        Ok(live)
    }

    fn settings(&self) -> String {
        let statement = self.config.statement_timeout.as_millis().max(1);
        let lock = self.config.lock_timeout.as_millis().max(1);
        format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {statement}; \
             SET lock_timeout = {lock}; SET client_min_messages = 'error'; SET row_security = off; \
             SET idle_in_transaction_session_timeout = '1s'; \
             {}SET plan_cache_mode = 'force_custom_plan'; SET max_parallel_workers_per_gather = 0; {BYTES_AS_THEY_ARE}",
            settings::pins(settings::BOTH.iter().chain(settings::SOURCE)),
        )
    }
}

/// Checks what only a superuser may set.
async fn demand(client: &Client) -> Result<()> {
    const DEMANDED: &[settings::Demand] = settings::DEMANDED_OF_SOURCE;
    let fail = |error: tokio_postgres::Error| failure::of(&error, None);
    let unmet = client.query_typed(&settings::unmet(DEMANDED), &[]).await;
    let Some(row) = unmet.map_err(fail)?.into_iter().next() else {
        return Ok(());
    };
    let name: String = row.try_get(0).map_err(fail)?;
    let (what, remedy) = settings::refusal(DEMANDED, &name);
    Err(Error::new(ErrorKind::Refused, what, remedy))
}

/// A database of encoding `SQL_ASCII` holds any bytes for text. Asked for UTF-8 it would refuse a
/// whole quantum for one such value; asked for nothing it gives them, and each can be told apart here.
const BYTES_AS_THEY_ARE: &str = "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) \
     WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'";

impl Turn<'_> {
    /// Counts how long the session is taken from now on.
    pub(super) fn metered(mut self, meter: &Meter) -> Self {
        self.metered = Some((meter.clone(), Instant::now()));
        self
    }

    /// The connection.
    pub(super) fn live(&self) -> Result<&Live> {
        self.slot.live.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unreachable,
                "the session was dropped",
                "it is opened again at the next use",
            )
        })
    }

    /// Evaluates what follows in a time zone, until the session is taken the next time.
    pub(super) async fn enter_zone(&mut self, permit: &Permit, zone: Option<&str>) -> Result<()> {
        let Some(zone) = zone else { return Ok(()) };
        if let Some(live) = &mut self.slot.live {
            live.is_in_zone = true;
        }
        let refused = |error: Error| match error.kind {
            ErrorKind::Database | ErrorKind::Refused => Error::new(
                ErrorKind::Refused,
                format!("the database does not know the time zone {zone}"),
                "correct zone in the kind: a name of the IANA database, such as Asia/Shanghai",
            ),
            _ => error,
        };
        self.set_zone(permit, zone).await.map_err(refused)
    }

    /// Back to UTC where a question has set another zone.
    async fn leave_zone(&mut self, permit: &Permit) -> Result<()> {
        if !self.live()?.is_in_zone {
            return Ok(());
        }
        self.set_zone(permit, "UTC").await?;
        if let Some(live) = &mut self.slot.live {
            live.is_in_zone = false;
        }
        Ok(())
    }

    async fn set_zone(&mut self, permit: &Permit, zone: &str) -> Result<()> {
        let sql = "SELECT pg_catalog.set_config('TimeZone', $1, false)";
        self.query(permit, sql, &[(&zone, Type::TEXT)]).await.map(|_| ())
    }

    /// The connection, to note what it told.
    pub(super) fn live_mut(&mut self) -> Result<&mut Live> {
        self.slot.live.as_mut().ok_or_else(|| {
            Error::new(
                ErrorKind::Unreachable,
                "the session was dropped",
                "it is opened again at the next use",
            )
        })
    }

    /// One small statement, cancelled when the permit goes.
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
            let live = self.live()?;
            let mut asked = pin!(timeout(
                self.session.patience(),
                live.client.query_typed(sql, params)
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
                        let _ = live.cancel.send().await;
                        let _ = asked.await;
                    });
                    Err(ended.await.is_ok())
                }
            }
        };
        match answer {
            Ok(Err(_)) => {
                self.abandon();
                Err(unanswered())
            }
            Ok(Ok(Ok(rows))) => {
                rows.iter().for_each(|_| self.session.counter.row());
                Ok(rows)
            }
            Ok(Ok(Err(error))) => Err(failure::of(&error, None)),
            Err(idle) => {
                if !idle {
                    self.abandon();
                }
                Err(Error::revoked())
            }
        }
    }

    /// Prepares: the server reads the text and looks names up, but reads no row. `of` is the
    /// feed's own text, for the place of a mistake.
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
        let asked = self.live()?.client.prepare_typed(sql, types);
        match timeout(CONNECT_WITHIN, asked).await {
            Ok(prepared) => prepared.map_err(|error| failure::of(&error, of)),
            Err(_) => {
                self.abandon();
                Err(Error::new(
                    ErrorKind::TimedOut,
                    "the database did not prepare the query",
                    "it is tried again",
                ))
            }
        }
    }

    /// Drops the connection: it did not come back in time, or its state is not known.
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

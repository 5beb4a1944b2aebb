//! The session of the probes.

use std::sync::{Arc, Mutex, PoisonError};

use gate::signal::SignalError;
use gate::signal::probe::TIMEOUT;
use servers::{CONNECT_WITHIN, Servers, settings};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use crate::error::Result;
use crate::postgres::failure;

/// Its application name at the server.
pub(super) const APPLICATION: &str = "slacktide-probe";

pub(super) struct Link {
    servers: Servers,
    live: Mutex<Option<Arc<LiveConnection>>>,
}

struct LiveConnection {
    client: Client,
    connection: JoinHandle<()>,
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Link {
    pub(super) fn new(url: &str) -> Result<Self> {
        let servers = Servers::of(url, APPLICATION, CONNECT_WITHIN * 2);
        let servers = servers.map_err(|error| failure::invalid_url(&error))?;
        let settings = format!(
            "-c statement_timeout={timeout} -c lock_timeout={timeout} -c default_transaction_read_only=on \
             -c idle_in_transaction_session_timeout=1000 -c client_min_messages=error -c max_parallel_workers_per_gather=0 {}",
            settings::options(settings::BOTH.iter().chain(settings::SOURCE)),
            timeout = TIMEOUT.as_millis(),
        );
        Ok(Self {
            servers: servers.with_options(&settings),
            live: Mutex::default(),
        })
    }

    fn live(&self) -> Option<Arc<LiveConnection>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.live().is_some_and(|live| !live.client.is_closed())
    }

    pub(super) fn disconnect(&self) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn connect(&self) -> std::result::Result<(), SignalError> {
        self.disconnect();
        let reached = self.servers.connect().await;
        let reached = reached.map_err(|why| SignalError(failure::connect_error(why).to_string()))?;
        let (client, driver) = (reached.client, reached.driver);
        let connection = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::debug!(error = %failure::classify(&error, None), "the connection of the probes ended");
            }
        });
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(LiveConnection { client, connection }));
        Ok(())
    }

    /// Runs one statement in one round trip.
    pub(super) async fn ask(&self, sql: &str) -> std::result::Result<Vec<Row>, SignalError> {
        let live = self
            .live()
            .ok_or_else(|| SignalError("the connection of the probes was lost".to_owned()))?;
        live.client
            .query_typed(sql, &[])
            .await
            .map_err(|error| describe(&error))
    }
}

/// Returns the error with its remedy and without any row's value.
fn describe(error: &tokio_postgres::Error) -> SignalError {
    if error.code() == Some(&SqlState::QUERY_CANCELED) {
        return SignalError(format!("no answer within {} ms", TIMEOUT.as_millis()));
    }
    SignalError(failure::classify(error, None).to_string())
}

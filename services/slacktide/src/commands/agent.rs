//! Shared by both agents: signals, status page, supervision and exit.

use std::path::PathBuf;
use std::sync::Arc;

use ::reporting::Publication;
use exchange::Connection;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::{self, HealthConfig, Problem, Report};
use runtime::notify::Notifier;
use runtime::stop::{SecondSignal, Stop};
use runtime::supervise::Supervisor;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Returns the stop signal, set by SIGTERM or SIGINT.
pub(crate) fn stop_on_signals() -> Result<Stop, Failure> {
    Stop::on_signals(SecondSignal::Exits).map_err(|error| Failure::internal(&error))
}

/// Starts the supervisor of an agent: a panic of any task stops the agent in order.
pub(crate) fn supervise(stop: &Stop) -> Result<Supervisor, Failure> {
    let supervisor = Supervisor::start(stop).map_err(|error| Failure::internal(&error))?;
    supervisor.catch_panics();
    Ok(supervisor)
}

/// Whether every part of the agent runs.
pub(crate) fn live(supervisor: &Supervisor) -> Result<(), Problem> {
    supervisor.failure().map_or(Ok(()), |what| Err(what.into()))
}

/// Starts the status page, if one is configured. It runs until the process ends, so that it answers during the stop.
pub(crate) async fn serve<T>(
    loaded: &Loaded<T>,
    health: Option<&HealthConfig>,
    report: Arc<dyn Report>,
) -> Result<(), Failure> {
    let Some(health) = health else { return Ok(()) };
    let addr_file: Option<PathBuf> = health.addr_file.as_deref().map(|path| loaded.resolve(path));
    let health = HealthConfig {
        listen: health.listen,
        addr_file,
    };
    health::serve(&health, report, CancellationToken::new())
        .await
        .map_err(|error| {
            // The previous process may still run: the service manager retries.
            let exit = if error.is_transient() {
                Exit::InUse
            } else {
                Exit::Usage
            };
            Failure::new(exit, error.to_string())
        })?;
    Ok(())
}

/// Notifies the service manager of start and stop.
pub(crate) fn notify_manager(stop: &Stop) -> Notifier {
    Notifier::from_env(stop.token().clone())
}

/// Fails with the reason if the exchange is not connected.
pub(crate) fn connected(connection: &watch::Receiver<Connection>) -> Result<(), Problem> {
    match *connection.borrow() {
        Connection::Connected => Ok(()),
        Connection::Disconnected { since, refused, why } => {
            let what = if refused {
                "refuses the credential"
            } else {
                "is unreachable"
            };
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            Err(format!("the exchange {what} since {since:.0}{why}").into())
        }
    }
}

/// Fails if the exchange refuses the credential: an operator must act.
pub(crate) fn check_accepted(connection: &watch::Receiver<Connection>) -> Result<(), Problem> {
    let is_refused = matches!(
        *connection.borrow(),
        Connection::Disconnected { refused: true, .. }
    );
    if is_refused { connected(connection) } else { Ok(()) }
}

/// The connection for the status page: `connected`, `disconnected`, or `refused` if the credential is refused.
pub(crate) fn exchange(connection: &watch::Receiver<Connection>) -> serde_json::Value {
    match *connection.borrow() {
        Connection::Connected => serde_json::json!({ "state": "connected" }),
        Connection::Disconnected { since, refused, why } => {
            let state = if refused { "refused" } else { "disconnected" };
            serde_json::json!({ "state": state, "since": since, "why": why })
        }
    }
}

/// The publication of this page at the exchange, for the status page.
pub(crate) fn published(publication: &Publication) -> serde_json::Value {
    serde_json::to_value(publication.status()).unwrap_or_default()
}

/// Runs the work until it ends, then stops everything else of the process.
pub(crate) async fn until_stopped<E>(
    stop: &Stop,
    supervisor: &Supervisor,
    work: impl Future<Output = Result<(), E>>,
    failed: impl Fn(E) -> Failure,
) -> crate::failure::Outcome {
    let ended = work.await;
    let was_stopping = stop.is_stopping();
    stop.stop();
    if let Some(what) = supervisor.failure() {
        return Err(Failure::new(
            Exit::Internal,
            format!("{what}; the agent stopped, restart it and report this"),
        ));
    }
    match ended {
        Ok(()) if was_stopping => Ok(Exit::Done),
        Ok(()) => Err(Failure::new(
            Exit::Internal,
            "the agent ended without a stop signal; restart it and report this",
        )),
        Err(error) => Err(failed(error)),
    }
}

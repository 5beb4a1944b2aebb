//! The HTTP server for the state of a process: `/livez`, `/readyz`, `/healthz`, `/status`, `/metrics`.
//!
//! `live`: the tasks run; restart the process if it fails. `ready`: the process could work now; do not restart it if it
//! fails. `healthz`: no operator has to act.
//!
//! It listens on a loopback address only, because it has no authentication. It answers requests for a loopback host only:
//! otherwise a web page whose name resolves to this host (DNS rebinding) could read it through a local browser. Texts of
//! other parties are escaped, because people read these pages on a terminal.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use schemas::visible::{Escape, escape};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The `[health]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// A loopback address; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where to write the address that was taken, for those who gave port 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr_file: Option<PathBuf>,
}

/// Why a process does not run, is not ready or does not work, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The state of a process. Called for each request; must not block.
pub trait Report: Send + Sync + 'static {
    /// The state as JSON.
    fn status(&self) -> serde_json::Value;

    /// The metrics as Prometheus text; see [`MetricsText`](crate::metrics::MetricsText).
    fn metrics(&self) -> String;

    /// Whether the parts of the process run.
    ///
    /// # Errors
    /// Which one has failed: the process has to be started again.
    fn live(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether the process could do its work now: what it needs has answered.
    ///
    /// # Errors
    /// Why not, in a sentence.
    fn ready(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether the process does its work.
    ///
    /// # Errors
    /// Why not, in a sentence. A closed gate is not a reason, because waiting is normal.
    fn healthy(&self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Anyone could read it.
    #[error("health.listen is {0}, which is not a loopback address; use for example 127.0.0.1:9101")]
    NotLoopback(SocketAddr),
    /// The address is taken or not ours.
    #[error("health.listen {0}: {1}; is another agent running?")]
    Bind(SocketAddr, io::Error),
    /// The address could not be written.
    #[error("health.addr_file {path}: {why}", path = .0.display(), why = .1)]
    AddrFile(PathBuf, io::Error),
}

impl HealthError {
    /// Whether the same configuration may work at the next start: the port is another process's, or the address is not there
    /// yet.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let transient = [io::ErrorKind::AddrInUse, io::ErrorKind::AddrNotAvailable];
        matches!(self, Self::Bind(_, error) if transient.contains(&error.kind()))
    }
}

/// The running server.
#[derive(Debug)]
pub struct Serving {
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// Ends when the token is cancelled.
    pub task: JoinHandle<()>,
}

/// Starts the server, until the token is cancelled.
///
/// # Errors
/// When the address is not a loopback one, is taken, or cannot be written to `addr_file`.
pub async fn serve(
    config: &HealthConfig,
    report: Arc<dyn Report>,
    stop: CancellationToken,
) -> Result<Serving, HealthError> {
    if !config.listen.ip().is_loopback() {
        return Err(HealthError::NotLoopback(config.listen));
    }
    let bind = |error| HealthError::Bind(config.listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    if let Some(path) = &config.addr_file {
        write_whole(path, &addr.to_string()).map_err(|error| HealthError::AddrFile(path.clone(), error))?;
    }
    tracing::info!(%addr, "health server listens");
    let routes = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(healthz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(report)
        .layer(middleware::from_fn(guard));
    let task = tokio::spawn(async move {
        let server = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        // A client that keeps its connection open must not keep the process alive.
        let outcome = tokio::select! {
            outcome = server => outcome,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "health server failed");
        }
    });
    Ok(Serving { addr, task })
}

/// Writes a file atomically: a reader sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// Answers only requests for a loopback host, and has no browser guess at what an answer is.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if names_loopback(request.headers()) {
        next.run(request).await
    } else {
        let why = "this page is for this host: ask for it by 127.0.0.1, [::1] or localhost\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    };
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// PURE: returns whether the only `Host` header is a loopback address or `localhost`.
fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    // `[::1]:9101`, `127.0.0.1:9101`, `localhost`; any port.
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, rest)) => (address, Some(rest.strip_prefix(':').unwrap_or("none"))),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_here = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_here && port.is_none_or(is_port)
}

async fn live(State(report): State<Arc<dyn Report>>) -> Response {
    health_response(report.live())
}

async fn ready(State(report): State<Arc<dyn Report>>) -> Response {
    health_response(report.ready())
}

async fn healthz(State(report): State<Arc<dyn Report>>) -> Response {
    health_response(report.healthy())
}

fn health_response(outcome: Result<(), Problem>) -> Response {
    match outcome {
        Ok(()) => "ok\n".into_response(),
        Err(why) => {
            let why = why.to_string();
            let why = escape(&why, Escape::Text);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
        }
    }
}

async fn status(State(report): State<Arc<dyn Report>>) -> Response {
    let text = report.status().to_string();
    let text = escape(&text, Escape::Json).into_owned();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn metrics(State(report): State<Arc<dyn Report>>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        report.metrics(),
    )
        .into_response()
}

#[cfg(test)]
mod tests;

//! The HTTP server for the state of a process: `/health/live`, `/health/ready`, `/healthz`, `/status`, `/metrics`.
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
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether the process could do its work now: what it needs has answered.
    ///
    /// # Errors
    /// Why not, in a sentence.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether the process does its work.
    ///
    /// # Errors
    /// Why not, in a sentence. A shut gate is not a reason, because waiting is normal.
    fn healthy(&self) -> Result<(), String> {
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
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
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

fn health_response(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => "ok\n".into_response(),
        Err(why) => {
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
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    struct Fixed(bool);

    impl Report for Fixed {
        fn status(&self) -> serde_json::Value {
            serde_json::json!({ "state": "shut" })
        }

        fn metrics(&self) -> String {
            "slacktide_up 1\n".to_owned()
        }

        fn ready(&self) -> Result<(), String> {
            Err("no orders".to_owned())
        }

        fn healthy(&self) -> Result<(), String> {
            if self.0 {
                Ok(())
            } else {
                Err("no exchange".to_owned())
            }
        }
    }

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    async fn ask(addr: SocketAddr, path: &str) -> io::Result<String> {
        ask_for(addr, path, &addr.to_string()).await
    }

    async fn ask_for(addr: SocketAddr, path: &str, host: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(addr).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn health_server_answers_until_stopped() -> Outcome {
        let folder = tempfile::tempdir()?;
        let addr_file = folder.path().join("addr");
        let config = HealthConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            addr_file: Some(addr_file.clone()),
        };
        let stop = CancellationToken::new();
        let serving = serve(&config, Arc::new(Fixed(true)), stop.clone()).await?;
        assert_eq!(std::fs::read_to_string(addr_file)?, serving.addr.to_string());
        assert!(ask(serving.addr, "/healthz").await?.starts_with("HTTP/1.1 200"));
        // A process may be well, alive, and not ready.
        assert!(
            ask(serving.addr, "/health/live")
                .await?
                .starts_with("HTTP/1.1 200")
        );
        let ready = ask(serving.addr, "/health/ready").await?;
        assert!(
            ready.starts_with("HTTP/1.1 503") && ready.ends_with("no orders\n"),
            "{ready}"
        );
        assert!(
            ask(serving.addr, "/status")
                .await?
                .ends_with("{\"state\":\"shut\"}")
        );
        assert!(ask(serving.addr, "/metrics").await?.ends_with("slacktide_up 1\n"));
        assert!(ask(serving.addr, "/other").await?.starts_with("HTTP/1.1 404"));
        // A client that stays connected does not hold it up.
        let _idle = TcpStream::connect(serving.addr).await?;
        stop.cancel();
        serving.task.await?;
        Ok(())
    }

    #[tokio::test]
    async fn health_failed_part_is_not_live() -> Outcome {
        struct Failed;
        impl Report for Failed {
            fn status(&self) -> serde_json::Value {
                serde_json::Value::Null
            }
            fn metrics(&self) -> String {
                String::new()
            }
            fn live(&self) -> Result<(), String> {
                Err("a task panicked".to_owned())
            }
        }
        let config = HealthConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            addr_file: None,
        };
        let serving = serve(&config, Arc::new(Failed), CancellationToken::new()).await?;
        let answer = ask(serving.addr, "/health/live").await?;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("a task panicked\n"),
            "{answer}"
        );
        Ok(())
    }

    #[tokio::test]
    async fn health_unhealthy_is_503_with_the_reason() -> Outcome {
        let config = HealthConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            addr_file: None,
        };
        let serving = serve(&config, Arc::new(Fixed(false)), CancellationToken::new()).await?;
        let answer = ask(serving.addr, "/healthz").await?;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("no exchange\n"),
            "{answer}"
        );
        Ok(())
    }

    #[test]
    fn health_host_is_a_loopback_name_or_address() {
        let allowed = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
            }
            names_loopback(&headers)
        };
        for host in [
            "localhost",
            "LocalHost:9101",
            "127.0.0.1",
            "127.0.0.1:9101",
            "127.8.8.8:80",
            "[::1]",
            "[::1]:9101",
        ] {
            assert!(allowed(&[host]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9101",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@localhost",
            "localhost:evil",
            "localhost:9101:1",
            "[::1]evil",
            "[::1]:",
            "[fe80::1]:9101",
            "10.0.0.1:9101",
            "0.0.0.0:9101",
        ] {
            assert!(!allowed(&[host]), "{host}");
        }
        assert!(!allowed(&[]), "no host");
        assert!(!allowed(&["localhost", "evil.example"]), "two hosts");
    }

    #[tokio::test]
    async fn health_request_for_another_host_gets_nothing() -> Outcome {
        let config = HealthConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            addr_file: None,
        };
        let serving = serve(&config, Arc::new(Fixed(true)), CancellationToken::new()).await?;
        for path in [
            "/health/live",
            "/health/ready",
            "/healthz",
            "/status",
            "/metrics",
            "/other",
        ] {
            let answer = ask_for(serving.addr, path, "rebound.example").await?;
            assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
            assert!(
                answer.ends_with("127.0.0.1, [::1] or localhost\n"),
                "{path}: {answer}"
            );
            let own = ask(serving.addr, path).await?;
            assert!(
                own.to_lowercase().contains("x-content-type-options: nosniff"),
                "{own}"
            );
            let is_known = own.starts_with("HTTP/1.1 200") || own.starts_with("HTTP/1.1 503");
            let content = if path == "/status" {
                "application/json"
            } else {
                "text/plain"
            };
            assert!(
                !is_known || own.contains(&format!("content-type: {content}")),
                "{own}"
            );
        }
        Ok(())
    }

    #[tokio::test]
    async fn health_hostile_texts_are_escaped_on_every_page() -> Outcome {
        struct Hostile;
        impl Report for Hostile {
            fn status(&self) -> serde_json::Value {
                serde_json::json!({ "last_error": HOSTILE })
            }
            fn metrics(&self) -> String {
                String::new()
            }
            fn ready(&self) -> Result<(), String> {
                Err(HOSTILE.to_owned())
            }
            fn healthy(&self) -> Result<(), String> {
                Err(HOSTILE.to_owned())
            }
        }
        const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2028}\nforged";
        let config = HealthConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            addr_file: None,
        };
        let serving = serve(&config, Arc::new(Hostile), CancellationToken::new()).await?;
        for path in ["/health/ready", "/healthz", "/status"] {
            let answer = ask(serving.addr, path).await?;
            let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
            assert!(
                body.trim_end_matches('\n')
                    .chars()
                    .all(|c| matches!(c, ' '..='~')),
                "{path}: {body:?}"
            );
        }
        let answer = ask(serving.addr, "/status").await?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        let status: serde_json::Value = serde_json::from_str(body)?;
        assert_eq!(status["last_error"], HOSTILE);
        Ok(())
    }

    #[tokio::test]
    async fn health_address_beyond_loopback_is_refused() {
        let config = HealthConfig {
            listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
            addr_file: None,
        };
        let refused = serve(&config, Arc::new(Fixed(true)), CancellationToken::new()).await;
        assert!(matches!(&refused, Err(error @ HealthError::NotLoopback(_)) if !error.is_transient()));
    }

    #[tokio::test]
    async fn health_port_that_is_taken_may_be_free_later() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = HealthError::Bind(
            taken.local_addr().unwrap(),
            std::net::TcpListener::bind(taken.local_addr().unwrap()).unwrap_err(),
        );
        assert!(error.is_transient(), "{error}");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!HealthError::Bind(taken.local_addr().unwrap(), denied).is_transient());
    }
}

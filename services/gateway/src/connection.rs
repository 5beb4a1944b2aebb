//! One connection: protocol, limits, and its end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ConnectionUse};
use crate::config::Limits;
use crate::mounted::Routers;

/// How often an idle HTTP/2 connection is probed, and how long it may take to answer.
const PROBE: Duration = Duration::from_secs(20);

/// The protocol that client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// As the first bytes show, without TLS.
    Detected,
}

/// Serves a connection until it ends, it is too old, or the gateway stops. A stop lets the requests in flight finish within
/// `limits.shutdown`.
pub(crate) async fn serve_connection<S>(
    stream: S,
    protocol: Protocol,
    client: Client,
    routers: Routers,
    limits: &Limits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let used = ConnectionUse::default();
    let noted = used.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(noted.clone());
        route(routers.clone(), client.clone(), request)
    });
    let builder = builder(protocol, limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let opened = Instant::now();
    let mut first_request = pin!(sleep_until(opened + limits.header_time));
    let mut age = pin!(sleep_until(opened + limits.connection_age));
    let mut is_first_request_due = true;
    let (reason, limit) = loop {
        tokio::select! {
            outcome = connection.as_mut() => return ended(outcome),
            () = stop.cancelled() => break (End::Stop, limits.shutdown),
            () = age.as_mut() => break (End::Age, limits.connection_age),
            () = first_request.as_mut(), if is_first_request_due => {
                is_first_request_due = false;
                if !used.is_authenticated() {
                    break (End::Unused, limits.header_time);
                }
            }
        }
    };
    tracing::debug!(?reason, "connection is closed after its requests");
    connection.as_mut().graceful_shutdown();
    let rest = timeout(limit, connection.as_mut());
    tokio::select! {
        outcome = rest => {
            if let Ok(outcome) = outcome {
                ended(outcome);
            }
        }
        // The requests of an old connection may be long downloads; a stop has the shorter limit.
        () = stop.cancelled(), if reason != End::Stop => {
            if let Ok(outcome) = timeout(limits.shutdown, connection).await {
                ended(outcome);
            }
        }
    }
}

/// Why the gateway closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The gateway stops.
    Stop,
    /// The connection is too old.
    Age,
    /// No request was authenticated.
    Unused,
}

fn ended(outcome: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = outcome {
        // Clients that disappear or are too slow are normal.
        tracing::debug!(%error, "connection ended");
    }
}

async fn route(
    routers: Routers,
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    if let Some(certificate) = client.certificate {
        request.extensions_mut().insert(certificate);
    }
    if let Some(peer) = client.peer {
        request.extensions_mut().insert(peer);
    }
    Ok(routers.answer(request).await)
}

fn builder(protocol: Protocol, limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        // The least that the library accepts is 8 KiB.
        .max_buf_size(header_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PROBE)
        .keep_alive_timeout(PROBE)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
        Protocol::Detected => builder,
    }
}

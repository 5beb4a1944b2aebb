//! The settings of the gateway, as plain values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemas::body::MAX_MESSAGE_BYTES;

/// Where and how the gateway listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// The address. Without TLS it must be a loopback address. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// The files of TLS; `None` serves clear text.
    pub tls: Option<TlsFiles>,
    /// The limits.
    pub limits: Limits,
}

/// The files of TLS, PEM. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The gateway's certificate, followed by intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of client certificates; `None` accepts tokens only.
    pub client_ca: Option<PathBuf>,
}

/// The limits of the gateway. Each has a safe default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, as the exchange limits it.
    pub message_bytes: usize,
    /// Messages in one response.
    pub max_messages: usize,
    /// Bytes of all headers of a request.
    pub header_bytes: u32,
    /// Headers of a request.
    pub headers: usize,
    /// Concurrent connections.
    pub connections: usize,
    /// Concurrent requests of all parties.
    pub requests: usize,
    /// Concurrent requests of one party, so that one cannot take all of them.
    pub party_requests: usize,
    /// Concurrent requests of one HTTP/2 connection.
    pub streams: u32,
    /// Requests per second of each party.
    pub requests_per_second: u32,
    /// Requests that a party may send at once after a pause.
    pub burst: u32,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for the headers of a request, and until a connection has an authenticated request.
    pub header_time: Duration,
    /// Time for the body of a request.
    pub body_time: Duration,
    /// Longest wait for new messages in a read of a feed.
    pub max_wait: Duration,
    /// Time for one request, without such a wait.
    pub request_time: Duration,
    /// Age at which a connection is closed after its requests in flight, so that changed certificates take effect.
    pub connection_age: Duration,
    /// Time for requests in flight at a stop.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: MAX_MESSAGE_BYTES,
            max_messages: 1_000,
            header_bytes: 16 * 1024,
            headers: 64,
            connections: 512,
            requests: 256,
            party_requests: 64,
            streams: 64,
            requests_per_second: 500,
            burst: 1_000,
            handshake: Duration::from_secs(10),
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            max_wait: Duration::from_secs(30),
            request_time: Duration::from_secs(60),
            connection_age: Duration::from_secs(600),
            shutdown: Duration::from_secs(20),
        }
    }
}

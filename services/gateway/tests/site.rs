//! A gateway with the bureau, two recipients and an auditor, and clients for it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use exchange_testing::memory::Memory;
use gateway::{
    GatewayConfig, Limits, Parts, PartyAccess, PartyIdentity, Role, Serving, TlsFiles, TokenEntry,
    TokenRegistry, serve,
};
use schemas::name::{PartyName, RecipientName};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTIES: [(&str, Role); 4] = [
    ("bureau", Role::Bureau),
    ("insurer-a", Role::Recipient),
    ("insurer-b", Role::Recipient),
    ("auditor", Role::Auditor),
];

pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: Serving,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), None, Vec::new()).await
    }

    pub(crate) async fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self::with(limits, None, Vec::new()).await
    }

    pub(crate) async fn with(limits: Limits, tls: Option<TlsFiles>, identities: Vec<PartyIdentity>) -> Self {
        Self::start_with(parts(limits, tls, identities)).await
    }

    pub(crate) async fn start_with(parts: Parts) -> Self {
        let stop = CancellationToken::new();
        let serving = serve(parts, stop.clone()).await.unwrap();
        Self {
            addr: serving.addr,
            stop,
            serving,
        }
    }

    /// Waits until no connection and no request is left: nothing of a client that disappeared is kept.
    pub(crate) async fn wait_until_idle(&self) {
        let idle = async {
            loop {
                let status = self.serving.report.status();
                if status["connections"] == 0 && status["requests_in_flight"] == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        // Only a failure reaches the limit.
        let ended = tokio::time::timeout(Duration::from_secs(60), idle).await;
        assert!(ended.is_ok(), "{}", self.serving.report.status());
    }

    /// Sends one request of a party and returns the response.
    pub(crate) async fn call(
        &self,
        party: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Reply {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {length}\r\n{headers}\r\n",
            token_of(party)
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn get(&self, party: &str, path: &str) -> Reply {
        self.call(party, "GET", path, "", b"").await
    }

    pub(crate) async fn put(&self, party: &str, path: &str, condition: &str, body: &[u8]) -> Reply {
        let headers = match condition {
            "" => String::new(),
            "*" => "If-None-Match: *\r\n".to_owned(),
            sequence => format!("If-Match: \"{sequence}\"\r\n"),
        };
        self.call(party, "PUT", path, &headers, body).await
    }

    /// Sends bytes and returns the response up to the end of the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> Reply {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        exchange_bytes(stream, request).await
    }

    /// Stops the gateway and waits for its end.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.serving.task.await.unwrap();
    }
}

/// Returns an empty exchange with both recipients.
pub(crate) fn memory() -> Arc<Memory> {
    let recipients = ["insurer-a", "insurer-b"].map(|name| RecipientName::new(name).unwrap());
    Arc::new(Memory::new(&recipients))
}

pub(crate) fn parts(limits: Limits, tls: Option<TlsFiles>, identities: Vec<PartyIdentity>) -> Parts {
    parts_over(&memory(), limits, tls, identities)
}

pub(crate) fn parts_over(
    exchange: &Arc<Memory>,
    limits: Limits,
    tls: Option<TlsFiles>,
    identities: Vec<PartyIdentity>,
) -> Parts {
    let access = |(name, role)| PartyAccess {
        name: PartyName::new(name).unwrap(),
        role,
        exchange: exchange.clone(),
    };
    let mut tokens: Vec<TokenEntry> = PARTIES
        .iter()
        .map(|(name, role)| entry(name, *role, name, false))
        .collect();
    tokens.push(entry("expired", Role::Recipient, "insurer-a", true));
    tokens.push(entry("absent", Role::Recipient, "insurer-c", false));
    Parts {
        config: GatewayConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls,
            limits,
        },
        parties: PARTIES.map(access).into(),
        identities,
        tokens: Arc::new(TokenRegistry::new(tokens)),
        mounted: None,
    }
}

pub(crate) fn token_of(party: &str) -> String {
    format!("token-of-{party}")
}

fn entry(id: &str, role: Role, party: &str, is_expired: bool) -> TokenEntry {
    let day = |text: &str| text.parse().unwrap();
    TokenEntry {
        id: id.to_owned(),
        party: PartyName::new(party).unwrap(),
        role,
        sha256: hex::encode(Sha256::digest(token_of(id).as_bytes())),
        created_at: day("2019-01-01T00:00:00Z"),
        expires_at: day(if is_expired {
            "2020-01-01T00:00:00Z"
        } else {
            "2999-01-01T00:00:00Z"
        }),
        note: String::new(),
        console: None,
    }
}

/// Sends bytes and reads the response up to the end of the connection.
pub(crate) async fn exchange_bytes(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Reply {
    // A server that refuses early may close before everything is sent.
    let _ = stream.write_all(request).await;
    read_reply(&mut stream).await
}

/// Reads a response up to the end of the connection.
pub(crate) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..length]);
    }
    Reply::parse(&bytes)
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let (status, lines) = head.split_once("\r\n").unwrap_or((head, ""));
        let headers = lines.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// Returns a header; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the name of the problem, and checks what every problem has.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        for field in ["title", "detail", "remedy"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        let name = problem["type"]
            .as_str()
            .and_then(|name| name.strip_prefix("urn:slacktide:problem:"));
        name.unwrap().to_owned()
    }
}

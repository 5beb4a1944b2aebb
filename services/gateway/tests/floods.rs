//! Clients that take what they can get: connections, headers, streams. The gateway ends them, keeps nothing of them, and answers
//! the others.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::{Site, token_of};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of HTTP/2 frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Returns the headers of a GET request in HPACK: indexed fields of the static table, and literal texts.
fn get(path: &str, party: &str) -> Vec<u8> {
    let bearer = format!("Bearer {}", token_of(party));
    // :method GET, :scheme http
    let mut block = vec![0x82, 0x86];
    for (name, value) in [
        (&[0x04_u8][..], path),
        (&[0x01], "x"),
        (&[0x0f, 0x08], bearer.as_str()),
    ] {
        block.extend(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

async fn connect(site: &Site) -> TcpStream {
    let mut stream = TcpStream::connect(site.addr).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Sends frames and a ping while it reads. Returns the error code of the GOAWAY that ends the connection, or `None` if the ping is
/// answered, and with it everything before it.
async fn goaway(stream: TcpStream, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Option<u32> {
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let last = std::iter::once(frame(PING, 0, 0, b"the last"));
        for frame in frames.chain(last) {
            if writer.write_all(&frame).await.is_err() {
                break;
            }
        }
        // The connection stays open on this side: only the gateway ends it.
        writer
    });
    let mut code = None;
    let mut head = [0; 9];
    while reader.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if reader.read_exact(&mut payload).await.is_err() {
            break;
        }
        if head[3] == PING && payload == b"the last" {
            return None;
        }
        if head[3] == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
    drop(writing.await);
    assert!(code.is_some(), "the connection ended without GOAWAY");
    code
}

/// The attack of CVE-2023-44487: requests that are cancelled at once, so that no limit of concurrent ones holds.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_http_2_resets_is_stopped_or_worked_off() {
    let site = Site::start().await;
    for party in ["insurer-a", "unknown"] {
        let stream = connect(&site).await;
        let block = get("/v1/ping", party);
        let frames = (0..20_000_u32).flat_map(move |request| {
            let id = request * 2 + 1;
            [
                frame(HEADERS, END_STREAM | END_HEADERS, id, &block),
                frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()),
            ]
        });
        // A client that is too fast gets ENHANCE_YOUR_CALM.
        let code = goaway(stream, frames).await;
        assert!([None, Some(0xb)].contains(&code), "GOAWAY with {code:?}");
        assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    }
    site.wait_until_idle().await;
    site.end().await;
}

/// Headers that never end: the attack of the CONTINUATION flood.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_http_2_headers_ends_the_connection() {
    let site = Site::start().await;
    let stream = connect(&site).await;
    let block = get("/v1/ping", "insurer-a");
    // A literal header without indexing: x: 100 bytes.
    let mut filler = vec![0x00, 1, b'x', 100];
    filler.extend([b'y'; 100]);
    let filler = filler.repeat(150);
    let first = std::iter::once(frame(HEADERS, END_STREAM, 1, &block));
    let frames = first.chain((0..20_000).map(move |_| frame(CONTINUATION, 0, 1, &filler)));
    let code = goaway(stream, frames).await;
    assert!([Some(0x1), Some(0xb)].contains(&code), "GOAWAY with {code:?}");
    assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    site.wait_until_idle().await;
    site.end().await;
}

/// Frames that each need an answer, from a client that reads none: they must not pile up.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_http_2_pings_without_reading_is_bounded() {
    let site = Site::with_limits(|limits| limits.header_time = Duration::from_millis(500)).await;
    let mut stream = connect(&site).await;
    let ping = frame(PING, 0, 0, &[0; 8]).repeat(1_000);
    // The gateway stops reading as soon as its answers are not read, and closes the connection, which has no request.
    let mut sent = 0;
    while stream.write_all(&ping).await.is_ok() {
        sent += 1;
        assert!(sent < 50_000, "50 million pings were accepted");
    }
    drop(stream);
    site.wait_until_idle().await;
    site.end().await;
}

/// All connections are taken by clients that send their headers byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_slow_headers_does_not_keep_others_out() {
    let site = Site::with_limits(|limits| {
        limits.connections = 16;
        limits.header_time = Duration::from_millis(300);
    })
    .await;
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let addr = site.addr;
        slow.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let head = b"GET /v1/ping HTTP/1.1\r\nHost: x\r\n"
                .iter()
                .chain(b"X-A: b\r\n".iter().cycle());
            for byte in head {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    // It waits for its turn among them, and is answered.
    for _ in 0..3 {
        assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    }
    while let Some(ended) = slow.join_next().await {
        ended.unwrap();
    }
    site.wait_until_idle().await;
    site.end().await;
}

/// All requests of one party are taken by bodies that do not arrive.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_slow_bodies_takes_only_the_partys_share() {
    let site = Site::with_limits(|limits| {
        limits.party_requests = 4;
        limits.requests = 32;
        limits.body_time = Duration::from_secs(1);
    })
    .await;
    let head = format!(
        "POST /v1/requests HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 100\r\n\r\nx",
        token_of("insurer-a")
    );
    let mut slow = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    for stream in &mut slow {
        let late = crate::site::read_reply(stream).await;
        // 408 for the bodies that were waited for, 503 for those that had to wait for them.
        assert!([408, 503].contains(&late.status), "{late:?}");
    }
    drop(slow);
    site.wait_until_idle().await;
    assert_eq!(site.get("insurer-a", "/v1/ping").await.status, 200);
    site.end().await;
}

/// A client that reads nothing of a long answer.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_pipelined_requests_without_reading_is_bounded() {
    let site = Site::with_limits(|limits| {
        limits.connection_age = Duration::from_millis(500);
        limits.shutdown = Duration::from_millis(500);
    })
    .await;
    let mut stream = TcpStream::connect(site.addr).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let mut sent = 0;
    // The gateway stops reading as soon as its answers are not read, until the connection is too old.
    while stream.write_all(request.as_bytes()).await.is_ok() {
        sent += 1;
        assert!(sent < 20_000, "two million requests were accepted");
    }
    assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    drop(stream);
    site.wait_until_idle().await;
    site.end().await;
}

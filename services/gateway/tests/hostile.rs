//! Messages, tokens and cursors of an attacker: refused, nothing stored, nothing shown.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use exchange::RequestExchange;
use exchange::port::Stream;
use gateway::token::{digest_of, file};
use gateway::{Limits, Role, TokenRegistry};
use jiff::Timestamp;
use schemas::name::{PartyName, RecipientName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::Fixture;
use crate::site::{Site, memory, parts_over};

const MESSAGE: &str = "Content-Type: application/vnd.slacktide.message\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// Bodies that are no message: not MessagePack, cut off, of other types, with lengths that nothing follows, nested without end.
fn malformed() -> Vec<Vec<u8>> {
    let mut bodies = vec![
        b"\xc1".to_vec(),
        b"{\"json\": true}".to_vec(),
        b"\x94\xa7request\xc4\x02{}\xc4\x00".to_vec(),
        b"\x94\xa7request\xc4\x02{}\xc4\x00\xc4\x00".to_vec(),
        b"\x94\xa7request\xc4\x04\xff\xfe\xff\xfe\xc4\x00\xc4\x00".to_vec(),
        b"\x94\xa2\xff\xfe\xc4\x02{}\xc4\x00\xc4\x00".to_vec(),
        b"\x94\xc0\xc0\xc0\xc0".to_vec(),
        // Four billion bytes, elements and entries that are not there.
        b"\x94\xa7request\xc6\xff\xff\xff\xff".to_vec(),
        b"\xdd\xff\xff\xff\xff".to_vec(),
        b"\xdf\xff\xff\xff\xff".to_vec(),
        b"\xdb\xff\xff\xff\xff".to_vec(),
        vec![0; 1_000],
        vec![0xff; 1_000],
    ];
    bodies.push(vec![0x91; 1_000_000]);
    bodies.push(b"\x81\xa1a".repeat(300_000));
    // A payload in JSON that is nested without end.
    let mut nested = b"\x94\xa7request\xc6\x00\x0f\x42\x40".to_vec();
    nested.extend(vec![b'['; 1_000_000]);
    nested.extend(b"\xc4\x00\xc4\x00");
    bodies.push(nested);
    bodies
}

#[tokio::test]
async fn hostile_message_is_refused_and_not_stored() {
    let exchange = memory();
    let site = Site::start_with(parts_over(&exchange, Limits::default(), None, Vec::new())).await;
    let request = "/v1/requests/20260131-abcdefgh";
    for body in malformed() {
        for (method, path, headers) in [
            ("POST", "/v1/requests", MESSAGE.to_owned()),
            (
                "PUT",
                "/v1/feeds/claims/position",
                format!("{MESSAGE}If-Match: \"0\"\r\n"),
            ),
            ("DELETE", request, MESSAGE.to_owned()),
        ] {
            let reply = site.call("insurer-a", method, path, &headers, &body).await;
            let start = &body[..body.len().min(20)];
            assert_eq!(
                (reply.status, reply.problem().as_str()),
                (422, "invalid-message"),
                "{method} {path} {start:?}"
            );
            let shown = String::from_utf8(reply.body).unwrap();
            assert!(shown.len() < 1_000, "{shown}");
        }
    }
    let insurer: RecipientName = "insurer-a".parse().unwrap();
    let ids = exchange.request_ids(&insurer, Stream::Requests).await.unwrap();
    assert!(ids.is_empty(), "{ids:?}");
    let position = site.get("insurer-a", "/v1/feeds/claims/position").await;
    assert_eq!((position.status, position.header("etag")), (204, "\"0\""));
    site.end().await;
}

#[tokio::test]
async fn hostile_json_is_refused() {
    let site = Site::start().await;
    let (arrays, objects) = (b"[".repeat(200_000), b"{\"deliveries\":".repeat(100_000));
    for body in [
        &b"\xff\xfe"[..],
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{\"settlement\": \"ack\", \"deliveries\": [], \"settlement\": \"nak\"}",
        b"{\"settlement\": \"ack\", \"deliveries\": [], \"party\": \"insurer-b\"}",
        b"{\"settlement\": \"a\xffck\", \"deliveries\": []}",
        b"{\"settlement\": \"ack\", \"deliveries\": [], \"delay_ms\": 0.5}",
        b"{\"settlement\": \"ack\", \"deliveries\": [], \"delay_ms\": -1}",
        b"{\"settlement\": \"ack\", \"deliveries\": [], \"delay_ms\": 1e300}",
        &arrays[..],
        &objects[..],
    ] {
        let reply = site
            .call("insurer-a", "POST", "/v1/settlements", JSON, body)
            .await;
        let start = String::from_utf8_lossy(&body[..body.len().min(80)]);
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (400, "bad-request"),
            "{start}"
        );
    }
    // A whole number is one in every spelling of JSON.
    let whole = b"{\"settlement\": \"nak\", \"deliveries\": [], \"delay_ms\": 1.5e1}";
    let reply = site
        .call("insurer-a", "POST", "/v1/settlements", JSON, whole)
        .await;
    assert_eq!(reply.status, 204, "{reply:?}");
    site.end().await;
}

#[tokio::test]
async fn hostile_bytes_in_headers_are_refused() {
    let site = Site::start().await;
    for (header, status) in [
        (&b"Idempotency-Key: \xff\xfe\r\n"[..], 400),
        (b"Idempotency-Key: \r\n", 400),
        (b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n", 400),
        (b"Content-Encoding: gzip\r\n", 415),
        (b"Repr-Digest: sha-256=:AAAA:\r\n", 422),
        (b"Name with blanks: 1\r\n", 400),
        (b"Folded: 1\r\n  2\r\n", 400),
        (b"Null: \x00\r\n", 400),
    ] {
        let mut request =
            b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ".to_vec();
        request.extend(b"token-of-insurer-a\r\nContent-Length: 1\r\n");
        request.extend(header);
        request.extend(b"\r\nx");
        let reply = site.raw(&request).await;
        let name = String::from_utf8_lossy(header);
        // A body that is no message is found after the headers, and never stored.
        let is_refused = reply.status == status || (name.starts_with("Idempotency") && reply.status == 422);
        assert!(is_refused, "{name}: {reply:?}");
    }
    site.end().await;
}

/// Two lengths of one body are how a request is hidden from a proxy.
#[tokio::test]
async fn hostile_request_hidden_in_a_body_is_not_answered() {
    let site = Site::start().await;
    let hidden = "GET /v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-bureau\r\n\r\n";
    let length = hidden.len();
    for lengths in [
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0, {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        "Content-Length: 0\r\nTransfer-Encoding: gzip\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
    ] {
        let request = format!(
            "POST /v1/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-insurer-a\r\n{lengths}\r\n{hidden}"
        );
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers);
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answers}");
        assert!(answers.starts_with("HTTP/1.1 400 "), "{lengths}: {answers}");
    }
    site.end().await;
}

#[tokio::test]
async fn hostile_cursor_of_another_party_shows_nothing() {
    let exchange = memory();
    let mut fixtures = Vec::new();
    for recipient in ["insurer-a", "insurer-b"] {
        let mut fixture = Fixture::new();
        fixture.exchange = exchange.clone();
        fixture.lane.recipient = recipient.parse().unwrap();
        fixture.publish_next(&[4_711]).await;
        fixture.publish_next(&[4_712]).await;
        fixtures.push(fixture);
    }
    let site = Site::start_with(parts_over(&exchange, Limits::default(), None, Vec::new())).await;
    let feed = site.get("insurer-a", "/v1/feeds/claims").await.json();
    let cursor = feed["oldest"]["cursor"].as_str().unwrap().to_owned();
    let own = site
        .get("insurer-a", &format!("/v1/feeds/claims/rows?after={cursor}"))
        .await;
    assert_eq!(own.status, 200);
    assert!(String::from_utf8(own.body).unwrap().contains("4712"));
    for kind in ["rows", "chunks"] {
        let path = format!("/v1/feeds/claims/{kind}?after={cursor}");
        let foreign = site.get("insurer-b", &path).await;
        assert_eq!(
            (foreign.status, foreign.problem().as_str()),
            (410, "cursor-gone"),
            "{foreign:?}"
        );
        let named = site
            .get("insurer-b", &format!("{path}&recipient=insurer-a"))
            .await;
        assert_eq!((named.status, named.problem().as_str()), (403, "denied"));
        for reply in [foreign, named] {
            let shown = String::from_utf8(reply.body).unwrap();
            assert!(!shown.contains("471"), "{shown}");
        }
    }
    site.end().await;
}

/// The same bytes as before, on the same connection, after the token was revoked or has expired.
#[tokio::test]
async fn hostile_replay_of_an_ended_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    let party = PartyName::new("insurer-a").unwrap();
    let entry = |id: &str, expires_at: String| {
        serde_json::json!({
            "id": id,
            "party": "insurer-a",
            "role": "recipient",
            "sha256": digest_of(id),
            "created_at": "2019-01-01T00:00:00Z",
            "expires_at": expires_at,
            "note": "",
        })
    };
    let soon = Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let tokens = [
        entry("revoked", "2999-01-01T00:00:00Z".to_owned()),
        entry("short", soon.to_string()),
    ];
    fs::write(&path, serde_json::json!({ "tokens": tokens }).to_string()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // The test asks until the token ends, as fast as it can.
    let limits = Limits {
        requests_per_second: 100_000,
        burst: 1_000_000,
        ..Limits::default()
    };
    let mut parts = parts_over(&memory(), limits, None, Vec::new());
    let roles = BTreeMap::from([(party.clone(), Role::Recipient)]);
    parts.tokens = TokenRegistry::read(&path).unwrap().for_roles(roles).into();
    let site = Site::start_with(parts).await;
    for token in ["short", "revoked"] {
        let request = format!("GET /v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        let first = next_status(&mut stream, &request).await;
        // A machine that is slow enough is past the expiry already.
        assert!(
            first == 200 || (token == "short" && Timestamp::now() >= soon),
            "{first}"
        );
        if token == "revoked" {
            file::revoke(&path, token).unwrap();
        }
        // The file is read again when it changed; an expiry takes effect when its time has come.
        let mut status = 200;
        while status == 200 {
            status = next_status(&mut stream, &request).await;
        }
        assert_eq!(status, 401);
        for _ in 0..3 {
            assert_eq!(next_status(&mut stream, &request).await, 401);
        }
    }
    site.end().await;
}

/// Sends a request on an open connection and returns the status of its response.
async fn next_status(stream: &mut TcpStream, request: &str) -> u16 {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

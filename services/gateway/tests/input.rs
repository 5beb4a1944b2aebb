//! Malformed, oversized and slow requests.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::{Site, read_reply, token_of};

#[tokio::test]
async fn malformed_path_or_query_is_a_problem() {
    let site = Site::start().await;
    for (path, status, problem) in [
        ("/", 404, "not-found"),
        ("/v1/lanes//claims/tail", 400, "bad-request"),
        ("//v1/ping", 404, "not-found"),
        ("/v1/ping/", 404, "not-found"),
        ("/v1/../v1/ping", 404, "not-found"),
        ("/V1/ping", 404, "not-found"),
        ("/v1/lanes/insurer-a/../tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/%2e%2e/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/%2e/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/a%2fb/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/claims%00/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/%ff%fe/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/Claims/tail", 400, "bad-request"),
        ("/v1/lanes/insurer-a/%3E/tail", 400, "bad-request"),
        ("/v1/requests/no-id/reply?recipient=insurer-a", 400, "bad-request"),
        (
            "/v1/requests/20260131-abcdefgh/parts/0/1?recipient=insurer-a",
            400,
            "bad-request",
        ),
        (
            "/v1/requests/20260131-abcdefgh/parts/1/01?recipient=insurer-a",
            400,
            "bad-request",
        ),
        ("/v1/ping?other=1", 400, "bad-request"),
        ("/v1/ping?recipient=insurer-a", 400, "bad-request"),
        ("/v1/requests/open?recipient=insurer-a&max=-1", 400, "bad-request"),
        (
            "/v1/requests/open?recipient=insurer-a&max=1&max=2",
            400,
            "bad-request",
        ),
        ("/v1/requests/open?recipient=%00", 400, "bad-request"),
        ("/v1/streams/data/messages?filter=data.%3E", 400, "bad-request"),
    ] {
        let reply = site.get("bureau", path).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (status, problem),
            "{path}"
        );
    }
    let bad_line = site.raw(b"GET /v1/ ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(bad_line.status, 400);
    site.end().await;
}

#[tokio::test]
async fn method_that_a_resource_does_not_have_is_405() {
    let site = Site::start().await;
    let refused = site.call("bureau", "DELETE", "/v1/leases/core", "", b"").await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (405, "method-not-allowed")
    );
    let mut allowed: Vec<&str> = refused.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PUT"]);
    site.end().await;
}

#[tokio::test]
async fn body_above_the_limit_is_413_with_the_limit() {
    let site = Site::with_limits(|limits| limits.message_bytes = 1_000).await;
    let path = "/v1/lanes/insurer-a/claims/tail";
    let declared = site.put("bureau", path, "0", &[b'x'; 1_001]).await;
    assert_eq!((declared.status, declared.problem().as_str()), (413, "too-large"));
    assert!(
        declared.json()["detail"].as_str().unwrap().contains("1000 bytes"),
        "{declared:?}"
    );

    let chunk = format!("258\r\n{}\r\n", "x".repeat(0x258));
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIf-Match: \"0\"\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        token_of("bureau")
    );
    let undeclared = site
        .raw(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes())
        .await;
    assert_eq!(
        (undeclared.status, undeclared.problem().as_str()),
        (413, "too-large")
    );
    assert_eq!(undeclared.header("connection"), "close");
    assert_eq!(site.put("bureau", path, "0", &[b'x'; 1_000]).await.status, 204);
    site.end().await;
}

#[tokio::test]
async fn headers_above_the_limits_are_refused() {
    let site = Site::start().await;
    let many = "X-Filler: 1\r\n".repeat(200);
    assert_eq!(
        site.call("bureau", "GET", "/v1/ping", &many, b"").await.status,
        431
    );
    let long = format!("X-Filler: {}\r\n", "x".repeat(40_000));
    assert_eq!(
        site.call("bureau", "GET", "/v1/ping", &long, b"").await.status,
        431
    );
    site.end().await;
}

#[tokio::test]
async fn body_that_is_too_slow_is_408() {
    let site = Site::with_limits(|limits| limits.body_time = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(site.addr).await.unwrap();
    let head = format!(
        "PUT /v1/leases/core HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIf-Match: \"0\"\r\n\
         Content-Length: 10\r\n\r\nhalf",
        token_of("bureau")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let late = read_reply(&mut stream).await;
    assert_eq!((late.status, late.problem().as_str()), (408, "request-timeout"));
    assert_eq!(site.get("bureau", "/v1/leases/core").await.status, 204);
    site.end().await;
}

#[tokio::test]
async fn connection_that_sends_no_request_is_closed() {
    let site = Site::with_limits(|limits| limits.header_time = Duration::from_millis(100)).await;
    for begun in [
        &b""[..],
        b"P",
        b"PRI * HT",
        b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nX-",
    ] {
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(!rest.contains(" 200 "), "{rest}");
    }
    site.end().await;
}

#[tokio::test]
async fn request_id_is_the_gateways_own() {
    let site = Site::start().await;
    let headers = "X-Request-Id: forged\r\n";
    let first = site.call("bureau", "GET", "/v1/ping", headers, b"").await;
    let second = site.get("bureau", "/v1/ping").await;
    let ids = [first.header("x-request-id"), second.header("x-request-id")];
    assert!(ids.iter().all(|id| id.len() == 32) && ids[0] != ids[1], "{ids:?}");
    site.end().await;
}

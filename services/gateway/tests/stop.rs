//! The end of connections when the gateway stops.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::site::{Site, read_reply, token_of};

#[tokio::test]
async fn stop_lets_a_request_in_flight_finish() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.addr).await.unwrap();
    let head = format!(
        "PUT /v1/leases/core HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIf-Match: \"0\"\r\n\
         Content-Length: 8\r\n\r\nhalf",
        token_of("bureau")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    wait_for_request(&site).await;
    site.stop.cancel();
    stream.write_all(b"half").await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 204);
    site.serving.task.await.unwrap();
    assert!(TcpStream::connect(site.addr).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn stop_ends_http_2_after_its_requests() {
    let site = Site::start().await;
    let stream = TcpStream::connect(site.addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let (body, frames) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(frames, async |mut frames| {
        let bytes = frames.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(bytes)), frames))
    });
    let request = |body: Body| {
        Request::put(format!("http://{}/v1/leases/core", site.addr))
            .header("authorization", format!("Bearer {}", token_of("bureau")))
            .header("if-match", "\"0\"")
            .body(body)
            .unwrap()
    };
    let in_flight = tokio::spawn(sender.send_request(request(Body::new(StreamBody::new(frames)))));
    body.send(Bytes::from_static(b"half")).await.unwrap();
    wait_for_request(&site).await;
    site.stop.cancel();
    body.send(Bytes::from_static(b"half")).await.unwrap();
    drop(body);
    let response = in_flight.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    // GOAWAY: the connection ends without an error, and takes no further request.
    connection.await.unwrap().unwrap();
    assert!(sender.send_request(request(Body::from("late"))).await.is_err());
    site.serving.task.await.unwrap();
}

#[tokio::test]
async fn stop_does_not_wait_for_a_stalled_request() {
    let site = Site::with_limits(|limits| limits.shutdown = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(site.addr).await.unwrap();
    let head = format!(
        "PUT /v1/leases/core HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIf-Match: \"0\"\r\n\
         Content-Length: 8\r\n\r\nhalf",
        token_of("bureau")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    wait_for_request(&site).await;
    let _idle = TcpStream::connect(site.addr).await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn connection_above_its_age_is_closed() {
    let site = Site::with_limits(|limits| limits.connection_age = Duration::from_millis(100)).await;
    let stream = TcpStream::connect(site.addr).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream));
    let (_sender, connection) = handshake.await.unwrap();
    connection.await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn connection_without_a_credential_is_closed() {
    let site = Site::with_limits(|limits| limits.header_time = Duration::from_secs(1)).await;
    let stream = TcpStream::connect(site.addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/docs", site.addr))
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        sender.send_request(request).await.unwrap().status(),
        StatusCode::OK
    );
    connection.await.unwrap().unwrap();
    site.end().await;
}

/// Waits until the gateway runs a request.
async fn wait_for_request(site: &Site) {
    while site.serving.report.status()["requests_in_flight"] != 1 {
        tokio::task::yield_now().await;
    }
}

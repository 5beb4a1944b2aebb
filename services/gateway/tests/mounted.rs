//! Pages that the binary mounts next to the interface.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, StatusCode};
use axum::routing::get;
use gateway::{Limits, Mounted, client, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::site::{Site, parts};

/// Answers with what a page learns of its client, and keeps the connection if `note` is set.
fn pages(note: bool) -> Router {
    let page = async move |extensions: Extensions| {
        if note {
            client::note_authenticated(&extensions);
        }
        let certificate = client::certificate(&extensions, jiff::Timestamp::now());
        format!("page for {:?} {certificate:?}", client::peer(&extensions))
    };
    let stream = async move |extensions: Extensions| {
        if note {
            client::note_authenticated(&extensions);
        }
        let ticks = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(25)).await;
            Some((Ok::<_, Infallible>("tick"), ()))
        });
        Body::from_stream(ticks)
    };
    Router::new()
        .route("/console", get(page))
        .route("/console/stream", get(stream))
        .route("/console/missing", get(async || StatusCode::NOT_FOUND))
}

async fn start(note: bool, limits: Limits) -> Site {
    let stop = CancellationToken::new();
    let mut parts = parts(limits, None, Vec::new());
    parts.mounted = Some(Mounted {
        path: "/console",
        router: pages(note),
    });
    let serving = serve(parts, stop.clone()).await.unwrap();
    Site {
        addr: serving.addr,
        stop,
        serving,
    }
}

fn request(path: &str, connection: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn mounted_pages_answer_below_their_path_alone() {
    let site = start(true, Limits::default()).await;
    let page = site.raw(&request("/console", "close")).await;
    assert_eq!(
        (page.status, page.body.as_slice()),
        (200, &b"page for Some(127.0.0.1) None"[..])
    );
    // A page's own error stays a page; the interface's is a problem.
    let missing = site.raw(&request("/console/missing", "close")).await;
    assert_eq!((missing.status, missing.header("content-type")), (404, ""));
    let other = site.raw(&request("/consoles", "close")).await;
    assert_eq!((other.status, other.problem().as_str()), (404, "not-found"));
    let root = site.raw(&request("/", "close")).await;
    assert_eq!((root.status, root.header("location")), (303, "/console"));
    assert_eq!(site.get("insurer-a", "/v1/ping").await.status, 200);
    site.end().await;
}

/// A stream of a page without a session ends soon, as a connection without a credential does; one of a session goes on.
#[tokio::test]
async fn mounted_stream_goes_on_once_authenticated() {
    let limits = Limits {
        header_time: Duration::from_millis(100),
        ..Limits::default()
    };
    for is_authenticated in [false, true] {
        let site = start(is_authenticated, limits.clone()).await;
        let mut stream = TcpStream::connect(site.addr).await.unwrap();
        stream
            .write_all(&request("/console/stream", "keep-alive"))
            .await
            .unwrap();
        let (mut buffer, mut reads) = ([0; 4096], 0);
        // Each tick is a read; forty of them take ten times the limit.
        while reads < 40 {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => reads += 1,
            }
        }
        assert_eq!(reads == 40, is_authenticated, "{reads}");
        drop(stream);
        site.end().await;
    }
}

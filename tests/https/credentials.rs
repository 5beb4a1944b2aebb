//! Tokens and certificates that are refused, or replaced while connections are open.

use std::sync::{Arc, Mutex};

use exchange::{Connection, ErrorKind, Exchange, FeedExchange};
use harness::until;
use web::WebExchange;

use super::scene::{SOON, Scene, insurer, lane, token, wait_for};

async fn refusal(options: web::Options) -> exchange::Error {
    WebExchange::connect(options).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_that_is_refused_fails_at_once_with_the_remedy() {
    let scene = Scene::start().await;
    let gateway = scene.gateway().await;
    let url = gateway.url();
    for wait in [true, false] {
        let options = |party: &str| web::Options {
            wait,
            ..scene.options(&url, party)
        };
        let error = refusal(options("bureau").with_token("unknown")).await;
        assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
        assert!(error.to_string().contains("gateway token new"), "{error}");
        let error = refusal(web::Options {
            token: None,
            ..options("bureau")
        })
        .await;
        assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
        // A token of another party.
        let error = refusal(options("bureau").with_token(token("insurer-b"))).await;
        assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
        assert!(error.what.contains("insurer-b"), "{error}");
    }
    // What the exchange does not permit the party is denied.
    let insurer_b = scene.connect(&url, "insurer-b").await;
    let error = insurer_b.fetch_chunks(&insurer(), 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert_eq!(*insurer_b.connection().borrow(), Connection::Connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_is_refused_is_reported_as_such() {
    let scene = Scene::start().await;
    let gateway = scene.gateway().await;
    let other = tempfile::tempdir().unwrap();
    let other = super::certificates::Certificates::write(other.path());
    // The gateway's, by another authority.
    let foreign = scene.options(&gateway.url(), "bureau").over(Some(other.trust()));
    let error = refusal(foreign).await;
    assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
    assert!(error.what.contains("not signed by an authority"), "{error}");
    // The client's.
    let mixed = web::Tls {
        client: other.client().client,
        ..scene.certificates.trust()
    };
    let error = refusal(scene.options(&gateway.url(), "insurer-a").over(Some(mixed))).await;
    assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
    // A gateway without TLS.
    let plain = scene.plain_gateway().await;
    let url = plain.url().replace("http:", "https:");
    let error = refusal(scene.options(&url, "bureau")).await;
    assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
    // A file that is missing.
    let gone = web::Tls {
        ca: Some(scene.certificates.path("gone.pem")),
        client: None,
    };
    let error = refusal(scene.options(&gateway.url(), "bureau").over(Some(gone))).await;
    assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
    assert!(error.what.contains("gone.pem"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_replaces_the_token() {
    let scene = Scene::start().await;
    let gateway = scene.gateway().await;
    let options = web::Options {
        token: None,
        ..scene.options(&gateway.url(), "insurer-a")
    };
    let insurer_a = WebExchange::connect(options.over(Some(scene.certificates.client())))
        .await
        .unwrap();
    assert!(insurer_a.is_drained(&insurer()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn token_and_certificates_are_replaced_while_agents_run() {
    let scene = Scene::start().await;
    let mut gateway = scene.gateway().await;
    let file = Arc::new(Mutex::new(token("bureau")));
    let read = Arc::clone(&file);
    let options = scene
        .options(&gateway.url(), "bureau")
        .reading_token(Some(Arc::new(move || Some(read.lock().unwrap().clone()))));
    let bureau = WebExchange::connect(options).await.unwrap();
    // The token: refused until the file has the new one, which the open connection uses at once.
    gateway
        .restart_with(|setup| setup.parties[0].token = "the-new-token".to_owned())
        .await;
    until("the refusal", SOON, async || {
        let error = bureau.last_chunk(&lane("rotated")).await.unwrap_err();
        error.kind == ErrorKind::Unauthenticated
    })
    .await;
    wait_for(&bureau, false).await;
    *file.lock().unwrap() = "the-new-token".to_owned();
    wait_for(&bureau, true).await;
    bureau.last_chunk(&lane("rotated")).await.unwrap();
    // A new authority and certificates: the next connection reads the files again.
    scene.certificates.sign();
    gateway.restart().await;
    until("the new certificates", SOON, async || {
        bureau.ping().await.map(|_| ())
    })
    .await;
}

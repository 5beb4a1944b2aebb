//! The console on a running gateway: a session of a token, from the login to the revocation.

use serde_json::Value;

use super::gateway_site::{Answer, GatewaySite, wait_rows};
use crate::pipeline::site::Site;

/// Returns a cookie of a response as `name=value`.
fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Returns the hidden token of a page's form with this id.
fn form_token(page: &Answer, form: &str) -> String {
    let form = page.body.split(&format!("id=\"{form}\"")).nth(1).unwrap();
    let value = form.split("name=\"csrf\" value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}

/// Returns a page of a session, which needs no bearer token.
async fn page(gateway: &GatewaySite, cookie: &str, path: &str) -> Answer {
    gateway.open("GET", path, &[("Cookie", cookie)], b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn console_session_ends_with_its_token() {
    let site = Site::start("reader_console", 20, "mode = \"open\"").await;
    let social = site.social("social");
    let gateway = GatewaySite::start(&site.file("."), &site.nats.url()).await;
    let interface = gateway.token().await;
    wait_rows(&gateway, &interface, "claim", 20).await;
    let words = [
        "token",
        "new",
        "--party",
        "insurer-a",
        "--console",
        "viewer",
        "--json",
    ];
    let created: Value = serde_json::from_str(&gateway.command(&words).await).unwrap();
    assert_eq!(created["console"], "viewer");
    let (id, token) = (
        created["id"].as_str().unwrap(),
        created["token"].as_str().unwrap(),
    );
    // It opens no row, and the token of the interface opens no page.
    let rows = gateway.get(token, "/v1/feeds/claim/rows").await;
    assert_eq!((rows.status, rows.problem().as_str()), (401, "unauthenticated"));
    let login = async |token: &str| {
        let form = gateway.open("GET", "/console/login", &[], b"").await;
        let body = format!("csrf={}&token={token}", form_token(&form, "login-token"));
        let visitor = cookie(&form);
        let headers = [
            ("Cookie", visitor.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        gateway
            .open("POST", "/console/login", &headers, body.as_bytes())
            .await
    };
    assert_eq!(login(&interface).await.status, 401);
    let opened = login(token).await;
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/console/overview"))
    );
    let session = cookie(&opened);
    let overview = page(&gateway, &session, "/console/overview").await;
    assert_eq!(overview.status, 200);
    assert!(
        overview.body.contains("id=\"who-party\">insurer-a<"),
        "{overview:?}"
    );
    let feeds = page(&gateway, &session, "/console/feeds").await;
    assert!(feeds.body.contains("insurer-a.claim"), "{feeds:?}");
    // A viewer prepares nothing.
    assert_eq!(page(&gateway, &session, "/console/orders").await.status, 403);
    gateway.command(&["token", "revoke", id]).await;
    let ended = page(&gateway, &session, "/console/overview").await;
    assert_eq!(
        (ended.status, ended.header("location")),
        (303, Some("/console/login"))
    );
    let log = gateway.process.stderr();
    assert!(!log.contains(token) && !log.contains(session.split_once('=').unwrap().1));
    gateway.stop().await;
    social.stop().await;
}

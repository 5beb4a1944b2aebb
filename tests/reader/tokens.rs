//! Tokens on a running gateway, and what a reader gets with one.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::gateway_site::{GatewaySite, wait_rows};
use crate::pipeline::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn gateway_token_is_refused_once_revoked() {
    let site = Site::start("reader_tokens", 500, "mode = \"open\"").await;
    let social = site.social("social");
    let gateway = GatewaySite::start(&site.file("."), &site.nats.url()).await;
    let created: Value = serde_json::from_str(
        &gateway
            .command(&["token", "new", "--party", "insurer-a", "--json"])
            .await,
    )
    .unwrap();
    let (id, token) = (
        created["id"].as_str().unwrap(),
        created["token"].as_str().unwrap(),
    );
    wait_rows(&gateway, token, "claim", 500).await;

    let feeds = gateway.get(token, "/v1/feeds").await.json();
    let feed = &feeds["feeds"][0];
    assert_eq!(
        (&feed["feed"], &feed["is_encrypted"]),
        (&"claim".into(), &false.into())
    );
    assert_eq!(feed["columns"].as_array().map(Vec::len), Some(6), "{feed}");
    assert_eq!(feed["oldest"]["number"], 1);
    let cursor = feed["newest"]["cursor"].as_str().unwrap();
    let caught_up = gateway
        .get(token, &format!("/v1/feeds/claim/rows?after={cursor}"))
        .await;
    assert_eq!(
        (caught_up.status, caught_up.header("retry-after")),
        (204, Some("1"))
    );
    assert_eq!(caught_up.header("slacktide-next-cursor"), Some(cursor));
    let html = gateway
        .send(
            token,
            "GET",
            "/v1/feeds/claim/rows",
            &[("Accept", "text/html")],
            b"",
        )
        .await;
    assert_eq!((html.status, html.problem()), (406, "not-acceptable".to_owned()));
    let gone = gateway
        .get(token, "/v1/feeds/claim/rows?after=1.1.1.0123456789abcdef")
        .await;
    assert_eq!((gone.status, gone.problem()), (410, "cursor-gone".to_owned()));
    assert!(gone.body.contains("start again without `after`"), "{gone:?}");
    let malformed = gateway.get(token, "/v1/feeds/claim/chunks?after=1").await;
    assert_eq!(
        (malformed.status, malformed.problem()),
        (400, "bad-request".to_owned())
    );
    let other = gateway.get(token, "/v1/feeds?recipient=insurer-b").await;
    assert_eq!((other.status, other.problem()), (403, "denied".to_owned()));
    let unknown = gateway.get(token, "/v1/feeds/nothing").await;
    assert_eq!((unknown.status, unknown.problem()), (404, "not-found".to_owned()));
    let position = gateway.get(token, "/v1/feeds/claim/position").await;
    assert_eq!((position.status, position.header("etag")), (204, Some("\"0\"")));
    let unconditional = gateway
        .send(token, "PUT", "/v1/feeds/claim/position", &[], b"x")
        .await;
    assert_eq!(
        (unconditional.status, unconditional.problem()),
        (428, "precondition-required".to_owned())
    );
    let unsigned = gateway
        .send(
            token,
            "PUT",
            "/v1/feeds/claim/position",
            &[("If-Match", "\"0\"")],
            b"x",
        )
        .await;
    assert_eq!(
        (unsigned.status, unsigned.problem()),
        (422, "invalid-message".to_owned())
    );

    let listed = gateway.command(&["token", "list"]).await;
    assert!(listed.contains(id) && !listed.contains(token), "{listed}");
    let file = std::fs::metadata(site.file("tokens.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    gateway.command(&["token", "revoke", id]).await;
    let refused = gateway.get(token, "/v1/feeds").await;
    assert_eq!(
        (refused.status, refused.problem()),
        (401, "unauthenticated".to_owned())
    );
    let log = gateway.process.stderr();
    assert!(!log.contains(token), "a token is in the log");
    gateway.stop().await;
    social.stop().await;
}

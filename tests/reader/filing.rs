//! A request that the command signs, and that another program files over the gateway.

use std::fs;

use harness::until;

use super::gateway_site::GatewaySite;
use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::RequestSite;

const SIGN: [&str; 18] = [
    "request",
    "file",
    "--kind",
    "claim.day",
    "--arg",
    "day=2026-01-02",
    "--purpose",
    "01",
    "--basis",
    "01",
    "--actor",
    "clerk",
    "--config",
    "insurer-a.toml",
    "--json",
    "--key",
    "claim 7",
    "--out",
];

#[tokio::test(flavor = "multi_thread")]
async fn gateway_signed_request_is_filed_once_and_answered() {
    let site = RequestSite::start("reader_filing", 2_000, "mode = \"open\"").await;
    let bureau = site.bureau().await;
    let gateway = GatewaySite::start(&site.file("."), &site.nats.url()).await;
    let token = gateway.token().await;
    let signed = site.json(&[&SIGN[..], &["request.bin"]].concat()).await;
    let id = signed["items"][0]["id"].as_str().unwrap().to_owned();
    let bytes = fs::read(site.file("request.bin")).unwrap();
    // Nothing was published by the command.
    let state = format!("/v1/requests/{id}");
    assert_eq!(gateway.get(&token, &state).await.status, 404);

    let post = |key: &'static str, body: Vec<u8>| {
        let (gateway, token) = (&gateway, &token);
        async move {
            gateway
                .send(token, "POST", "/v1/requests", &[("Idempotency-Key", key)], &body)
                .await
        }
    };
    let other_key = post("claim 8", bytes.clone()).await;
    assert_eq!(
        (other_key.status, other_key.problem()),
        (422, "invalid-message".to_owned())
    );
    for _ in 0..2 {
        let filed = post("claim 7", bytes.clone()).await;
        assert_eq!(
            (filed.status, filed.header("location")),
            (202, Some(state.as_str())),
            "{filed:?}"
        );
        assert!(filed.header("retry-after").is_some(), "{filed:?}");
    }
    // The same key at another time is another signature.
    site.json(&[&SIGN[..], &["again.bin"]].concat()).await;
    let again = fs::read(site.file("again.bin")).unwrap();
    assert_ne!(again, bytes);
    let conflict = post("claim 7", again).await;
    assert_eq!(
        (conflict.status, conflict.problem()),
        (409, "conflict".to_owned())
    );
    let mut altered = bytes.clone();
    let last = altered.len() - 10;
    altered[last] ^= 1;
    let altered = post("claim 7", altered).await;
    assert_eq!(
        (altered.status, altered.problem()),
        (422, "invalid-message".to_owned())
    );

    let outcome = until("the outcome", DEADLINE, async || {
        let answer = gateway.get(&token, &state).await;
        match answer.status {
            200 => Ok(answer.json()),
            202 => Err(format!("{answer:?}")),
            other => panic!("{other}: {answer:?}"),
        }
    })
    .await;
    assert_eq!(outcome["outcome"], "answered", "{outcome}");
    let result = format!("{state}/result");
    let json = gateway.get(&token, &result).await.json();
    assert_eq!(
        (&json["outcome"], json["rows"].as_array().map(Vec::len)),
        (&"answered".into(), Some(1))
    );
    assert_eq!(json["columns"], serde_json::json!(["day", "claims", "total"]));
    let csv = gateway
        .send(&token, "GET", &result, &[("Accept", "text/csv")], b"")
        .await;
    let lines: Vec<&str> = csv.body.split("\r\n").collect();
    assert_eq!((lines[0], lines.len()), ("day,claims,total", 4), "{csv:?}");
    assert!(
        lines[1].starts_with("2026-01-02,") && lines[2].starts_with("#end,1,sha-256:"),
        "{csv:?}"
    );
    let cancel = gateway.send(&token, "DELETE", &state, &[], &bytes).await;
    assert_eq!(
        (cancel.status, cancel.problem()),
        (422, "invalid-message".to_owned())
    );
    gateway.stop().await;
    bureau.stop().await;
}

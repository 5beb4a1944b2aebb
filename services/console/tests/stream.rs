//! The stream of a page.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use console::site::Limits;
use exchange::StatusExchange;
use futures_util::StreamExt;
use jiff::Timestamp;
use schemas::status_report::WatchNote;
use serde_json::json;

use crate::site::{Browser, TestSite, party};

fn fast() -> Limits {
    Limits {
        interval: Duration::from_millis(10),
        streams: 2,
        ..Limits::default()
    }
}

/// Reads events until one contains a text; returns it.
async fn next_with(stream: &mut BodyDataStream, text: &str) -> String {
    loop {
        let event = stream.next().await.expect("the stream ended").unwrap();
        let event = String::from_utf8(event.to_vec()).unwrap();
        if event.contains(text) {
            return event;
        }
    }
}

async fn open(browser: &mut Browser, site: &TestSite) -> BodyDataStream {
    let response = browser.open(site, "/console/live/overview").await;
    assert_eq!(response.status(), StatusCode::OK);
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(media_type, "text/event-stream");
    Body::into_data_stream(response.into_body())
}

#[tokio::test]
async fn stream_sends_the_state_when_it_changes() {
    let site = TestSite::with(fast(), false);
    let mut browser = Browser::of(&site, "viewer").await;
    let mut stream = open(&mut browser, &site).await;
    next_with(&mut stream, "No agent has reported").await;
    let page = json!({ "states": { "insurer-a.claims": { "state": "flowing" } } });
    site.report("bureau", &page, Timestamp::now(), &site.key).await;
    let event = next_with(&mut stream, "insurer-a.claims").await;
    assert!(event.starts_with("event: live\n"), "{event}");
    let note = site.exchange.last_watch(&party("bureau")).await.unwrap().unwrap();
    assert!(WatchNote::read(&note.bytes).unwrap().is_active(Timestamp::now()));
}

#[tokio::test]
async fn stream_ends_when_its_token_is_revoked() {
    let site = TestSite::with(fast(), false);
    let mut browser = Browser::of(&site, "viewer").await;
    let mut stream = open(&mut browser, &site).await;
    next_with(&mut stream, "event: live").await;
    site.tokens.revoke("viewer");
    next_with(&mut stream, "event: end").await;
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn streams_of_a_session_are_bounded() {
    let site = TestSite::with(fast(), false);
    let mut browser = Browser::of(&site, "viewer").await;
    let first = open(&mut browser, &site).await;
    let _second = open(&mut browser, &site).await;
    let third = browser.open(&site, "/console/live/overview").await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    let _third = open(&mut browser, &site).await;
}

#[tokio::test]
async fn streams_end_when_the_gateway_stops() {
    let site = TestSite::with(fast(), false);
    let mut browser = Browser::of(&site, "viewer").await;
    let mut stream = open(&mut browser, &site).await;
    next_with(&mut stream, "event: live").await;
    site.stop.cancel();
    while stream.next().await.is_some() {}
}

//! Roles, and what a party sees.

use axum::http::StatusCode;
use jiff::Timestamp;
use schemas::sign::SigningKey;
use serde_json::json;

use crate::site::{Browser, TestSite};

#[tokio::test]
async fn viewer_prepares_no_command() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    let page = browser.get(&site, "/console/overview").await;
    assert!(!page.text.contains("/console/orders"));
    let page = browser.get(&site, "/console/orders?action=gate-pause").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let fields = [
        ("csrf", "x"),
        ("action", "gate-pause"),
        ("reason", "x"),
        ("config", "c"),
    ];
    let response = browser.post(&site, "/console/orders/prepare", &fields).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn operator_gets_the_exact_command_with_its_reason() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "operator").await;
    let page = browser.get(&site, "/console/orders?action=gate-limit").await;
    let csrf = page.csrf("order-form");
    let fields = [
        ("csrf", csrf.as_str()),
        ("action", "gate-limit"),
        ("duty", "20%"),
        ("duration", "8h"),
        ("reason", "audit week <b>'x'</b>"),
        ("config", "social.toml"),
    ];
    let page = browser.post(&site, "/console/orders/prepare", &fields).await;
    let expected = "slacktide gate limit --duty 20% --for 8h --reason \
        &#39;audit week &#60;b&#62;&#39;\\&#39;&#39;x&#39;\\&#39;&#39;&#60;/b&#62;&#39; --config social.toml";
    assert!(page.text.contains(expected), "{}", page.text);
    // An insurer's operator gives no order to the bureau's gate.
    let mut insurer = Browser::of(&site, "insurer").await;
    let page = insurer.get(&site, "/console/orders?action=gate-pause").await;
    assert!(!page.text.contains("order-form") && page.text.contains("quarantine-retry"));
}

#[tokio::test]
async fn party_never_sees_the_report_of_another() {
    let site = TestSite::new();
    let page = json!({ "states": { "insurer-a.secret_feed": { "state": "flowing" } } });
    site.report("bureau", &page, Timestamp::now(), &site.key).await;
    let mut bureau = Browser::of(&site, "viewer").await;
    assert!(
        bureau
            .get(&site, "/console/overview")
            .await
            .text
            .contains("secret_feed")
    );
    let mut insurer = Browser::of(&site, "insurer").await;
    for path in ["overview", "gate", "feeds"] {
        let page = insurer.get(&site, &format!("/console/{path}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            !page.text.contains("secret_feed") && !page.text.contains("bureau / agent"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn report_that_is_not_verified_is_not_shown_as_good() {
    let site = TestSite::new();
    let page = json!({ "states": { "insurer-a.claims": { "state": "flowing" } } });
    let mut browser = Browser::of(&site, "viewer").await;
    let now = Timestamp::now();
    let other = SigningKey::generate();
    site.report("bureau", &page, now, &other).await;
    let shown = browser.get(&site, "/console/overview").await.text;
    assert!(
        shown.contains("signature refused") && !shown.contains("insurer-a.claims"),
        "{shown}"
    );
    // The console has no key of the insurer.
    site.report("insurer-a", &page, now, &other).await;
    let mut insurer = Browser::of(&site, "insurer").await;
    let shown = insurer.get(&site, "/console/overview").await.text;
    assert!(
        shown.contains("not verified") && shown.contains("unknown now; was: flowing"),
        "{shown}"
    );
    assert!(!shown.contains("badge good\"><span class=\"symbol\" aria-hidden=\"true\">●</span> flowing"));
}

#[tokio::test]
async fn report_that_is_overdue_is_shown_as_no_news() {
    let site = TestSite::new();
    let page =
        json!({ "states": { "insurer-a.claims": { "state": "flowing" } }, "gate": { "state": "open" } });
    let old = Timestamp::now() - jiff::SignedDuration::from_secs(31);
    site.report("bureau", &page, old, &site.key).await;
    let mut browser = Browser::of(&site, "viewer").await;
    let shown = browser.get(&site, "/console/overview").await.text;
    assert!(
        shown.contains("no news") && shown.contains("unknown now; was: flowing"),
        "{shown}"
    );
    let shown = browser.get(&site, "/console/gate").await.text;
    assert!(shown.contains("unknown now; was: open"), "{shown}");
}

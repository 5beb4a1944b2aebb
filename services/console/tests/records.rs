//! Forms and downloads of the pages of records.

use axum::http::StatusCode;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::json;

use crate::site::{Browser, TestSite};

#[tokio::test]
async fn parties_test_shows_its_result_and_time() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    let before = browser.get(&site, "/console/parties").await;
    assert!(
        before.text.contains("data-state=\"not_tested\""),
        "{}",
        before.text
    );
    let csrf = before.csrf("parties-test");
    let done = browser
        .post(
            &site,
            "/console/parties/test",
            &[("csrf", &csrf), ("party", "bureau")],
        )
        .await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/console/parties")
    );
    let after = browser.get(&site, "/console/parties").await;
    assert!(after.text.contains("data-state=\"answers\""), "{}", after.text);
    assert!(
        after
            .text
            .contains(&Timestamp::now().strftime("datetime=\"%Y-%m-%d").to_string())
    );
}

#[tokio::test]
async fn parties_form_of_another_page_is_refused() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    let audit = browser.get(&site, "/console/audit").await.csrf("audit-verify");
    for (path, token) in [
        ("/console/parties/test", audit.as_str()),
        ("/console/parties/test", ""),
        ("/console/audit/verify", ""),
    ] {
        let refused = browser
            .post(&site, path, &[("csrf", token), ("party", "bureau")])
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {token}");
    }
}

/// A party sees and tests its own connection only.
#[tokio::test]
async fn parties_of_others_are_not_shown_to_a_recipient() {
    let site = TestSite::new();
    let mut insurer = Browser::of(&site, "insurer").await;
    let page = insurer.get(&site, "/console/parties").await;
    assert!(page.text.contains("id=\"party-insurer-a\""), "{}", page.text);
    assert!(!page.text.contains("id=\"party-bureau\""), "{}", page.text);
    let csrf = page.csrf("parties-test");
    insurer
        .post(
            &site,
            "/console/parties/test",
            &[("csrf", &csrf), ("party", "bureau")],
        )
        .await;
    let mut bureau = Browser::of(&site, "viewer").await;
    let page = bureau.get(&site, "/console/parties").await;
    assert!(page.text.contains("data-state=\"not_tested\""), "{}", page.text);
}

#[tokio::test]
async fn diagnostics_bundle_needs_a_session() {
    let site = TestSite::new();
    let mut stranger = Browser::default();
    let refused = stranger.get(&site, "/console/diagnostics/bundle").await;
    assert_eq!(refused.status, StatusCode::SEE_OTHER);
    let mut browser = Browser::of(&site, "viewer").await;
    let response = browser.open(&site, "/console/diagnostics/bundle").await;
    assert_eq!(response.status(), StatusCode::OK);
    let disposition = response.headers()["content-disposition"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        disposition.starts_with("attachment; filename=\"slacktide-diagnostics-bureau-"),
        "{disposition}"
    );
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&bytes[..2], [0x1f, 0x8b], "it is compressed");
}

/// The quarantine page has the numbers of the report.
#[tokio::test]
async fn quarantine_page_has_the_numbers_of_the_report() {
    let site = TestSite::new();
    let page = json!({"lanes": {"insurer-a.claims": {"rejects": 1_234}}});
    site.report("bureau", &page, Timestamp::now(), &site.key).await;
    let mut browser = Browser::of(&site, "viewer").await;
    let page = browser.get(&site, "/console/quarantine").await;
    assert!(page.text.contains("1,234"), "{}", page.text);
    assert!(page.text.contains("slacktide quarantine list"), "{}", page.text);
    assert!(!page.text.contains("--reveal"), "a viewer");
    let mut operator = Browser::of(&site, "operator").await;
    let page = operator.get(&site, "/console/quarantine").await;
    assert!(page.text.contains("--reveal"), "an operator");
}

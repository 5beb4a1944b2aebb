//! Every page: headers, languages, hostile texts.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use crate::site::{Browser, TestSite};

const PAGES: [&str; 10] = [
    "overview",
    "gate",
    "feeds",
    "requests",
    "quarantine",
    "streams",
    "parties",
    "audit",
    "diagnostics",
    "orders",
];

#[tokio::test]
async fn pages_load_nothing_and_have_every_protection() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "operator").await;
    let mut paths: Vec<String> = PAGES.iter().map(|page| format!("/console/{page}")).collect();
    paths.extend(["/console/login".to_owned(), "/console/none".to_owned()]);
    for path in paths {
        let page = browser.get(&site, &path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert!(
            !policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        for forbidden in [
            "http://",
            "https://",
            "<style",
            " style=",
            " onclick=",
            "javascript:",
        ] {
            assert!(!page.text.contains(forbidden), "{path}: {forbidden}");
        }
        assert_eq!(page.text.matches("<script").count(), 1, "{path}");
        assert!(page.text.contains("<script src=\"/console/assets/"), "{path}");
        for landmark in [
            "<main id=\"content\"",
            "<h1>",
            "class=\"skip\" href=\"#content\"",
            "<title>",
        ] {
            assert!(page.text.contains(landmark), "{path}: {landmark}");
        }
    }
}

#[tokio::test]
async fn assets_are_kept_by_browsers() {
    let site = TestSite::new();
    let mut browser = Browser::default();
    let login = browser.get(&site, "/console/login").await;
    let style = login
        .text
        .split("rel=\"stylesheet\" href=\"/console/assets/")
        .nth(1)
        .unwrap();
    let path = format!("/console/assets/{}", style.split('"').next().unwrap());
    let asset = browser.get(&site, &path).await;
    assert_eq!(asset.status, StatusCode::OK);
    assert_eq!(asset.header("content-type"), "text/css; charset=utf-8");
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(
        browser.get(&site, "/console/assets/other.css").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn pages_are_in_the_chosen_language_and_theme() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "operator").await;
    browser.language = "zh-CN,zh;q=0.9";
    for page in PAGES {
        let page = browser.get(&site, &format!("/console/{page}")).await;
        assert!(page.text.contains("<html lang=\"zh-CN\""), "{}", page.text);
        assert!(page.text.contains("跳到正文"));
    }
    let page = browser.get(&site, "/console/gate").await;
    let fields = [
        ("csrf", &*page.csrf("preferences")),
        ("back", "/console/gate"),
        ("language", "en"),
    ];
    let response = browser.post(&site, "/console/preferences", &fields).await;
    assert_eq!(response.header("location"), "/console/gate");
    let page = browser.get(&site, "/console/gate").await;
    assert!(
        page.text.contains("<html lang=\"en\" data-theme=\"system\""),
        "{}",
        page.text
    );
    let fields = [
        ("csrf", &*page.csrf("preferences")),
        ("theme", "dark"),
        ("back", "//evil.example"),
    ];
    let response = browser.post(&site, "/console/preferences", &fields).await;
    assert_eq!(
        response.header("location"),
        "/console/overview",
        "only to the console"
    );
    assert!(
        browser
            .get(&site, "/console/gate")
            .await
            .text
            .contains("data-theme=\"dark\"")
    );
}

#[tokio::test]
async fn pages_escape_hostile_texts_of_reports() {
    let site = TestSite::new();
    let hostile = "\"><img src=x onerror=alert(1)><script>x</script>";
    let page = json!({
        "states": { hostile: { "state": hostile, "why": hostile, "remedy": hostile } },
        "lanes": { hostile: { "last_error": hostile } },
        "feeds": { hostile: { "state": hostile, "last_error": hostile } },
        "gate": {
            "state": hostile, "reason": hostile, "alarm": hostile, "forecast": hostile,
            "readings_milli": { hostile: 1 }, "limits": { hostile: { "stop_milli": 1, "resume_milli": 1, "unit": hostile } },
            "failures": { hostile: hostile }, "policy": { "refused": hostile },
            "history": [{ "at": "2026-01-31T08:00:00Z", "state": hostile, "reason": hostile }],
            "orders": { "pause": { "actor": hostile, "reason": hostile } },
        },
    });
    site.report("bureau", &page, Timestamp::now(), &site.key).await;
    let mut browser = Browser::of(&site, "operator").await;
    let query = "?action=gate-pause&reason=%3Cscript%3E&id=%22%3E%3Cimg%3E";
    for path in ["overview", "gate", "feeds", &format!("orders{query}")] {
        let page = browser.get(&site, &format!("/console/{path}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            !page.text.contains("<img") && !page.text.contains("<script>"),
            "{path}: {}",
            page.text
        );
        if path != format!("orders{query}") {
            assert!(page.text.contains("onerror"), "{path}: the text itself is shown");
        }
    }
}

#[tokio::test]
async fn pages_survive_reports_of_other_versions() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    for page in [
        json!(null),
        json!([]),
        json!({ "states": 7, "gate": "x", "lanes": [] }),
        json!({}),
    ] {
        site.report("bureau", &page, Timestamp::now(), &site.key).await;
        for path in ["overview", "gate", "feeds"] {
            let shown = browser.get(&site, &format!("/console/{path}")).await;
            assert_eq!(shown.status, StatusCode::OK, "{page}");
        }
    }
}

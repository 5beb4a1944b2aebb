//! Sessions: login, expiry, revocation, forms.

use std::time::Duration;

use axum::http::StatusCode;
use console::ConsoleRole;
use console::site::Limits;

use crate::site::{Browser, TestSite};

fn is_login(page: &crate::site::Page) -> bool {
    page.status == StatusCode::SEE_OTHER && page.header("location") == "/console/login"
}

#[tokio::test]
async fn console_without_a_session_leads_to_the_login() {
    let site = TestSite::new();
    let mut browser = Browser::default();
    for page in [
        "overview",
        "gate",
        "feeds",
        "requests",
        "audit",
        "orders",
        "no-such-page",
    ] {
        let response = browser.get(&site, &format!("/console/{page}")).await;
        assert!(is_login(&response), "{page}: {response:?}");
    }
    let stream = browser.get(&site, "/console/live/overview").await;
    assert_eq!(stream.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn login_refuses_every_token_that_does_not_open_the_console() {
    let site = TestSite::new();
    let mut refusals = Vec::new();
    for token in ["unknown", "", "interface"] {
        let response = Browser::default().login(&site, token).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{token}");
        assert!(!response.text.contains("interface"), "a token is not shown");
        refusals.push(response.text.contains("does not open the console"));
    }
    assert_eq!(refusals, [true; 3], "the same answer for all");
}

#[tokio::test]
async fn login_opens_a_session_until_logout() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    let page = browser.get(&site, "/console/overview").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("id=\"who-party\">bureau<"), "{}", page.text);
    let session = browser.cookies.clone();
    let out = browser
        .post(&site, "/console/logout", &[("csrf", &page.csrf("logout"))])
        .await;
    assert!(is_login(&out));
    assert!(is_login(&browser.get(&site, "/console/overview").await));
    // The id of an ended session opens nothing.
    browser.cookies = session;
    assert!(is_login(&browser.get(&site, "/console/overview").await));
}

#[tokio::test]
async fn login_sets_a_new_session_id_each_time() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    let first = browser.cookies["slacktide-session"].clone();
    browser.login(&site, "viewer").await;
    assert_ne!(browser.cookies["slacktide-session"], first);
}

#[tokio::test]
async fn session_ends_with_its_token() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "viewer").await;
    site.tokens.revoke("viewer");
    assert!(is_login(&browser.get(&site, "/console/overview").await));
    // A token of the same id that is valid again does not revive it.
    site.tokens.add("viewer", "bureau", Some(ConsoleRole::Viewer));
    assert!(is_login(&browser.get(&site, "/console/overview").await));
}

#[tokio::test]
async fn session_expires_by_its_limits() {
    let limits = Limits {
        absolute: Duration::from_millis(1),
        ..Limits::default()
    };
    let site = TestSite::with(limits, false);
    let mut browser = Browser::of(&site, "viewer").await;
    while !is_login(&browser.get(&site, "/console/overview").await) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn session_of_a_certificate_needs_it_for_each_request() {
    let site = TestSite::new();
    let mut browser = Browser {
        certificate: Some("bureau"),
        ..Browser::default()
    };
    let form = browser.get(&site, "/console/login").await;
    let csrf = form.csrf("login-certificate");
    let fields = [("csrf", csrf.as_str()), ("with", "certificate")];
    let response = browser.post(&site, "/console/login", &fields).await;
    assert_eq!(response.header("location"), "/console/overview");
    assert_eq!(
        browser.get(&site, "/console/overview").await.status,
        StatusCode::OK
    );
    // A stolen cookie without the certificate, or with another one, opens nothing.
    let cookies = browser.cookies.clone();
    for certificate in [Some("insurer-a"), None] {
        let mut thief = Browser {
            cookies: cookies.clone(),
            certificate,
            ..Browser::default()
        };
        assert!(
            is_login(&thief.get(&site, "/console/overview").await),
            "{certificate:?}"
        );
    }
}

#[tokio::test]
async fn logins_of_an_address_are_limited() {
    let limits = Limits {
        logins_per_minute: 3,
        ..Limits::default()
    };
    let site = TestSite::with(limits, false);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(Browser::default().login(&site, "wrong").await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
    let response = Browser::default().login(&site, "viewer").await;
    assert_eq!(response.header("retry-after"), "60", "{response:?}");
}

#[tokio::test]
async fn requests_of_a_session_are_limited() {
    let limits = Limits {
        requests_per_second: 1,
        ..Limits::default()
    };
    let site = TestSite::with(limits, false);
    let mut flooding = Browser::of(&site, "viewer").await;
    let mut other = Browser::of(&site, "viewer").await;
    let limited = loop {
        let page = flooding.get(&site, "/console/orders").await;
        if page.status != StatusCode::FORBIDDEN {
            break page;
        }
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.header("retry-after"), "1");
    assert_eq!(
        other.get(&site, "/console/orders").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn form_without_its_token_is_refused() {
    let site = TestSite::new();
    let mut browser = Browser::of(&site, "operator").await;
    let page = browser.get(&site, "/console/orders?action=gate-pause").await;
    let other = page.csrf("logout");
    let order = [
        ("action", "gate-pause"),
        ("reason", "x"),
        ("config", "social.toml"),
    ];
    for csrf in ["", "0", other.as_str()] {
        let fields = [&[("csrf", csrf)], &order[..]].concat();
        let response = browser.post(&site, "/console/orders/prepare", &fields).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{csrf}");
        assert!(!response.text.contains("slacktide gate pause"));
    }
    let logout = browser.post(&site, "/console/logout", &[("csrf", "x")]).await;
    assert_eq!(logout.status, StatusCode::FORBIDDEN);
    assert_eq!(
        browser.get(&site, "/console/overview").await.status,
        StatusCode::OK
    );
    // A login needs the token of its own visitor: another site cannot log a person in.
    let mut visitor = Browser::default();
    visitor.get(&site, "/console/login").await;
    let response = visitor
        .post(&site, "/console/login", &[("csrf", "x"), ("token", "viewer")])
        .await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn cookies_are_secure_with_tls() {
    let site = TestSite::with(Limits::default(), true);
    let mut browser = Browser::default();
    let response = browser.login(&site, "viewer").await;
    let cookies: Vec<&str> = response
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect();
    let session = cookies
        .iter()
        .find(|cookie| cookie.contains("-session="))
        .unwrap();
    assert!(session.starts_with("__Host-"), "{session}");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(session.contains(part), "{session}");
    }
}

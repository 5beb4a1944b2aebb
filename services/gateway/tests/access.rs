//! Credentials and roles.

use gateway::{Limits, StartError, serve};
use tokio_util::sync::CancellationToken;

use crate::site::{Site, parts};

#[tokio::test]
async fn caller_without_a_valid_token_gets_401() {
    let site = Site::start().await;
    for authorization in [
        "",
        "Authorization: Bearer unknown\r\n",
        "Authorization: Bearer token-of-expired\r\n",
        "Authorization: Bearer token-of-absent\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic dG9rZW4tb2YtYnVyZWF1\r\n",
        "Authorization: Bearer token-of-bureau\r\nAuthorization: Bearer token-of-auditor\r\n",
    ] {
        let request = format!("GET /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n");
        let refused = site.raw(request.as_bytes()).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (401, "unauthenticated"),
            "{authorization}"
        );
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"slacktide\"");
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(!text.contains("token-of"), "{text}");
    }
    let ping = site.get("insurer-a", "/v1/ping").await;
    assert_eq!(ping.json()["party"], "insurer-a");
    let metrics = site.serving.report.metrics();
    assert!(
        metrics.contains("slacktide_gateway_refused_authentications_total 7\n"),
        "{metrics}"
    );
    site.end().await;
}

#[tokio::test]
async fn recipient_may_name_only_itself() {
    let site = Site::start().await;
    for path in [
        "/v1/lanes/insurer-b/claims/tail",
        "/v1/lanes/insurer-b/claims/receipt",
        "/v1/lanes/insurer-b",
        "/v1/deliveries/insurer-b/chunks",
        "/v1/control/bureau",
        "/v1/audit/insurer-b/commercial",
        "/v1/status/bureau/agents",
        "/v1/status/insurer-b/agents",
        "/v1/status/bureau/watch",
        "/v1/requests?recipient=insurer-b",
        "/v1/requests/open?recipient=insurer-b",
        "/v1/requests/20260131-abcdefgh/reply?recipient=insurer-b",
        "/v1/streams/data/messages?filter=data.insurer-b.%3E",
    ] {
        let denied = site.get("insurer-a", path).await;
        assert_eq!(
            (denied.status, denied.problem().as_str()),
            (403, "denied"),
            "{path}"
        );
        assert_ne!(site.get("insurer-b", path).await.status, 401, "{path}");
    }
    let denied = site
        .put("insurer-a", "/v1/lanes/insurer-b/claims/receipt", "0", b"x")
        .await;
    assert_eq!(denied.status, 403);
    site.end().await;
}

#[tokio::test]
async fn bureau_names_the_recipient_of_a_request() {
    let site = Site::start().await;
    let path = "/v1/requests/20260131-abcdefgh/reply";
    let missing = site.get("bureau", path).await;
    assert_eq!((missing.status, missing.problem().as_str()), (400, "bad-request"));
    assert_eq!(
        site.get("bureau", &format!("{path}?recipient=insurer-a"))
            .await
            .status,
        204
    );
    assert_eq!(site.get("insurer-a", path).await.status, 204);
    site.end().await;
}

#[tokio::test]
async fn caller_above_its_rate_gets_429_alone() {
    let site = Site::with_limits(|limits| (limits.requests_per_second, limits.burst) = (1, 2)).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let reply = site.get("insurer-a", "/v1/ping").await;
        if reply.status == 429 {
            assert_eq!(
                (reply.problem().as_str(), reply.header("retry-after")),
                ("rate-limited", "1")
            );
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(site.get("insurer-b", "/v1/ping").await.status, 200);
    site.end().await;
}

#[tokio::test]
async fn start_with_clear_text_on_a_network_is_refused() {
    let mut parts = parts(Limits::default(), None, Vec::new());
    parts.config.listen = "0.0.0.0:0".parse().unwrap();
    let refused = serve(parts, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::ClearText(_))), "{refused:?}");
}

#[tokio::test]
async fn start_with_a_party_twice_is_refused() {
    let mut twice = parts(Limits::default(), None, Vec::new());
    twice.parties.push(twice.parties[0].clone());
    let refused = serve(twice, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::PartyTwice(_))), "{refused:?}");
    let mut none = parts(Limits::default(), None, Vec::new());
    none.parties.clear();
    let refused = serve(none, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::NoParty)), "{refused:?}");
}

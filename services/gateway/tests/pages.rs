//! Description, compression, metrics.

use crate::site::Site;

#[tokio::test]
async fn docs_page_loads_nothing_and_lists_everything() {
    let site = Site::start().await;
    let page = site
        .raw(b"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).unwrap();
    for loading in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!text.contains(loading), "{loading}");
    }
    let document = site
        .raw(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    for (path, item) in document.json()["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let heading = format!(
                "<span class=\"method\">{}</span>{path}</h3>",
                method.to_uppercase()
            );
            assert!(text.contains(&heading), "{method} {path}");
        }
    }
    for kind in web::interface::problem::ProblemKind::all() {
        assert!(text.contains(&kind.type_uri()), "{kind:?}");
    }
    site.end().await;
}

#[tokio::test]
async fn responses_are_compressed_unless_they_are_messages() {
    let site = Site::start().await;
    let accept = "Accept-Encoding: gzip\r\n";
    let document = site.call("bureau", "GET", "/openapi.json", accept, b"").await;
    assert_eq!(
        (document.status, document.header("content-encoding")),
        (200, "gzip")
    );
    let path = "/v1/leases/core";
    assert_eq!(site.put("bureau", path, "0", &[b'x'; 5_000]).await.status, 204);
    let message = site.call("bureau", "GET", path, accept, b"").await;
    assert_eq!(
        (message.header("content-encoding"), message.body.len()),
        ("", 5_000)
    );
    site.end().await;
}

#[tokio::test]
async fn metrics_count_routes_not_paths() {
    let site = Site::start().await;
    assert_eq!(site.get("bureau", "/v1/leases/core").await.status, 204);
    assert_eq!(site.get("bureau", "/v1/leases/CORE").await.status, 400);
    assert_eq!(site.get("bureau", "/secret-path").await.status, 404);
    let metrics = site.serving.report.metrics();
    for line in [
        "slacktide_gateway_requests_total{route=\"/v1/leases/{source}\",method=\"GET\",status=\"204\"} 1\n",
        "slacktide_gateway_requests_total{route=\"/v1/leases/{source}\",method=\"GET\",status=\"400\"} 1\n",
        "slacktide_gateway_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1\n",
        "slacktide_gateway_request_seconds_count 3\n",
        "slacktide_gateway_requests_in_flight 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains("secret-path"), "{metrics}");
    assert_eq!(
        site.serving.report.status()["parties"].as_array().unwrap().len(),
        4
    );
    site.end().await;
}

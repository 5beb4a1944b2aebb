//! Conditional writes.

use crate::site::Site;

const TAIL: &str = "/v1/lanes/insurer-a/claims/tail";

#[tokio::test]
async fn tail_is_written_by_compare_and_set() {
    let site = Site::start().await;
    let empty = site.get("bureau", TAIL).await;
    assert_eq!((empty.status, empty.header("etag")), (204, "\"0\""));

    let first = site.put("bureau", TAIL, "0", b"first").await;
    assert_eq!((first.status, first.header("etag")), (204, "\"1\""), "{first:?}");
    let late = site.put("bureau", TAIL, "0", b"late").await;
    assert_eq!(late.problem(), "precondition-failed");
    assert_eq!((late.status, late.header("etag")), (412, "\"1\""));
    let unconditional = site.put("bureau", TAIL, "", b"x").await;
    assert_eq!(
        (unconditional.status, unconditional.problem().as_str()),
        (428, "precondition-required")
    );
    assert_eq!(site.put("bureau", TAIL, "*", b"x").await.problem(), "bad-request");

    let read = site.get("insurer-a", TAIL).await;
    assert_eq!(
        (read.status, read.header("etag"), &read.body[..]),
        (200, "\"1\"", &b"first"[..])
    );
    assert_eq!(read.header("content-type"), "application/vnd.slacktide.message");
    assert_eq!(read.header("slacktide-subject"), "data.insurer-a.claims");
    assert!(!read.header("slacktide-stored-at").is_empty());
    assert!(read.header("repr-digest").starts_with("sha-256=:"));
    assert_eq!(read.header("cache-control"), "no-store");

    let unchanged = site
        .call("bureau", "GET", TAIL, "If-None-Match: \"1\"\r\n", b"")
        .await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    site.end().await;
}

#[tokio::test]
async fn each_chain_is_written_by_compare_and_set() {
    let site = Site::start().await;
    for (party, path) in [
        ("insurer-a", "/v1/lanes/insurer-a/claims/receipt"),
        ("bureau", "/v1/leases/core"),
        ("bureau", "/v1/control/bureau"),
        ("insurer-a", "/v1/control/insurer-a"),
        ("insurer-a", "/v1/audit/insurer-a/commercial"),
    ] {
        let stored = site.put(party, path, "0", b"a").await;
        assert_eq!(stored.status, 204, "{path}: {stored:?}");
        let conflict = site.put(party, path, "0", b"b").await;
        assert_eq!(
            (conflict.status, conflict.header("etag")),
            (412, stored.header("etag")),
            "{path}"
        );
        assert_eq!(site.get(party, path).await.body, b"a", "{path}");
    }
    let lanes = site.get("insurer-a", "/v1/lanes/insurer-a").await;
    assert_eq!(lanes.json(), serde_json::json!({"feeds": ["claims"]}));
    site.end().await;
}

#[tokio::test]
async fn resource_of_one_message_is_written_once() {
    let site = Site::start().await;
    let request = "/v1/requests/20260131-abcdefgh";
    for (party, what) in [
        ("insurer-a", "request"),
        ("insurer-a", "cancellation"),
        ("bureau", "parts/1/1"),
        ("bureau", "approvals/li_na"),
        ("bureau", "reply"),
        ("insurer-a", "confirmation"),
    ] {
        let query = if party == "bureau" {
            "?recipient=insurer-a"
        } else {
            ""
        };
        let path = format!("{request}/{what}{query}");
        let missing = site.put(party, &path, "", b"a").await;
        assert_eq!(
            (missing.status, missing.problem().as_str()),
            (428, "precondition-required"),
            "{what}"
        );
        let stored = site.put(party, &path, "*", b"a").await;
        assert_eq!(
            (stored.status, stored.header("etag")),
            (201, "\"1\""),
            "{what}: {stored:?}"
        );
        let again = site.put(party, &path, "*", b"b").await;
        assert_eq!((again.status, again.header("etag")), (412, "\"1\""), "{what}");
        assert_eq!(site.get(party, &path).await.body, b"a", "{what}");
    }
    site.end().await;
}

#[tokio::test]
async fn progress_is_replaced_without_a_condition() {
    let site = Site::start().await;
    let path = "/v1/requests/20260131-abcdefgh/progress?recipient=insurer-a";
    for body in [b"a", b"b"] {
        let written = site.put("bureau", path, "", body).await;
        assert_eq!(written.status, 204, "{written:?}");
        assert_eq!(site.get("insurer-a", path).await.body, body);
    }
    assert_eq!(site.put("bureau", path, "*", b"c").await.problem(), "bad-request");
    site.end().await;
}

#[tokio::test]
async fn body_with_another_digest_is_not_stored() {
    let site = Site::start().await;
    let headers = format!(
        "If-Match: \"0\"\r\nRepr-Digest: {}\r\n",
        web::interface::header::repr_digest(b"other")
    );
    let refused = site.call("bureau", "PUT", TAIL, &headers, b"body").await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (422, "invalid-message")
    );
    let form = "If-Match: \"0\"\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let refused = site.call("bureau", "PUT", TAIL, form, b"body").await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (415, "unsupported-media-type")
    );
    assert_eq!(
        site.put("bureau", TAIL, "0", b"").await.problem(),
        "invalid-message"
    );
    assert_eq!(site.get("bureau", TAIL).await.status, 204);
    site.end().await;
}

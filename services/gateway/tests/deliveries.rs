//! Queues of recipients, and replay.

use serde_json::json;
use web::interface::message::{Message, decode_all};

use crate::site::{Reply, Site};

const QUEUE: &str = "/v1/deliveries/insurer-a/chunks";

fn messages(reply: &Reply) -> Vec<Message> {
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "application/vnd.slacktide.messages"),
        "{reply:?}"
    );
    decode_all(&reply.body).unwrap().0
}

async fn publish_chunks(site: &Site, count: u64) {
    for expected in 0..count {
        let path = "/v1/lanes/insurer-a/claims/tail";
        let stored = site.put("bureau", path, &expected.to_string(), b"chunk").await;
        assert_eq!(stored.status, 204, "{stored:?}");
    }
}

async fn settle(site: &Site, settlement: &str, messages: &[Message]) -> Reply {
    let delivery = |message: &Message| json!({"subject": message.subject, "sequence": message.sequence, "token": message.token});
    let deliveries: Vec<_> = messages.iter().map(delivery).collect();
    let body = json!({"settlement": settlement, "deliveries": deliveries}).to_string();
    let headers = "Content-Type: application/json\r\n";
    site.call("insurer-a", "POST", "/v1/settlements", headers, body.as_bytes())
        .await
}

#[tokio::test]
async fn deliveries_are_fetched_and_settled() {
    let site = Site::start().await;
    publish_chunks(&site, 3).await;
    assert_eq!(
        site.get("insurer-a", QUEUE).await.json(),
        json!({"is_drained": false})
    );

    let two = site
        .call("insurer-a", "POST", &format!("{QUEUE}?max=2"), "", b"")
        .await;
    let two = messages(&two);
    assert_eq!(
        two.iter().map(|message| message.sequence).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        (two[0].attempt, two[0].bytes.as_slice()),
        (Some(1), &b"chunk"[..])
    );
    let settled = settle(&site, "ack", &two[..1]).await;
    assert_eq!(settled.status, 204, "{settled:?}");
    assert_eq!(settle(&site, "nak", &two[1..]).await.status, 204);

    let again = messages(&site.call("insurer-a", "POST", QUEUE, "", b"").await);
    let attempts = again.iter().map(|message| (message.sequence, message.attempt));
    assert_eq!(attempts.collect::<Vec<_>>(), [(2, Some(2)), (3, Some(1))]);
    assert_eq!(
        site.get("insurer-a", QUEUE).await.json(),
        json!({"is_drained": true})
    );

    assert_eq!(settle(&site, "drop", &two).await.problem(), "bad-request");
    let unknown = site.get("insurer-a", "/v1/deliveries/insurer-a/parts").await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "not-found"));
    site.end().await;
}

#[tokio::test]
async fn stream_is_read_in_pages() {
    let site = Site::with_limits(|limits| limits.max_messages = 2).await;
    publish_chunks(&site, 3).await;
    let path = "/v1/streams/data/messages?filter=data.insurer-a.%3E&max=100";
    let first = messages(&site.get("auditor", path).await);
    assert_eq!(
        first.iter().map(|message| message.sequence).collect::<Vec<_>>(),
        [1, 2]
    );
    let rest = messages(&site.get("auditor", &format!("{path}&from=3")).await);
    assert_eq!(
        rest.iter().map(|message| message.sequence).collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(
        messages(&site.get("auditor", &format!("{path}&from=4")).await),
        []
    );
    let future = format!("{path}&from_time=2999-01-01T00:00:00Z");
    assert_eq!(messages(&site.get("auditor", &future).await), []);
    let both = site.get("auditor", &format!("{future}&from=1")).await;
    assert_eq!(both.problem(), "bad-request");

    let parties = site.get("auditor", "/v1/streams/data/parties").await;
    assert_eq!(parties.json(), json!({"parties": ["insurer-a"]}));
    let state = site
        .get("auditor", "/v1/streams/data/parties/insurer-a")
        .await
        .json();
    assert_eq!(
        (&state["messages"], &state["last_sequence"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(
        site.get("insurer-a", "/v1/streams/request/parties/insurer-b")
            .await
            .problem(),
        "denied"
    );
    assert_eq!(
        site.get("auditor", "/v1/streams/lease/parties").await.problem(),
        "not-found"
    );
    site.end().await;
}

#[tokio::test]
async fn open_requests_are_those_without_a_reply() {
    let site = Site::start().await;
    for id in ["20260131-aaaaaaaa", "20260131-bbbbbbbb"] {
        let path = format!("/v1/requests/{id}/request");
        assert_eq!(site.put("insurer-a", &path, "*", id.as_bytes()).await.status, 201);
    }
    let reply = "/v1/requests/20260131-aaaaaaaa/reply?recipient=insurer-a";
    assert_eq!(site.put("bureau", reply, "*", b"reply").await.status, 201);
    let open = messages(&site.get("bureau", "/v1/requests/open?recipient=insurer-a").await);
    assert_eq!(
        open.iter()
            .map(|message| message.bytes.as_slice())
            .collect::<Vec<_>>(),
        [b"20260131-bbbbbbbb"]
    );
    let ids = site.get("insurer-a", "/v1/requests?stream=request").await;
    assert_eq!(
        ids.json(),
        json!({"ids": ["20260131-aaaaaaaa", "20260131-bbbbbbbb"]})
    );
    let replies = site
        .call("insurer-a", "POST", "/v1/deliveries/insurer-a/replies", "", b"")
        .await;
    assert_eq!(messages(&replies).len(), 1);
    site.end().await;
}

#[tokio::test]
async fn settlement_with_a_foreign_token_is_not_found() {
    let site = Site::start().await;
    let headers = "Content-Type: application/json\r\n";
    for token in ["", "data.insurer-a.claims", "$JS.ACK.other"] {
        let delivery = json!({"subject": "data.insurer-a.claims", "sequence": 1, "token": token});
        let body = json!({"settlement": "ack", "deliveries": [delivery]}).to_string();
        let refused = site
            .call("insurer-a", "POST", "/v1/settlements", headers, body.as_bytes())
            .await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (404, "not-found"),
            "{token}"
        );
    }
    site.end().await;
}

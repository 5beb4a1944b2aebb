//! A request is answered, stored and confirmed.

use std::collections::BTreeMap;

use exchange::RequestExchange;
use jiff::Timestamp;
use schemas::request::{Request, RequestId};

use super::bureau::signed;
use super::insurer_site::{InsurerSite, recipient, until};

#[tokio::test]
async fn requester_request_is_filed_answered_and_confirmed() {
    let site = InsurerSite::open().await;
    let (stop, running) = site.start();
    site.write("claim 7", "p1");
    site.write("claim 7", "p1");
    site.write("claim 8", "p2");
    until("both requests", async || site.requests().len() == 2).await;
    for (request, digest) in site.requests() {
        assert!(request.id_matches_key());
        let rows: &[i64] = if request.idempotency.as_deref() == Some("claim 7") {
            &[3, 2]
        } else {
            &[]
        };
        site.answer(&request, digest, rows).await;
    }
    until("both confirmations", async || site.confirmed() == 2).await;
    assert_eq!(site.number("SELECT count(*) FROM answer_setl__by_person"), 5);
    assert_eq!(
        site.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'taken'"),
        2
    );
    // Confirmed and settled: nothing is redelivered.
    until("nothing to confirm", async || {
        site.parts
            .store
            .unconfirmed_replies(&recipient(), 10)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let status = site.parts.registry.status().requests.unwrap();
    assert_eq!(
        (status.taken, status.filed, status.replies, status.rows),
        (2, 2, 2, 5)
    );
    assert_eq!((status.confirmed, status.last_error), (2, None));
}

#[tokio::test]
async fn requester_invalid_outbox_row_is_marked() {
    let site = InsurerSite::open().await;
    site.database().execute("INSERT INTO slacktide_outbox (idempotency, kind, arguments, purpose, basis) VALUES ('k', 'setl.by_person', '[p1]', '01', '01')", []).unwrap();
    site.write("claim 7", "p1");
    let (stop, running) = site.start();
    until("the good one", async || site.requests().len() == 1).await;
    until("both looked at", async || {
        site.number("SELECT count(*) FROM slacktide_outbox WHERE state IS NULL") == 0
    })
    .await;
    assert_eq!(
        site.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'refused' AND reason <> ''"),
        1
    );
    assert_eq!(site.requests().len(), 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn requester_request_filed_elsewhere_is_adopted() {
    let site = InsurerSite::open().await;
    let key = &site.parts.key;
    let request = Request {
        id: "20260131-abcdefgh".parse::<RequestId>().unwrap(),
        recipient: recipient(),
        origin: None,
        kind: "setl.by_person".to_owned(),
        arguments: BTreeMap::new(),
        purpose: "01".to_owned(),
        basis: "01".to_owned(),
        deadline: None,
        idempotency: None,
        filed_by: "clerk".to_owned(),
        filed_at: Timestamp::now(),
        key: key.public().clone(),
    };
    site.put(
        site.exchange
            .file_request(&recipient(), &request.id, signed(&request, key)),
    )
    .await;
    let (request, digest) = site.requests().remove(0);
    site.answer(&request, digest, &[4]).await;
    let (stop, running) = site.start();
    until("its confirmation", async || site.confirmed() == 1).await;
    assert_eq!(site.number("SELECT count(*) FROM answer_setl__by_person"), 4);
    stop.cancel();
    running.await.unwrap();
}

//! What is asked is answered, stored and confirmed.

use std::collections::BTreeMap;

use exchange::Exchange;
use jiff::Timestamp;
use schemas::request::{Request, RequestId};

use super::bureau::sealed;
use super::office::{Office, recipient, until};

#[tokio::test]
async fn what_is_asked_is_filed_once_answered_stored_and_confirmed() {
    let office = Office::open().await;
    let (stop, running) = office.start();
    office.write("claim 7", "p1");
    office.write("claim 7", "p1");
    office.write("claim 8", "p2");
    until("both requests", async || office.requests().len() == 2).await;
    for (request, digest) in office.requests() {
        assert!(request.keeps_its_key());
        let rows: &[i64] = if request.idempotency.as_deref() == Some("claim 7") {
            &[3, 2]
        } else {
            &[]
        };
        office.answer(&request, digest, rows).await;
    }
    until("both confirmations", async || office.confirmed() == 2).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 5);
    assert_eq!(
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'taken'"),
        2
    );
    // Confirmed and settled: nothing comes again.
    until("nothing to confirm", async || {
        office.parts.store.due(&recipient(), 10).await.unwrap().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let status = office.parts.board.status().requests.unwrap();
    assert_eq!(
        (status.taken, status.filed, status.replies, status.rows),
        (2, 2, 2, 5)
    );
    assert_eq!((status.confirmed, status.last_error), (2, None));
}

#[tokio::test]
async fn a_row_that_makes_no_request_is_marked_and_the_others_go_on() {
    let office = Office::open().await;
    office.database().execute("INSERT INTO slacktide_outbox (idempotency, kind, arguments, purpose, basis) VALUES ('k', 'setl.by_person', '[p1]', '01', '01')", []).unwrap();
    office.write("claim 7", "p1");
    let (stop, running) = office.start();
    until("the good one", async || office.requests().len() == 1).await;
    until("both looked at", async || {
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state IS NULL") == 0
    })
    .await;
    assert_eq!(
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'refused' AND reason <> ''"),
        1
    );
    assert_eq!(office.requests().len(), 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_filed_elsewhere_is_taken_from_the_exchange() {
    let office = Office::open().await;
    let key = &office.parts.key;
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
    office
        .put(
            office
                .exchange
                .file_request(&recipient(), &request.id, sealed(&request, key)),
        )
        .await;
    let (request, digest) = office.requests().remove(0);
    office.answer(&request, digest, &[4]).await;
    let (stop, running) = office.start();
    until("its confirmation", async || office.confirmed() == 1).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 4);
    stop.cancel();
    running.await.unwrap();
}

//! Replies that do not hold.

use bytes::Bytes;
use exchange::Exchange;
use schemas::digest::Digest;
use schemas::sign::SigningKey;

use super::bureau::part;
use super::office::{Office, recipient, until};

/// What is not the bureau's, or names other parts than there are, is stored by nobody and stops nobody.
#[tokio::test]
async fn a_reply_that_does_not_hold_is_put_off_and_the_others_are_stored() {
    let office = Office::open().await;
    for name in ["forged", "lacks a part", "another part", "good"] {
        office.write(name, "p1");
    }
    let (stop, running) = office.start();
    until("all requests", async || office.requests().len() == 4).await;
    for (request, digest) in office.requests() {
        match request.idempotency.as_deref().unwrap() {
            "forged" => {
                office
                    .answer_signed(&request, digest, &[9], &SigningKey::generate())
                    .await
            }
            "lacks a part" => {
                let missing = vec![Digest::of(&[b"nowhere"])];
                office.reply(&request, digest, missing, 9, &office.bureau).await;
            }
            "another part" => {
                let sealed = part(&request, digest, 1, 9, &office.bureau);
                let other = vec![Digest::of(&[b"another"])];
                office
                    .put(office.exchange.publish_part(
                        &recipient(),
                        &request.id,
                        1,
                        1,
                        Bytes::from(sealed.bytes),
                    ))
                    .await;
                office.reply(&request, digest, other, 9, &office.bureau).await;
            }
            _ => office.answer(&request, digest, &[1]).await,
        }
    }
    until("the good one", async || office.confirmed() == 1).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 1);
    assert!(office.parts.board.status().requests.unwrap().last_error.is_none());
    stop.cancel();
    running.await.unwrap();
}

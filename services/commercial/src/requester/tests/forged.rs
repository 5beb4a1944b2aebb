//! Invalid replies.

use bytes::Bytes;
use exchange::RequestExchange;
use schemas::digest::Digest;
use schemas::sign::SigningKey;

use super::bureau::part;
use super::insurer_site::{InsurerSite, recipient, until};

/// A reply that the bureau did not sign, or that names other parts, is not stored and blocks no other reply.
#[tokio::test]
async fn requester_invalid_reply_is_deferred() {
    let site = InsurerSite::open().await;
    for name in ["forged", "lacks a part", "another part", "good"] {
        site.write(name, "p1");
    }
    let (stop, running) = site.start();
    until("all requests", async || site.requests().len() == 4).await;
    for (request, digest) in site.requests() {
        match request.idempotency.as_deref().unwrap() {
            "forged" => {
                site.answer_signed(&request, digest, &[9], &SigningKey::generate())
                    .await
            }
            "lacks a part" => {
                let missing = vec![Digest::of(&[b"nowhere"])];
                site.reply(&request, digest, missing, 9, &site.bureau).await;
            }
            "another part" => {
                let signed_part = part(&request, digest, 1, 9, &site.bureau);
                let other = vec![Digest::of(&[b"another"])];
                site.put(site.exchange.publish_part(
                    &recipient(),
                    &request.id,
                    1,
                    1,
                    Bytes::from(signed_part.bytes),
                ))
                .await;
                site.reply(&request, digest, other, 9, &site.bureau).await;
            }
            _ => site.answer(&request, digest, &[1]).await,
        }
    }
    until("the good one", async || site.confirmed() == 1).await;
    assert_eq!(site.number("SELECT count(*) FROM answer_setl__by_person"), 1);
    assert!(
        site.parts
            .registry
            .status()
            .requests
            .unwrap()
            .last_error
            .is_none()
    );
    stop.cancel();
    running.await.unwrap();
}

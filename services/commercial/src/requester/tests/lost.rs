//! A store that lost confirmed answers.

use store::SqliteStore;

use super::insurer_site::{InsurerSite, until};
use crate::requester::{RequesterParts, refill_answers};
use crate::status::StatusRegistry;

use std::sync::Arc;

use store::Requests;

#[tokio::test]
async fn requester_lost_answer_is_shown_and_fetched_again() {
    let site = InsurerSite::open().await;
    let (stop, running) = site.start();
    site.write("claim 7", "p1");
    until("the request", async || site.requests().len() == 1).await;
    for (request, digest) in site.requests() {
        site.answer(&request, digest, &[3, 2]).await;
    }
    until("the confirmation", async || site.confirmed() == 1).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(site.parts.registry.status().requests.unwrap().lost_answers, 0);

    // A backup from before: it holds neither the request nor the answer, and nothing is redelivered.
    let path = site.folder.path().join("older.db");
    let store: Arc<dyn Requests> = Arc::new(SqliteStore::new(&path));
    store.prepare().await.unwrap();
    let older = InsurerSite {
        parts: RequesterParts {
            store,
            registry: StatusRegistry::default(),
            ..site.parts.clone()
        },
        ..site
    };
    let (stop, running) = older.start();
    until("the lost answer to be shown", async || {
        let status = older.parts.registry.status().requests;
        status.is_some_and(|status| status.lost_answers == 1)
    })
    .await;
    let refilled = refill_answers(&older.parts).await.unwrap();
    assert_eq!((refilled.compared, refilled.stored), (1, 1), "{refilled:?}");
    until("nothing to be lost", async || {
        let status = older.parts.registry.status().requests;
        status.is_some_and(|status| status.lost_answers == 0)
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let stored = rusqlite::Connection::open(&path).unwrap();
    let count = "SELECT count(*) FROM answer_setl__by_person";
    let rows: i64 = stored.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 5);
    // A repetition changes nothing.
    let again = refill_answers(&older.parts).await.unwrap();
    assert_eq!((again.compared, again.stored), (1, 0));
}

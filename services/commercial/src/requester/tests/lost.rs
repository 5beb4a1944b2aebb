//! A store that lost answers which it had confirmed.

use store::SqliteStore;

use super::office::{Office, until};
use crate::requester::{RequesterParts, refill_answers};
use crate::status::Board;

use std::sync::Arc;

use store::Requests;

#[tokio::test]
async fn answer_lost_with_the_store_is_shown_and_fetched_again() {
    let office = Office::open().await;
    let (stop, running) = office.start();
    office.write("claim 7", "p1");
    until("the request", async || office.requests().len() == 1).await;
    for (request, digest) in office.requests() {
        office.answer(&request, digest, &[3, 2]).await;
    }
    until("the confirmation", async || office.confirmed() == 1).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(office.parts.board.status().requests.unwrap().lost_answers, 0);

    // A backup from before: it holds neither the request nor its answer, and nothing is delivered again.
    let path = office.folder.path().join("older.db");
    let store: Arc<dyn Requests> = Arc::new(SqliteStore::new(&path));
    store.prepare().await.unwrap();
    let older = Office {
        parts: RequesterParts {
            store,
            board: Board::default(),
            ..office.parts.clone()
        },
        ..office
    };
    let (stop, running) = older.start();
    until("the lost answer to be shown", async || {
        let status = older.parts.board.status().requests;
        status.is_some_and(|status| status.lost_answers == 1)
    })
    .await;
    let refilled = refill_answers(&older.parts).await.unwrap();
    assert_eq!((refilled.compared, refilled.stored), (1, 1), "{refilled:?}");
    until("nothing to be lost", async || {
        let status = older.parts.board.status().requests;
        status.is_some_and(|status| status.lost_answers == 0)
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let stored = rusqlite::Connection::open(&path).unwrap();
    let count = "SELECT count(*) FROM answer_setl__by_person";
    let rows: i64 = stored.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 5);
    // Repeating it changes nothing.
    let again = refill_answers(&older.parts).await.unwrap();
    assert_eq!((again.compared, again.stored), (1, 0));
}

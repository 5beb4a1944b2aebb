//! The table of a kind's answers is called like a table of the insurer's.

use rusqlite::Connection;

use crate::path::site::PATIENCE;
use crate::requests::office::{INSURERS, Office};

const TABLE: &str = "answer_claim__by_person";

async fn execute(office: &Office, insurer: &str, sql: &str) {
    if insurer == INSURERS[0] {
        return office.store.execute(sql).await;
    }
    let store = Connection::open(office.file("insurer-b.db")).unwrap();
    store.busy_timeout(PATIENCE).unwrap();
    store.execute_batch(sql).unwrap();
}

async fn count(office: &Office, insurer: &str, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    if insurer == INSURERS[0] {
        return office.store.number(&sql).await;
    }
    let store = Connection::open(office.file("insurer-b.db")).unwrap();
    store.busy_timeout(PATIENCE).unwrap();
    store.query_row(&sql, [], |row| row.get(0)).unwrap()
}

async fn waits(insurer: &str, name: &str) {
    let mut office = Office::start(name, 2_000, "mode = \"open\"").await;
    let theirs = format!(
        "CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, psn_no TEXT); INSERT INTO {TABLE} VALUES (1, 'theirs')"
    );
    execute(&office, insurer, &theirs).await;
    let (social, agent) = (office.bureau().await, office.commercial(insurer, "agent"));
    agent
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let person = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    let id = office.ask(insurer, "claim.by_person", &person, &[]).await;
    let words = ["did not create", "[store.feed.answer_claim__by_person]"];
    let has = |text: &str| words.iter().all(|word| text.contains(word));
    agent
        .shows("the reply to wait", "/requests/refused", |refused| {
            has(&refused.to_string())
        })
        .await;
    assert!(has(&agent.answers("/healthz", 503).await));
    let (_, screen) = office.command(&["status", "--config", "agent.toml"]).await;
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        screen.contains("the store refuses the reply to") && has(&screen),
        "{screen}"
    );
    assert_eq!(count(&office, insurer, TABLE).await, 1);
    // Another kind goes on.
    let other = office.ask(insurer, "claim.day", &["day=2026-01-03"], &[]).await;
    office.stands(insurer, &other, "stored_by_insurer").await;

    agent.stop().await;
    office.store_more = format!("[store.feed.{TABLE}]\ntable = \"answers_of_claims\"");
    let agent = office.commercial(insurer, "agent");
    office.stands(insurer, &id, "stored_by_insurer").await;
    assert!(count(&office, insurer, "answers_of_claims").await > 0);
    assert_eq!(count(&office, insurer, TABLE).await, 1);
    social.stop().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requester_postgres_table_of_the_insurer_is_left_as_it_is() {
    waits(INSURERS[0], "names_answers_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requester_sqlite_table_of_the_insurer_is_left_as_it_is() {
    waits(INSURERS[1], "names_answers_sqlite").await;
}

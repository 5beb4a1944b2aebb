//! A kind's answers would go to a table that has the name of one of the insurer's own tables.

use rusqlite::Connection;

use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::{INSURERS, RequestSite};

const TABLE: &str = "answer_claim__by_person";

async fn execute(site: &RequestSite, insurer: &str, sql: &str) {
    if insurer == INSURERS[0] {
        return site.store.execute(sql).await;
    }
    let store = Connection::open(site.file("insurer-b.db")).unwrap();
    store.busy_timeout(DEADLINE).unwrap();
    store.execute_batch(sql).unwrap();
}

async fn count(site: &RequestSite, insurer: &str, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    if insurer == INSURERS[0] {
        return site.store.number(&sql).await;
    }
    let store = Connection::open(site.file("insurer-b.db")).unwrap();
    store.busy_timeout(DEADLINE).unwrap();
    store.query_row(&sql, [], |row| row.get(0)).unwrap()
}

async fn assert_waits(insurer: &str, name: &str) {
    let mut site = RequestSite::start(name, 2_000, "mode = \"open\"").await;
    let theirs = format!(
        "CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, psn_no TEXT); INSERT INTO {TABLE} VALUES (1, 'theirs')"
    );
    execute(&site, insurer, &theirs).await;
    let (social, agent) = (site.bureau().await, site.commercial(insurer, "agent"));
    agent
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let person = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    let id = site.ask(insurer, "claim.by_person", &person, &[]).await;
    let words = ["did not create", "[store.feed.answer_claim__by_person]"];
    let has = |text: &str| words.iter().all(|word| text.contains(word));
    agent
        .wait_status("the reply to wait", "/requests/refused", |refused| {
            has(&refused.to_string())
        })
        .await;
    assert!(has(&agent.wait_page("/healthz", 503).await));
    let (_, screen) = site.command(&["status", "--config", "agent.toml"]).await;
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        screen.contains("the store refuses the reply to") && has(&screen),
        "{screen}"
    );
    assert_eq!(count(&site, insurer, TABLE).await, 1);
    // Another kind still works.
    let other = site.ask(insurer, "claim.day", &["day=2026-01-03"], &[]).await;
    site.wait_state(insurer, &other, "stored_by_insurer").await;

    agent.stop().await;
    site.store_more = format!("[store.feed.{TABLE}]\ntable = \"answers_of_claims\"");
    let agent = site.commercial(insurer, "agent");
    site.wait_state(insurer, &id, "stored_by_insurer").await;
    assert!(count(&site, insurer, "answers_of_claims").await > 0);
    assert_eq!(count(&site, insurer, TABLE).await, 1);
    social.stop().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requester_postgres_existing_table_is_left_unchanged() {
    assert_waits(INSURERS[0], "names_answers_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requester_sqlite_existing_table_is_left_unchanged() {
    assert_waits(INSURERS[1], "names_answers_sqlite").await;
}

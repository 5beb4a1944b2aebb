//! Kinds that do not match the source.

use super::fixture::{A, Fixture, KINDS, kinds, until};
use super::table_source::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responder_mismatched_kind_is_shown_before_a_request() {
    let mut fixture = Fixture::new(Table::of(10, &["p1"], 10));
    fixture.answering.kinds =
        kinds(&KINDS.replace("columns = [\"id\", \"psn_name\"]", "columns = [\"id\", \"sum\"]"));
    let agent = fixture.agent("core");
    let last_error = || {
        let requests = agent.view.status().requests;
        requests
            .and_then(|requests| requests.last_error)
            .unwrap_or_default()
    };
    until(|| last_error().contains("\"setl.all\"") && last_error().contains("\"sum\"")).await;
    assert_eq!(fixture.table.reads(), 0, "no row is read for it");
    // The others are answered, and what was found stays in sight.
    let request = fixture.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(fixture.outcome(&request).await.outcome.rows(), 10);
    assert!(last_error().contains("\"setl.all\""), "{}", last_error());
    agent.end().await;
}

//! Kinds that do not fit the source.

use super::scene::{A, KINDS, Scene, kinds, until};
use super::table::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kind_that_does_not_fit_is_shown_before_it_is_asked() {
    let mut scene = Scene::new(Table::of(10, &["p1"], 10));
    scene.answering.kinds =
        kinds(&KINDS.replace("columns = [\"id\", \"psn_name\"]", "columns = [\"id\", \"sum\"]"));
    let agent = scene.agent("core");
    let last_error = || {
        let requests = agent.view.status().requests;
        requests
            .and_then(|requests| requests.last_error)
            .unwrap_or_default()
    };
    until(|| last_error().contains("\"setl.all\"") && last_error().contains("\"sum\"")).await;
    assert_eq!(scene.table.reads(), 0, "no row is read for it");
    // The others are answered, and what was found stays in sight.
    let request = scene.ask(A, "setl.by_person", Some("p1")).await;
    assert_eq!(scene.outcome(&request).await.outcome.rows(), 10);
    assert!(last_error().contains("\"setl.all\""), "{}", last_error());
    agent.end().await;
}

//! Transactions that commit late.

use super::site::Site;

/// A cursor by time would skip rows of a transaction that began earlier and committed later.
#[tokio::test(flavor = "multi_thread")]
async fn fence_late_commit_is_read_and_its_holder_is_shown() {
    let site = Site::start("commits", 1_000, "mode = \"open\"").await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;

    let slow = site.core.connect().await;
    slow.batch_execute(
        "SET application_name = 'slow job'; BEGIN; INSERT INTO claim (id, name) VALUES (900001, 'late')",
    )
    .await
    .unwrap();
    site.core
        .execute("INSERT INTO claim (id, name) VALUES (900002, 'quick')")
        .await;
    let held = social
        .wait_status("the fence to be held", "/feeds/claim/fence_stalled_by", |held| {
            !held.is_null()
        })
        .await;
    assert_eq!(held["application"], "slow job");
    assert!(held["since"].is_string() && held["role"].is_string(), "{held}");
    let later = "SELECT count(*) FROM claim WHERE id > 900000";
    assert_eq!(
        site.store.number(later).await,
        0,
        "a row beyond the fence was published"
    );
    slow.batch_execute("COMMIT").await.unwrap();
    site.wait_until_equal().await;
    social
        .wait_status(
            "the fence to be free",
            "/feeds/claim/fence_stalled_by",
            serde_json::Value::is_null,
        )
        .await;

    // A prepared transaction leaves pg_stat_activity and still commits later.
    slow.batch_execute(
        "BEGIN; INSERT INTO claim (id, name) VALUES (900003, 'prepared'); PREPARE TRANSACTION 'late two'",
    )
    .await
    .unwrap();
    drop(slow);
    site.core
        .execute("INSERT INTO claim (id, name) VALUES (900004, 'quick')")
        .await;
    let held = social
        .wait_status("the fence to be held", "/feeds/claim/fence_stalled_by", |held| {
            !held.is_null()
        })
        .await;
    assert_eq!(held["what"], "prepared transaction");
    site.core.execute("COMMIT PREPARED 'late two'").await;
    site.wait_until_equal().await;
    social.stop().await;
    poller.stop().await;
}

/// A role that sees NULL instead of other sessions' `xact_start` would have an open fence.
#[tokio::test(flavor = "multi_thread")]
async fn reader_without_pg_read_all_stats_is_refused_with_the_grant() {
    let site = Site::start("grants", 10, "mode = \"open\"").await;
    site.core
        .execute(&format!("REVOKE pg_read_all_stats FROM {}", site.reader))
        .await;
    let social = site.social("social");
    let state = social
        .wait_status("the feed to stop", "/feeds/claim/state", |state| {
            state.as_str().is_some_and(|s| s.starts_with("stopped"))
        })
        .await;
    assert!(
        state.as_str().unwrap().contains("GRANT pg_read_all_stats"),
        "{state}"
    );
    social.stop().await;
}

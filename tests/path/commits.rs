//! Transactions that commit late.

use super::site::Site;

/// Trap: a cursor by time skips what began earlier and committed later.
#[tokio::test(flavor = "multi_thread")]
async fn what_commits_late_is_found_and_who_holds_the_fence_is_shown() {
    let site = Site::start("commits", 1_000, "mode = \"open\"").await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;

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
        .shows("the fence to be held", "/feeds/claim/fence_held_by", |held| {
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
    site.agree().await;
    social
        .shows(
            "the fence to be free",
            "/feeds/claim/fence_held_by",
            serde_json::Value::is_null,
        )
        .await;

    // Trap: a prepared transaction leaves pg_stat_activity and still commits later.
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
        .shows("the fence to be held", "/feeds/claim/fence_held_by", |held| {
            !held.is_null()
        })
        .await;
    assert_eq!(held["what"], "prepared transaction");
    site.core.execute("COMMIT PREPARED 'late two'").await;
    site.agree().await;
    social.stop().await;
    poller.stop().await;
}

/// Trap: a role that sees NULL instead of the others' `xact_start` would have an open fence.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_pg_read_all_stats_is_refused_with_the_grant_it_needs() {
    let site = Site::start("grants", 10, "mode = \"open\"").await;
    site.core
        .execute(&format!("REVOKE pg_read_all_stats FROM {}", site.reader))
        .await;
    let social = site.social("social");
    let state = social
        .shows("the feed to stop", "/feeds/claim/state", |state| {
            state.as_str().is_some_and(|s| s.starts_with("stopped"))
        })
        .await;
    assert!(
        state.as_str().unwrap().contains("GRANT pg_read_all_stats"),
        "{state}"
    );
    social.stop().await;
}

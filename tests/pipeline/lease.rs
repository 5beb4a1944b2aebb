//! The lease with a standby, a killed holder and a suspended holder.

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn lease_standby_reads_nothing_then_takes_over() {
    let site = Site::start("lease", 5_000, "mode = \"open\"").await;
    let mut first = site.social("first");
    first
        .wait_status("the first to hold the lease", "/lease/held", |held| held == true)
        .await;
    let second = site.social("second");
    let poller = site.poller("poller");
    site.wait_until_equal().await;
    second
        .wait_status("the standby to answer", "/lease/held", |held| held == false)
        .await;
    let status = second.status().await.unwrap();
    assert_eq!(
        status.pointer("/driver/statements"),
        Some(&json!(0)),
        "the standby queried the core"
    );
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        site.reader
    );
    assert_eq!(
        site.core.number(&sessions).await,
        1,
        "only the holder has a session"
    );

    // The suspended holder resumes: the other agent has taken over, and this one touches nothing.
    first.process.suspend();
    second
        .wait_status(
            "the standby to take over from a suspended holder",
            "/lease/held",
            |held| held == true,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'a' FROM generate_series(100001, 101000) g")
        .await;
    site.wait_until_equal().await;
    first.process.resume();
    first
        .wait_status(
            "the suspended holder to find that it lost",
            "/lease/held",
            |held| held == false,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'b' FROM generate_series(200001, 201000) g")
        .await;
    site.wait_until_equal().await;

    let mut second = second;
    second.process.kill9();
    first
        .wait_status(
            "a standby to take over from a killed holder",
            "/lease/held",
            |held| held == true,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'c' FROM generate_series(300001, 301000) g")
        .await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    first.stop().await;
    poller.stop().await;
}

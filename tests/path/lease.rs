//! A standby, a killed holder, a suspended one.

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_reads_nothing_takes_over_and_never_doubles() {
    let site = Site::start("lease", 5_000, "mode = \"open\"").await;
    let mut first = site.social("first");
    first
        .shows("the first to hold the lease", "/lease/held", |held| held == true)
        .await;
    let second = site.social("second");
    let poller = site.poller("poller");
    site.agree().await;
    second
        .shows("the standby to answer", "/lease/held", |held| held == false)
        .await;
    let status = second.status().await.unwrap();
    assert_eq!(
        status.pointer("/driver/statements"),
        Some(&json!(0)),
        "the standby asked the core"
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

    // Suspended, and back: the other has taken over, and it touches nothing.
    first.process.suspend();
    second
        .shows(
            "the standby to take over from a suspended holder",
            "/lease/held",
            |held| held == true,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'a' FROM generate_series(100001, 101000) g")
        .await;
    site.agree().await;
    first.process.resume();
    first
        .shows(
            "the suspended holder to find that it lost",
            "/lease/held",
            |held| held == false,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'b' FROM generate_series(200001, 201000) g")
        .await;
    site.agree().await;

    let mut second = second;
    second.process.kill9();
    first
        .shows(
            "a standby to take over from a killed holder",
            "/lease/held",
            |held| held == true,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'c' FROM generate_series(300001, 301000) g")
        .await;
    site.agree().await;
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    first.stop().await;
    poller.stop().await;
}

//! A bureau of another site with the keys of this one: its chunks are not stored, and it refuses the receipts of this site.

use super::site::{DEADLINE, Site};
use harness::until;

const OPEN: &str = "mode = \"open\"";

#[tokio::test(flavor = "multi_thread")]
async fn poller_message_of_another_site_is_refused() {
    let site = Site::start("origin", 2_000, OPEN).await;
    let poller = site.poller("poller");
    let stray = site.social_with("stray", |text| {
        text.replacen("[exchange]\n", "[exchange]\nsite = \"test\"\n", 1)
    });
    poller
        .wait_status("the stray chunk in quarantine", "/quarantined", |count| {
            count.as_u64().is_some_and(|count| count > 0)
        })
        .await;
    let reasons = "SELECT count(*) FROM slacktide.quarantine WHERE reason LIKE '%its site is test%'";
    assert!(site.store.number(reasons).await > 0);
    assert_eq!(
        site.store
            .number("SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'claim'")
            .await,
        0
    );
    // The receipt covers what is in quarantine here, and names this site.
    until("a refused receipt", DEADLINE, async || {
        let wrote = stray.process.stderr();
        if wrote.contains("the receipt is not trusted: its site is main") {
            Ok(())
        } else {
            Err(wrote)
        }
    })
    .await;
    stray.stop().await;
    let (is_sound, output) = site
        .command(&["audit", "verify", "--config", "auditor.toml"])
        .await;
    assert!(!is_sound && output.contains("its site is test"), "{output}");
    // The bureau of this site does not continue from such a chunk either.
    let social = site.social("social");
    social
        .wait_status("the lane to stop", "/lanes/insurer-a.claim/state", |state| {
            state
                .as_str()
                .is_some_and(|state| state.contains("its site is test"))
        })
        .await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poller_compares_configured_bureau_and_source_names() {
    let mut site = Site::start("origin_names", 500, OPEN).await;
    site.links.only = Some("[\"claim\"]\nbureau = \"bureau\"\nsource = \"another\"".into());
    let social = site.social("social");
    let poller = site.poller("poller");
    poller
        .wait_status("the chunk in quarantine", "/quarantined", |count| {
            count.as_u64().is_some_and(|count| count > 0)
        })
        .await;
    let reasons = "SELECT count(*) FROM slacktide.quarantine WHERE reason LIKE '%its source is core%'";
    assert!(site.store.number(reasons).await > 0);
    poller.stop().await;
    // With the right names the rest is stored, and the quarantined chunk can be retried.
    site.links.only = Some("[\"claim\"]\nbureau = \"bureau\"\nsource = \"core\"".into());
    let poller = site.poller("poller-again");
    until("the quarantined chunk to be stored", DEADLINE, async || {
        let (_, output) = site
            .command(&["quarantine", "retry", "--all", "--config", "poller-again.toml"])
            .await;
        if output.contains("nothing is in quarantine") {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
    site.wait_until_equal().await;
    social.stop().await;
    poller.stop().await;
}

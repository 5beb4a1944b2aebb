//! A bureau of another site that has the keys of this one: its chunks are not stored, and receipts of this site are none there.

use super::site::{PATIENCE, Site};
use harness::until;

const OPEN: &str = "mode = \"open\"";

#[tokio::test(flavor = "multi_thread")]
async fn path_message_of_another_site_is_not_taken() {
    let site = Site::start("origin", 2_000, OPEN).await;
    let poller = site.poller("poller");
    let stray = site.social_with("stray", |text| {
        text.replacen("[exchange]\n", "[exchange]\nsite = \"test\"\n", 1)
    });
    poller
        .shows("the stray chunk in quarantine", "/quarantined", |count| {
            count.as_u64().is_some_and(|count| count > 0)
        })
        .await;
    let reasons = "SELECT count(*) FROM slacktide.quarantine WHERE reason LIKE '%belongs to site test%'";
    assert!(site.store.number(reasons).await > 0);
    assert_eq!(
        site.store
            .number("SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'claim'")
            .await,
        0
    );
    // The receipt names what is in quarantine here, and nothing of the other site.
    until("a receipt that is none here", PATIENCE, async || {
        let wrote = stray.process.stderr();
        if wrote.contains("the receipt cannot be trusted: it belongs to site main") {
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
    assert!(!is_sound && output.contains("belongs to site test"), "{output}");
    // The bureau of this site does not go on from it, either.
    let social = site.social("social");
    social
        .shows("the lane to stop", "/lanes/insurer-a.claim/state", |state| {
            state
                .as_str()
                .is_some_and(|state| state.contains("belongs to site test"))
        })
        .await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_names_of_bureau_and_source_are_compared_where_the_insurer_names_them() {
    let mut site = Site::start("origin_names", 500, OPEN).await;
    site.links.only = Some("[\"claim\"]\nbureau = \"bureau\"\nsource = \"another\"".into());
    let social = site.social("social");
    let poller = site.poller("poller");
    poller
        .shows("the chunk in quarantine", "/quarantined", |count| {
            count.as_u64().is_some_and(|count| count > 0)
        })
        .await;
    let reasons = "SELECT count(*) FROM slacktide.quarantine WHERE reason LIKE '%belongs to source core%'";
    assert!(site.store.number(reasons).await > 0);
    poller.stop().await;
    // With the right names the rest is stored, and what was put aside can be stored again.
    site.links.only = Some("[\"claim\"]\nbureau = \"bureau\"\nsource = \"core\"".into());
    let poller = site.poller("poller-again");
    until("what was put aside to be stored", PATIENCE, async || {
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
    site.agree().await;
    social.stop().await;
    poller.stop().await;
}

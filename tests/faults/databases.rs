//! Core and store that crash, fail over, become read-only, or let nobody in.

use super::log::Listening;
use super::scene::{LANE, OPEN, Scene, rounds, says};

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_crash_and_fail_over_lose_nothing() {
    let mut scene = Scene::start(5_000, OPEN).await;
    let (social, poller) = scene.agents().await;

    scene.work().await;
    scene.core.crash().await;
    social
        .shows(
            "the core to be down",
            "/feeds/claim/state",
            says("waiting for the source"),
        )
        .await;
    scene.core.restart().await;
    scene.goes_on().await;

    scene.work().await;
    scene.store.crash().await;
    poller
        .shows("the store to be down", "/last_error", says("the store cannot"))
        .await;
    scene.store.restart().await;
    scene.goes_on().await;

    // Another server takes the address, with all that was committed.
    scene.work().await;
    scene.store.stop().await;
    let store = scene.store.successor().await;
    scene.site.store = store.named(scene.site.store.name());
    scene.to_store.turn_to(store.port());
    scene.goes_on().await;

    scene.core.stop().await;
    let core = scene.core.successor().await;
    scene.site.core = core.named(scene.site.core.name());
    scene.to_core.turn_to(core.port());
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_becomes_a_read_only_standby_is_waited_for() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let listening = Listening::to(&poller);
    let set = format!(
        "ALTER ROLE {} SET default_transaction_read_only = on",
        scene.writer
    );
    scene.site.store.execute(&set).await;
    scene.log_out(&scene.writer).await;
    scene.work().await;
    poller
        .shows(
            "the store to be read-only",
            &format!("{LANE}/last_error"),
            says("connect to the primary"),
        )
        .await;
    rounds(&poller, 20).await;
    listening.said_at_most(2, &poller);
    let reset = format!("ALTER ROLE {} RESET default_transaction_read_only", scene.writer);
    scene.site.store.execute(&reset).await;
    scene.log_out(&scene.writer).await;
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_lets_nobody_in_is_asked_again_and_again() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let listening = Listening::to(&social);
    let reader = scene.site.reader.clone();
    scene
        .site
        .core
        .execute(&format!("ALTER ROLE {reader} NOLOGIN"))
        .await;
    scene.log_out(&reader).await;
    scene.work().await;
    social
        .shows(
            "the account to be refused",
            "/feeds/claim/state",
            says("the database refused the account"),
        )
        .await;
    rounds(&poller, 30).await;
    listening.said_at_most(1, &social);
    scene
        .site
        .core
        .execute(&format!("ALTER ROLE {reader} LOGIN"))
        .await;
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

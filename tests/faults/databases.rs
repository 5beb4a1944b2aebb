//! Core and store that crash, fail over, become read-only, or let nobody in.

use harness::{Proxy, free_port};

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

/// A URL may name two servers; the one that takes writes is used, whichever it is.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_in_a_url_the_one_that_serves_is_used() {
    let mut scene = Scene::start(2_000, OPEN).await;
    // Nobody listens behind the second ones yet.
    let (second_core, second_store) = (Proxy::before(free_port()).await, Proxy::before(free_port()).await);
    let both = |url: Option<String>, first: &Proxy, second: &Proxy| {
        let (one, two) = (first.port(), second.port());
        url.map(|url| {
            let named = url.replace(&format!(":{one}/"), &format!(":{one},127.0.0.1:{two}/"));
            assert_ne!(named, url);
            named
        })
    };
    scene.site.links.source = both(scene.site.links.source, &scene.to_core, &second_core);
    scene.site.links.store = both(scene.site.links.store, &scene.to_store, &second_store).map(|store| {
        store.replace(
            "\" }\nstatement",
            "?target_session_attrs=read-write\" }\nstatement",
        )
    });
    let (social, poller) = scene.agents().await;

    // The store's first server becomes a standby, and the second one serves.
    let (name, writer) = (scene.site.store.name().to_owned(), scene.writer.clone());
    let standby = format!("ALTER ROLE {writer} SET default_transaction_read_only = on");
    scene.site.store.execute(&standby).await;
    scene.log_out(&writer).await;
    scene.work().await;
    scene.store.stop().await;
    let store = scene.store.successor().await;
    scene.store.restart().await;
    scene.site.store = store.named(&name);
    let primary = format!("ALTER ROLE {writer} RESET default_transaction_read_only");
    scene.site.store.execute(&primary).await;
    second_store.turn_to(store.port());
    scene.goes_on().await;

    // The core's first server hangs: it takes connections and says nothing, and must not keep the agent from the other.
    scene.work().await;
    scene.core.stop().await;
    scene.to_core.swallow();
    let core = scene.core.successor().await;
    scene.site.core = core.named(scene.site.core.name());
    second_core.turn_to(core.port());
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

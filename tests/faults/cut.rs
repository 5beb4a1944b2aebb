//! The network is cut in every place, one after the other, and then slow in all of them.

use std::time::Duration;

use super::log::Listening;
use super::scene::{LANE, OPEN, Scene, rounds, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_core_and_store_shows_is_said_once_and_loses_nothing() {
    let mut scene = Scene::start(5_000, OPEN).await;
    let (social, poller) = scene.agents().await;

    // Between bureau and core.
    let listening = Listening::to(&social);
    scene.to_core.cut();
    scene.work().await;
    social
        .shows(
            "the core to be away",
            "/feeds/claim/state",
            says("waiting for the source"),
        )
        .await;
    social
        .shows("why", "/feeds/claim/last_error", says("cannot be reached"))
        .await;
    rounds(&poller, 8).await;
    listening.said_at_most(1, &social);
    scene.to_core.heal();
    scene.goes_on().await;
    social
        .shows("no error any more", "/feeds/claim/last_error", |error| {
            error.is_null()
        })
        .await;

    // Between insurer and store.
    let listening = Listening::to(&poller);
    scene.to_store.cut();
    scene.work().await;
    poller
        .shows(
            "the store to be away",
            "/last_error",
            says("the store cannot be reached"),
        )
        .await;
    rounds(&poller, 3).await;
    listening.said_at_most(1, &poller);
    scene.to_store.heal();
    scene.goes_on().await;
    poller
        .shows("no error any more", &format!("{LANE}/last_error"), |error| {
            error.is_null()
        })
        .await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_exchange_shows_is_said_once_and_loses_nothing() {
    let mut scene = Scene::start(5_000, OPEN).await;
    let (social, poller) = scene.agents().await;

    // Between bureau and exchange: without it there is no lease, and without a lease nothing is read.
    let listening = Listening::to(&social);
    scene.bureau.cut();
    scene.work().await;
    social
        .shows("the exchange to be away", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    social
        .shows("the lease to be gone", "/lease/held", |held| held == false)
        .await;
    rounds(&poller, 8).await;
    listening.said_at_most(1, &social);
    scene.bureau.heal();
    scene.goes_on().await;
    social
        .shows("the exchange to be back", "/exchange/state", |state| {
            state == "connected"
        })
        .await;

    // Between insurer and exchange.
    let listening = Listening::to(&poller);
    scene.insurer.cut();
    scene.work().await;
    poller
        .shows("the exchange to be away", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    poller
        .shows("why", "/last_error", says("no connection to the exchange"))
        .await;
    rounds(&poller, 5).await;
    listening.said_at_most(1, &poller);
    scene.insurer.heal();
    scene.goes_on().await;
    poller
        .shows("no error any more", "/last_error", |error| error.is_null())
        .await;

    // Slow everywhere: late, and nothing else.
    let ways = [&scene.bureau, &scene.insurer, &scene.to_core, &scene.to_store];
    for way in ways {
        way.slow(Duration::from_millis(40));
    }
    scene.goes_on().await;
    social
        .shows("the lease to be held", "/lease/held", |held| held == true)
        .await;
    for way in [&scene.bureau, &scene.insurer, &scene.to_core, &scene.to_store] {
        way.heal();
    }
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

//! Connections that carry nothing any more and do not end: nobody is told, and each side has to find out by itself.

use super::log::Listening;
use super::scene::{OPEN, Scene, says};
use crate::path::site::{Agent, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn half_open_databases_are_given_up_and_connected_anew() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let (bureau_said, insurer_said) = (Listening::to(&social), Listening::to(&poller));
    scene.to_core.swallow();
    scene.to_store.swallow();
    scene.work().await;
    social
        .shows(
            "the core not to answer",
            "/feeds/claim/last_error",
            says("does not answer"),
        )
        .await;
    scene.to_core.heal();
    poller
        .shows("the store not to answer", "/last_error", says("does not answer"))
        .await;
    scene.to_store.heal();
    scene.goes_on().await;
    bureau_said.said_at_most(2, &social);
    insurer_said.said_at_most(2, &poller);
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

/// The store holds what a transaction holds until it gives it up itself.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_at_the_store_whose_connections_carry_nothing_any_more_are_given_up() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    scene.work().await;
    scene.to_store.swallow();
    scene.to_store.heal();
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_exchange_is_given_up_and_connected_anew() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    for way in [&scene.bureau, &scene.insurer] {
        way.swallow();
    }
    scene.work().await;
    social
        .shows("the lease to be gone", "/lease/held", |held| held == false)
        .await;
    social
        .shows("the exchange to be away", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    poller
        .shows("the exchange to be away", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    for way in [&scene.bureau, &scene.insurer] {
        way.heal();
    }
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

/// SIGTERM ends it in bounded time: with 0, or with 9 where what was in hand had to be dropped.
async fn is_ended(mut agent: Agent) {
    agent.process.sigterm();
    let status = agent.process.wait_exit(PATIENCE).await;
    let log = agent.process.stderr();
    let is_dropped = status.code() == Some(9) && log.contains("grace is over");
    assert!(status.success() || is_dropped, "{status}\n{log}");
}

/// An order to stop is obeyed in time whatever hangs: nothing is lost by what is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_is_obeyed_while_everything_hangs() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    for way in [&scene.bureau, &scene.insurer, &scene.to_core, &scene.to_store] {
        way.swallow();
    }
    scene.work().await;
    tokio::join!(is_ended(social), is_ended(poller));
    for way in [&scene.bureau, &scene.insurer, &scene.to_core, &scene.to_store] {
        way.heal();
    }
    let (social, poller) = scene.agents().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

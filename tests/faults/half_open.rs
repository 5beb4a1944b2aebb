//! Half-open connections: they transfer nothing and do not end, so each side has to detect that.

use super::fixture::{Fixture, OPEN, text_contains};
use super::log::LogCapture;
use crate::pipeline::site::{Agent, DEADLINE};

#[tokio::test(flavor = "multi_thread")]
async fn databases_half_open_connections_are_replaced() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let (bureau_log, insurer_log) = (LogCapture::start(&social), LogCapture::start(&poller));
    fixture.to_core.black_hole();
    fixture.to_store.black_hole();
    fixture.change_rows().await;
    social
        .wait_status(
            "the core not to answer",
            "/feeds/claim/last_error",
            text_contains("does not respond"),
        )
        .await;
    fixture.to_core.restore();
    poller
        .wait_status(
            "the store not to answer",
            "/last_error",
            text_contains("does not respond"),
        )
        .await;
    fixture.to_store.restore();
    fixture.assert_recovered().await;
    bureau_log.assert_logged_at_most(2, &social);
    insurer_log.assert_logged_at_most(2, &poller);
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

/// The store holds the locks of a transaction until it ends the transaction itself.
#[tokio::test(flavor = "multi_thread")]
async fn store_half_open_transactions_are_ended() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    fixture.change_rows().await;
    fixture.to_store.black_hole();
    fixture.to_store.restore();
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_half_open_connection_is_replaced() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    for link in [&fixture.bureau, &fixture.insurer] {
        link.black_hole();
    }
    fixture.change_rows().await;
    social
        .wait_status("the lease to be gone", "/lease/held", |held| held == false)
        .await;
    social
        .wait_status("the exchange to be unreachable", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    poller
        .wait_status("the exchange to be unreachable", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    for link in [&fixture.bureau, &fixture.insurer] {
        link.restore();
    }
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

/// Asserts that SIGTERM ends the agent in bounded time: with 0, or with 9 if it had to drop unfinished work.
async fn assert_stops(mut agent: Agent) {
    agent.process.sigterm();
    let status = agent.process.wait_exit(DEADLINE).await;
    let log = agent.process.stderr();
    let is_dropped = status.code() == Some(9) && log.contains("shutdown timed out");
    assert!(status.success() || is_dropped, "{status}\n{log}");
}

/// SIGTERM is obeyed in time even if all connections hang, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn agent_sigterm_while_everything_hangs_stops_in_time() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    for link in [
        &fixture.bureau,
        &fixture.insurer,
        &fixture.to_core,
        &fixture.to_store,
    ] {
        link.black_hole();
    }
    fixture.change_rows().await;
    tokio::join!(assert_stops(social), assert_stops(poller));
    for link in [
        &fixture.bureau,
        &fixture.insurer,
        &fixture.to_core,
        &fixture.to_store,
    ] {
        link.restore();
    }
    let (social, poller) = fixture.start_agents().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

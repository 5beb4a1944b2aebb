//! Each connection is cut, one after the other, and then all of them are slow.

use std::time::Duration;

use super::fixture::{Fixture, LANE, OPEN, text_contains, wait_rounds};
use super::log::LogCapture;

#[tokio::test(flavor = "multi_thread")]
async fn databases_disconnected_are_logged_once_and_lose_nothing() {
    let mut fixture = Fixture::start(5_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;

    // Between bureau and core.
    let log_capture = LogCapture::start(&social);
    fixture.to_core.disconnect();
    fixture.change_rows().await;
    social
        .wait_status(
            "the core to be unreachable",
            "/feeds/claim/state",
            text_contains("waiting for the source"),
        )
        .await;
    social
        .wait_status(
            "why",
            "/feeds/claim/last_error",
            text_contains("cannot be reached"),
        )
        .await;
    wait_rounds(&poller, 8).await;
    log_capture.assert_logged_at_most(1, &social);
    fixture.to_core.restore();
    fixture.assert_recovered().await;
    social
        .wait_status("no error any more", "/feeds/claim/last_error", |error| {
            error.is_null()
        })
        .await;

    // Between insurer and store.
    let log_capture = LogCapture::start(&poller);
    fixture.to_store.disconnect();
    fixture.change_rows().await;
    poller
        .wait_status(
            "the store to be unreachable",
            "/last_error",
            text_contains("the store cannot be reached"),
        )
        .await;
    wait_rounds(&poller, 3).await;
    log_capture.assert_logged_at_most(1, &poller);
    fixture.to_store.restore();
    fixture.assert_recovered().await;
    poller
        .wait_status("no error any more", &format!("{LANE}/last_error"), |error| {
            error.is_null()
        })
        .await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_disconnected_is_logged_once_and_loses_nothing() {
    let mut fixture = Fixture::start(5_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;

    // Without the exchange there is no lease, and without a lease nothing is read.
    let log_capture = LogCapture::start(&social);
    fixture.bureau.disconnect();
    fixture.change_rows().await;
    social
        .wait_status("the exchange to be unreachable", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    social
        .wait_status("the lease to be gone", "/lease/held", |held| held == false)
        .await;
    wait_rounds(&poller, 8).await;
    log_capture.assert_logged_at_most(1, &social);
    fixture.bureau.restore();
    fixture.assert_recovered().await;
    social
        .wait_status("the exchange to be back", "/exchange/state", |state| {
            state == "connected"
        })
        .await;

    // Between insurer and exchange.
    let log_capture = LogCapture::start(&poller);
    fixture.insurer.disconnect();
    fixture.change_rows().await;
    poller
        .wait_status("the exchange to be unreachable", "/exchange/state", |state| {
            state == "disconnected"
        })
        .await;
    poller
        .wait_status(
            "why",
            "/last_error",
            text_contains("no connection to the exchange"),
        )
        .await;
    wait_rounds(&poller, 5).await;
    log_capture.assert_logged_at_most(1, &poller);
    fixture.insurer.restore();
    fixture.assert_recovered().await;
    poller
        .wait_status("no error any more", "/last_error", |error| error.is_null())
        .await;

    // All connections are slow: rows arrive late, and nothing else changes.
    let links = [
        &fixture.bureau,
        &fixture.insurer,
        &fixture.to_core,
        &fixture.to_store,
    ];
    for link in links {
        link.set_delay(Duration::from_millis(40));
    }
    fixture.assert_recovered().await;
    social
        .wait_status("the lease to be held", "/lease/held", |held| held == true)
        .await;
    for link in [
        &fixture.bureau,
        &fixture.insurer,
        &fixture.to_core,
        &fixture.to_store,
    ] {
        link.restore();
    }
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

//! Core and store crash, fail over, become read-only, or refuse logins.

use harness::{Proxy, free_port};

use super::fixture::{Fixture, LANE, OPEN, text_contains, wait_rounds};
use super::log::LogCapture;

#[tokio::test(flavor = "multi_thread")]
async fn databases_crash_and_failover_lose_nothing() {
    let mut fixture = Fixture::start(5_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;

    fixture.change_rows().await;
    fixture.core.crash().await;
    social
        .wait_status(
            "the core to be down",
            "/feeds/claim/state",
            text_contains("waiting for the source"),
        )
        .await;
    fixture.core.restart().await;
    fixture.assert_recovered().await;

    fixture.change_rows().await;
    fixture.store.crash().await;
    poller
        .wait_status(
            "the store to be down",
            "/last_error",
            text_contains("the store cannot"),
        )
        .await;
    fixture.store.restart().await;
    fixture.assert_recovered().await;

    // Another server with all that was committed takes over the address.
    fixture.change_rows().await;
    fixture.store.stop().await;
    let store = fixture.store.successor().await;
    fixture.site.store = store.existing_database(fixture.site.store.name());
    fixture.to_store.redirect_to(store.port());
    fixture.assert_recovered().await;

    fixture.core.stop().await;
    let core = fixture.core.successor().await;
    fixture.site.core = core.existing_database(fixture.site.core.name());
    fixture.to_core.redirect_to(core.port());
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_read_only_standby_is_waited_for() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let log_capture = LogCapture::start(&poller);
    let set = format!(
        "ALTER ROLE {} SET default_transaction_read_only = on",
        fixture.writer
    );
    fixture.site.store.execute(&set).await;
    fixture.terminate_sessions(&fixture.writer).await;
    fixture.change_rows().await;
    poller
        .wait_status(
            "the store to be read-only",
            &format!("{LANE}/last_error"),
            text_contains("connect to the primary"),
        )
        .await;
    wait_rounds(&poller, 20).await;
    log_capture.assert_logged_at_most(2, &poller);
    let reset = format!(
        "ALTER ROLE {} RESET default_transaction_read_only",
        fixture.writer
    );
    fixture.site.store.execute(&reset).await;
    fixture.terminate_sessions(&fixture.writer).await;
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_login_refused_is_retried() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let log_capture = LogCapture::start(&social);
    let reader = fixture.site.reader.clone();
    fixture
        .site
        .core
        .execute(&format!("ALTER ROLE {reader} NOLOGIN"))
        .await;
    fixture.terminate_sessions(&reader).await;
    fixture.change_rows().await;
    social
        .wait_status(
            "the account to be refused",
            "/feeds/claim/state",
            text_contains("the database refused the account"),
        )
        .await;
    wait_rounds(&poller, 30).await;
    log_capture.assert_logged_at_most(1, &social);
    fixture
        .site
        .core
        .execute(&format!("ALTER ROLE {reader} LOGIN"))
        .await;
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

/// A URL may name two servers; the one that accepts writes is used.
#[tokio::test(flavor = "multi_thread")]
async fn url_with_two_hosts_uses_the_one_that_serves() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    // Nothing listens behind the second proxies yet.
    let (second_core, second_store) = (Proxy::start(free_port()).await, Proxy::start(free_port()).await);
    let both = |url: Option<String>, first: &Proxy, second: &Proxy| {
        let (one, two) = (first.port(), second.port());
        url.map(|url| {
            let named = url.replace(&format!(":{one}/"), &format!(":{one},127.0.0.1:{two}/"));
            assert_ne!(named, url);
            named
        })
    };
    fixture.site.links.source = both(fixture.site.links.source, &fixture.to_core, &second_core);
    fixture.site.links.store =
        both(fixture.site.links.store, &fixture.to_store, &second_store).map(|store| {
            store.replace(
                "\" }\nstatement",
                "?target_session_attrs=read-write\" }\nstatement",
            )
        });
    let (social, poller) = fixture.start_agents().await;

    // The store's first server becomes a standby, and the second one serves.
    let (name, writer) = (fixture.site.store.name().to_owned(), fixture.writer.clone());
    let standby = format!("ALTER ROLE {writer} SET default_transaction_read_only = on");
    fixture.site.store.execute(&standby).await;
    fixture.terminate_sessions(&writer).await;
    fixture.change_rows().await;
    fixture.store.stop().await;
    let store = fixture.store.successor().await;
    fixture.store.restart().await;
    fixture.site.store = store.existing_database(&name);
    let primary = format!("ALTER ROLE {writer} RESET default_transaction_read_only");
    fixture.site.store.execute(&primary).await;
    second_store.redirect_to(store.port());
    fixture.assert_recovered().await;

    // The core's first server hangs: it accepts connections and never answers. The agent must still use the other one.
    fixture.change_rows().await;
    fixture.core.stop().await;
    fixture.to_core.black_hole();
    let core = fixture.core.successor().await;
    fixture.site.core = core.existing_database(fixture.site.core.name());
    second_core.redirect_to(core.port());
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

//! Privileges, permissions and keys are removed while everything runs, and restored.

use std::fs;

use harness::{run, slacktide};

use super::fixture::{Fixture, LANE, OPEN, text_contains, wait_rounds};
use super::log::LogCapture;
use crate::pipeline::site::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn database_privilege_revoked_is_named_until_granted_again() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let reader = fixture.site.reader.clone();
    for (privilege, word) in [
        ("SELECT ON claim", "permission denied"),
        ("pg_read_all_stats", "pg_read_all_stats"),
    ] {
        let log_capture = LogCapture::start(&social);
        fixture
            .site
            .core
            .execute(&format!("REVOKE {privilege} FROM {reader}"))
            .await;
        fixture.change_rows().await;
        social
            .wait_status(
                "the privilege to be missed",
                "/feeds/claim/state",
                text_contains("stopped"),
            )
            .await;
        let status = social.status().await.unwrap();
        assert!(
            status["feeds"]["claim"]["last_error"].to_string().contains(word),
            "{status}"
        );
        wait_rounds(&poller, 15).await;
        log_capture.assert_logged_at_most(2, &social);
        fixture
            .site
            .core
            .execute(&format!("GRANT {privilege} TO {reader}"))
            .await;
        fixture.assert_recovered().await;
    }
    let log_capture = LogCapture::start(&poller);
    let writer = fixture.writer.clone();
    fixture
        .site
        .store
        .execute(&format!("REVOKE INSERT ON claim FROM {writer}"))
        .await;
    fixture.change_rows().await;
    poller
        .wait_status(
            "the privilege to be missed",
            &format!("{LANE}/last_error"),
            text_contains("SQLSTATE 42501"),
        )
        .await;
    wait_rounds(&poller, 15).await;
    log_capture.assert_logged_at_most(2, &poller);
    fixture
        .site
        .store
        .execute(&format!("GRANT INSERT ON claim TO {writer}"))
        .await;
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_permission_or_key_removed_is_named_until_restored() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let log_capture = LogCapture::start(&social);

    let account = change(&fixture, "bureau", "\"data.insurer-a.*\"", "").await;
    fixture.change_rows().await;
    let state = format!("{LANE}/state");
    social
        .wait_status(
            "the permission to be missed",
            &state,
            text_contains("permission denied on data.insurer-a.claim"),
        )
        .await;
    wait_rounds(&poller, 15).await;
    log_capture.assert_logged_at_most(2, &social);
    restore(&fixture, "bureau", &account).await;
    fixture.assert_recovered().await;

    let pull = "\"JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-a.insurer-a\"";
    let account = change(&fixture, "insurer-a", pull, "").await;
    fixture.change_rows().await;
    poller
        .wait_status(
            "the permission to be missed",
            "/last_error",
            text_contains("permission denied on JS.hub.API.CONSUMER"),
        )
        .await;
    restore(&fixture, "insurer-a", &account).await;
    fixture.assert_recovered().await;

    // Other keys are in the account files: the agents' keys are refused from now on.
    let (bureau_log, insurer_log) = (LogCapture::start(&social), LogCapture::start(&poller));
    let bureau = change(&fixture, "bureau", "$SLACKTIDE_BUREAU_NKEY", &unknown_key()).await;
    let insurer = change(&fixture, "insurer-a", "$SLACKTIDE_INSURER_A_NKEY", &unknown_key()).await;
    for agent in [&social, &poller] {
        agent
            .wait_status("the key to be refused", "/exchange/state", |state| {
                state == "refused"
            })
            .await;
    }
    wait_rounds(&poller, 5).await;
    bureau_log.assert_logged_at_most(1, &social);
    insurer_log.assert_logged_at_most(1, &poller);
    fs::write(fixture.site.file("accounts/bureau.conf"), bureau).unwrap();
    restore(&fixture, "insurer-a", &insurer).await;
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

/// A key that the exchange does not know ends the agent at the start with its own exit code: a retry would not help.
#[tokio::test(flavor = "multi_thread")]
async fn agent_unknown_key_at_start_exits_3() {
    let fixture = Fixture::start(10, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    social.stop().await;
    poller.stop().await;
    let keys = fixture.site.file("other");
    let mut make = slacktide();
    make.args(["keys", "new", "--out"]).arg(&keys);
    assert!(run("keys new", &mut make, DEADLINE).await.status.success());
    for (kind, file) in [("social", "social.toml"), ("commercial", "poller.toml")] {
        let mut command = slacktide();
        command
            .args([kind, "run", "--config"])
            .arg(fixture.site.file(file));
        command.env("SLACKTIDE_EXCHANGE__SEED__FILE", keys.join("connect.seed"));
        let ended = run(kind, &mut command, DEADLINE).await;
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("refused the credential"),
            "{}",
            ended.stderr
        );
    }
}

/// Replaces text in an account file and reloads the server. Returns the previous text.
async fn change(fixture: &Fixture, user: &str, from: &str, to: &str) -> String {
    let path = fixture.site.file(&format!("accounts/{user}.conf"));
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{from} is not in {before}");
    fs::write(&path, before.replacen(from, to, 1)).unwrap();
    fixture.site.nats.reload().await;
    before
}

/// Returns a public connection key that no party holds.
fn unknown_key() -> String {
    format!("\"{}\"", nkeys::KeyPair::new_user().public_key())
}

async fn restore(fixture: &Fixture, user: &str, text: &str) {
    fs::write(fixture.site.file(&format!("accounts/{user}.conf")), text).unwrap();
    fixture.site.nats.reload().await;
}

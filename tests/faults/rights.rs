//! Privileges, permissions and keys that are taken away while everything runs, and given back.

use std::fs;

use harness::{run, slacktide};

use super::log::Listening;
use super::scene::{LANE, OPEN, Scene, rounds, says};
use crate::path::site::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn privileges_at_the_databases_are_missed_by_name_and_found_again() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let reader = scene.site.reader.clone();
    for (privilege, word) in [
        ("SELECT ON claim", "permission denied"),
        ("pg_read_all_stats", "pg_read_all_stats"),
    ] {
        let listening = Listening::to(&social);
        scene
            .site
            .core
            .execute(&format!("REVOKE {privilege} FROM {reader}"))
            .await;
        scene.work().await;
        social
            .shows(
                "the privilege to be missed",
                "/feeds/claim/state",
                says("stopped"),
            )
            .await;
        let status = social.status().await.unwrap();
        assert!(
            status["feeds"]["claim"]["last_error"].to_string().contains(word),
            "{status}"
        );
        rounds(&poller, 15).await;
        listening.said_at_most(2, &social);
        scene
            .site
            .core
            .execute(&format!("GRANT {privilege} TO {reader}"))
            .await;
        scene.goes_on().await;
    }
    let listening = Listening::to(&poller);
    let writer = scene.writer.clone();
    scene
        .site
        .store
        .execute(&format!("REVOKE INSERT ON claim FROM {writer}"))
        .await;
    scene.work().await;
    poller
        .shows(
            "the privilege to be missed",
            &format!("{LANE}/last_error"),
            says("SQLSTATE 42501"),
        )
        .await;
    rounds(&poller, 15).await;
    listening.said_at_most(2, &poller);
    scene
        .site
        .store
        .execute(&format!("GRANT INSERT ON claim TO {writer}"))
        .await;
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_and_keys_at_the_exchange_are_missed_by_name_and_found_again() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let listening = Listening::to(&social);

    let account = change(&scene, "bureau", "\"data.insurer-a.*\"", "").await;
    scene.work().await;
    let state = format!("{LANE}/state");
    social
        .shows(
            "the permission to be missed",
            &state,
            says("permission denied on data.insurer-a.claim"),
        )
        .await;
    rounds(&poller, 15).await;
    listening.said_at_most(2, &social);
    restore(&scene, "bureau", &account).await;
    scene.goes_on().await;

    let pull = "\"JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-a.insurer-a\"";
    let account = change(&scene, "insurer-a", pull, "").await;
    scene.work().await;
    poller
        .shows(
            "the permission to be missed",
            "/last_error",
            says("permission denied on JS.hub.API.CONSUMER"),
        )
        .await;
    restore(&scene, "insurer-a", &account).await;
    scene.goes_on().await;

    // Another key stands in the account files: ours are refused from now on.
    let (bureau_said, insurer_said) = (Listening::to(&social), Listening::to(&poller));
    let bureau = change(&scene, "bureau", "$SLACKTIDE_BUREAU_NKEY", &stranger()).await;
    let insurer = change(&scene, "insurer-a", "$SLACKTIDE_INSURER_A_NKEY", &stranger()).await;
    for agent in [&social, &poller] {
        agent
            .shows("the key to be refused", "/exchange/state", |state| {
                state == "refused"
            })
            .await;
    }
    rounds(&poller, 5).await;
    bureau_said.said_at_most(1, &social);
    insurer_said.said_at_most(1, &poller);
    fs::write(scene.site.file("accounts/bureau.conf"), bureau).unwrap();
    restore(&scene, "insurer-a", &insurer).await;
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

/// A key that the exchange does not know ends the agent at the start, with the code for it: trying again would not help.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_at_the_start_is_exit_code_3() {
    let scene = Scene::start(10, OPEN).await;
    let (social, poller) = scene.agents().await;
    social.stop().await;
    poller.stop().await;
    let keys = scene.site.file("other");
    let mut make = slacktide();
    make.args(["keys", "new", "--out"]).arg(&keys);
    assert!(run("keys new", &mut make, PATIENCE).await.status.success());
    for (kind, file) in [("social", "social.toml"), ("commercial", "poller.toml")] {
        let mut command = slacktide();
        command.args([kind, "run", "--config"]).arg(scene.site.file(file));
        command.env("SLACKTIDE_EXCHANGE__SEED__FILE", keys.join("connect.seed"));
        let ended = run(kind, &mut command, PATIENCE).await;
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("refused the credential"),
            "{}",
            ended.stderr
        );
    }
}

/// Changes an account file and has the server read it; the text before.
async fn change(scene: &Scene, user: &str, from: &str, to: &str) -> String {
    let path = scene.site.file(&format!("accounts/{user}.conf"));
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{from} is not in {before}");
    fs::write(&path, before.replacen(from, to, 1)).unwrap();
    scene.site.nats.reload().await;
    before
}

/// A public connection key that nobody holds.
fn stranger() -> String {
    format!("\"{}\"", nkeys::KeyPair::new_user().public_key())
}

async fn restore(scene: &Scene, user: &str, text: &str) {
    fs::write(scene.site.file(&format!("accounts/{user}.conf")), text).unwrap();
    scene.site.nats.reload().await;
}

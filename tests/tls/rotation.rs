//! Every key is rotated while rows flow: connection keys and certificates under running agents, signing and encryption keys by
//! a second agent next to the first. (The streams' own key stays: see `at-rest.conf`.)

use std::fs;

use super::site::{Agent, Site};

/// Changes a party's connection keys on the running server, as the exchange's operator does.
async fn change_keys(site: &Site, user: &str, change: [&str; 2]) {
    let pid = site.nats.pid().to_string();
    let mut words = vec![
        "exchange", "party", "key", user, "--dir", "exchange", "--reload", &pid,
    ];
    words.extend(change);
    site.run_ok(&words).await;
}

/// Replaces the key in use with the one of `next/`, in one step.
fn replace_key(site: &Site, user: &str, key: &str) {
    for end in ["seed", "pub"] {
        let (from, to) = (format!("{user}/next/{key}.{end}"), format!("{user}/{key}.{end}"));
        fs::copy(site.file(&to), site.file(format!("{user}/old-{key}.{end}"))).unwrap();
        fs::rename(site.file(from), site.file(to)).unwrap();
    }
}

async fn assert_flowing(site: &Site) {
    site.add(50);
    site.wait_until_equal().await;
}

/// Starts the second agent before the first one stops.
async fn replace_agent(old: Agent, new: Agent) -> Agent {
    new.wait_exchange_state("connected", "").await;
    old.stop().await;
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_rows_flow() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let (mut social, mut poller) = (site.social("old"), site.poller("old"));
    site.wait_until_equal().await;
    for user in ["bureau", "insurer-a"] {
        site.run_ok(&["keys", "new", "--out", &format!("{user}/next")])
            .await;
    }

    // 1. Connection keys and certificates: both agents run on.
    let users = ["bureau", "insurer-a"];
    for user in users {
        let public = site.read(&format!("{user}/next/connect.pub"));
        change_keys(&site, user, ["--add", &public]).await;
    }
    // Returns when both keys are in force.
    site.nats.reload().await;
    assert_flowing(&site).await;
    for user in users {
        replace_key(&site, user, "connect");
    }
    site.run_ok(&["keys", "renew", "--site", &site.file("").display().to_string()])
        .await;
    for user in users {
        let old = format!("$SLACKTIDE_{}_NKEY", user.to_uppercase().replace('-', "_"));
        change_keys(&site, user, ["--remove", &old]).await;
    }
    site.nats.reload().await;
    assert_flowing(&site).await;
    let (old, _) = site.configure("bureau", "refused", |text| {
        text.replace("\"connect.seed\"", "\"old-connect.seed\"")
    });
    let output = site.run_failing(3, &["doctor", "--config", &old]).await;
    assert!(
        output.contains("refused the credential of user \"bureau\""),
        "{output}"
    );
    social.wait_exchange_state("connected", "").await;

    // Orders are signed too; those in force stay valid under the next key.
    let order = |verb: &'static str| ["gate", verb, "--actor", "li.na", "--reason", "keys", "--config"];
    for verb in ["pause", "resume"] {
        site.run_ok(&[&order(verb)[..], &[&social.config]].concat()).await;
    }

    // 2. Signing and encryption keys. First the receiver trusts and decrypts with both.
    let key = |user: &str, file: &str| site.read(&format!("{user}/{file}.pub"));
    let chunks = format!(
        "\"{}\", \"{}\"",
        key("bureau", "sign"),
        key("bureau", "next/sign")
    );
    let receipts = format!(
        "\"{}\", \"{}\"",
        key("insurer-a", "sign"),
        key("insurer-a", "next/sign")
    );
    let old_signs = users.map(|user| format!("\"{}\"", key(user, "sign")));
    let (encryption, next_encryption) = (
        key("insurer-a", "encryption"),
        key("insurer-a", "next/encryption"),
    );
    let both = |text: String, new: &str, old: &str| {
        let seed = format!("seed = {{ file = \"{new}\" }}\nothers = [{{ file = \"{old}\" }}]");
        text.replace("seed = { file = \"encryption.seed\" }", &seed)
    };
    let trusting = |text: String| {
        let one = format!("\"{}\"", key("bureau", "sign"));
        text.replace(&one, &chunks)
    };
    let second = site.agent("insurer-a", "trusts-both", |text| {
        both(trusting(text), "encryption.seed", "next/encryption.seed")
    });
    poller = replace_agent(poller, second).await;
    assert_flowing(&site).await;
    // Then the bureau's standby takes over with the new keys.
    let second = site.agent("bureau", "new", |text| {
        let text = both(text, "next/encryption.seed", "encryption.seed")
            .replace("\"sign.seed\"", "\"next/sign.seed\"")
            .replace(&encryption, &next_encryption)
            .replace(
                &format!("[\"{}\"]", key("insurer-a", "sign")),
                &format!("[{receipts}]"),
            );
        text.replace(
            "[trust.receipts]",
            &format!("[trust]\nchunks = [{chunks}]\noperators = [{chunks}]\n[trust.receipts]"),
        )
    });
    social = replace_agent(social, second).await;
    assert_flowing(&site).await;
    // Then the receiver signs and decrypts with its new ones.
    let second = site.agent("insurer-a", "new", |text| {
        both(trusting(text), "next/encryption.seed", "encryption.seed")
            .replace("\"sign.seed\"", "\"next/sign.seed\"")
    });
    poller = replace_agent(poller, second).await;
    assert_flowing(&site).await;

    // The evidence is valid for an auditor who trusts both keys, and new chunks use the new keys.
    let verify = ["audit", "verify", "--config", "auditor/auditor.toml"];
    let output = site.run_failing(7, &verify).await;
    assert!(output.contains("not a trusted key"), "{output}");
    site.change("auditor/auditor.toml", |text| {
        text.replace(&old_signs[0], &chunks)
            .replace(&old_signs[1], &receipts)
            .replace(
                "# [encryption]\n# seed = { file = \"insurer.seed\" }",
                "[encryption]\nseed = { file = \"../insurer-a/next/encryption.seed\" }\n\
                 others = [{ file = \"../insurer-a/encryption.seed\" }]",
            )
    });
    let output = site.run_ok(&verify).await;
    assert!(!output.contains("NOT COVERED: rows"), "{output}");
    site.assert_ledger_gapless();
    social.stop().await;
    poller.stop().await;
}

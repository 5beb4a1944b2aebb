//! Every key changed while rows flow: connection keys and certificates under running agents, what
//! signs and seals by a second agent beside the first. (The streams' own key stays: see `at-rest.conf`.)

use std::fs;

use super::site::{Agent, Site};

/// What the operator of the exchange does with the connection keys of a party, on the running server.
async fn change_keys(site: &Site, user: &str, change: [&str; 2]) {
    let pid = site.nats.pid().to_string();
    let mut words = vec![
        "exchange", "party", "key", user, "--dir", "exchange", "--reload", &pid,
    ];
    words.extend(change);
    site.well(&words).await;
}

/// Puts a key of `next/` in the place of the one in use, in one step.
fn put(site: &Site, user: &str, key: &str) {
    for end in ["seed", "pub"] {
        let (from, to) = (format!("{user}/next/{key}.{end}"), format!("{user}/{key}.{end}"));
        fs::copy(site.file(&to), site.file(format!("{user}/old-{key}.{end}"))).unwrap();
        fs::rename(site.file(from), site.file(to)).unwrap();
    }
}

async fn going_on(site: &Site) {
    site.add(50);
    site.agree().await;
}

/// The second agent is there before the first one goes.
async fn replaced(old: Agent, new: Agent) -> Agent {
    new.says_of_exchange("connected", "").await;
    old.stop().await;
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_changed_while_rows_flow() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let (mut social, mut poller) = (site.social("old"), site.poller("old"));
    site.agree().await;
    for user in ["bureau", "insurer-a"] {
        site.well(&["keys", "new", "--out", &format!("{user}/next")])
            .await;
    }

    // 1. Connection keys, and certificates: both agents run on.
    let users = ["bureau", "insurer-a"];
    for user in users {
        let public = site.read(&format!("{user}/next/connect.pub"));
        change_keys(&site, user, ["--add", &public]).await;
    }
    // Returns when both keys are in force.
    site.nats.reload().await;
    going_on(&site).await;
    for user in users {
        put(&site, user, "connect");
    }
    site.well(&["keys", "renew", "--site", &site.file("").display().to_string()])
        .await;
    for user in users {
        let old = format!("$SLACKTIDE_{}_NKEY", user.to_uppercase().replace('-', "_"));
        change_keys(&site, user, ["--remove", &old]).await;
    }
    site.nats.reload().await;
    going_on(&site).await;
    let (old, _) = site.configure("bureau", "refused", |text| {
        text.replace("\"connect.seed\"", "\"old-connect.seed\"")
    });
    let told = site.fails(3, &["doctor", "--config", &old]).await;
    assert!(
        told.contains("refused the credential of user \"bureau\""),
        "{told}"
    );
    social.says_of_exchange("connected", "").await;

    // Orders are signed, too, and those in force stay so under the next key.
    let order = |verb: &'static str| ["gate", verb, "--actor", "li.na", "--reason", "keys", "--config"];
    for verb in ["pause", "resume"] {
        site.well(&[&order(verb)[..], &[&social.config]].concat()).await;
    }

    // 2. What signs and seals. First the receiver trusts and opens both.
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
    let (seal, next_seal) = (key("insurer-a", "seal"), key("insurer-a", "next/seal"));
    let both = |text: String, new: &str, old: &str| {
        let seed = format!("seed = {{ file = \"{new}\" }}\nothers = [{{ file = \"{old}\" }}]");
        text.replace("seed = { file = \"seal.seed\" }", &seed)
    };
    let trusting = |text: String| {
        let one = format!("\"{}\"", key("bureau", "sign"));
        text.replace(&one, &chunks)
    };
    let second = site.agent("insurer-a", "trusts-both", |text| {
        both(trusting(text), "seal.seed", "next/seal.seed")
    });
    poller = replaced(poller, second).await;
    going_on(&site).await;
    // Then the bureau's standby, with the new keys, takes over.
    let second = site.agent("bureau", "new", |text| {
        let text = both(text, "next/seal.seed", "seal.seed")
            .replace("\"sign.seed\"", "\"next/sign.seed\"")
            .replace(&seal, &next_seal)
            .replace(
                &format!("[\"{}\"]", key("insurer-a", "sign")),
                &format!("[{receipts}]"),
            );
        text.replace(
            "[trust.receipts]",
            &format!("[trust]\nchunks = [{chunks}]\noperators = [{chunks}]\n[trust.receipts]"),
        )
    });
    social = replaced(social, second).await;
    going_on(&site).await;
    // Then the receiver signs and seals with its new ones.
    let second = site.agent("insurer-a", "new", |text| {
        both(trusting(text), "next/seal.seed", "seal.seed").replace("\"sign.seed\"", "\"next/sign.seed\"")
    });
    poller = replaced(poller, second).await;
    going_on(&site).await;

    // All of it holds for who trusts both, and new chunks are under the new keys.
    let verify = ["audit", "verify", "--config", "auditor/auditor.toml"];
    let told = site.fails(7, &verify).await;
    assert!(told.contains("not a trusted key"), "{told}");
    site.change("auditor/auditor.toml", |text| {
        text.replace(&old_signs[0], &chunks)
            .replace(&old_signs[1], &receipts)
            .replace(
                "# [sealing]\n# seed = { file = \"insurer.seed\" }",
                "[sealing]\nseed = { file = \"../insurer-a/next/seal.seed\" }\n\
                 others = [{ file = \"../insurer-a/seal.seed\" }]",
            )
    });
    let told = site.well(&verify).await;
    assert!(!told.contains("NOT CHECKED"), "{told}");
    site.ledger_is_gapless();
    social.stop().await;
    poller.stop().await;
}

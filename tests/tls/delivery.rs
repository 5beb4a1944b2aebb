//! The whole path over mutual TLS, with encrypted bodies and streams encrypted on disk.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::exchange_contents;
use super::site::{Site, write};
use crate::pipeline::reconcile::{REPAIR, with_reconciliation};

#[tokio::test(flavor = "multi_thread")]
async fn rows_over_mutual_tls_are_encrypted_in_transit_and_at_rest() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("first"), site.poller("first"));
    site.wait_until_equal().await;
    site.add(500);
    site.wait_until_equal().await;

    // The exchange refuses clients without a certificate.
    let mut info = [0; 2000];
    let mut raw = TcpStream::connect(("127.0.0.1", site.nats.port())).await.unwrap();
    let read = raw.read(&mut info).await.unwrap();
    let info = String::from_utf8_lossy(&info[..read]).into_owned();
    assert!(
        info.contains("\"tls_required\":true") && info.contains("\"tls_verify\":true"),
        "{info}"
    );

    // Without the key, the auditor checks all but the rows and reports that; with the key, the rows too.
    let verify = ["audit", "verify", "--config", "auditor/auditor.toml"];
    let output = site.run_ok(&verify).await;
    assert!(
        output.contains("NOT COVERED: rows, rejects and sums of money"),
        "{output}"
    );
    site.change("auditor/auditor.toml", |text| {
        text.replace(
            "# [encryption]\n# seed = { file = \"insurer.seed\" }",
            "[encryption]\nseed = { file = \"../insurer-a/encryption.seed\" }",
        )
    });
    let output = site.run_ok(&verify).await;
    assert!(
        output.contains("600 rows") && !output.contains("NOT COVERED: rows"),
        "{output}"
    );

    social.stop().await;
    poller.stop().await;
    site.assert_ledger_gapless();
    // A stolen disk does not even show the parties. (`confidentiality` shows that the search works.)
    site.nats.stop().await;
    let files = exchange_contents::files(&site.nats.store());
    assert!(files.len() > 20_000, "{} bytes are no streams", files.len());
    for word in [
        "slacktide.chunk.v1",
        "insurer-a.claim",
        "data.insurer-a",
        "person 7",
    ] {
        assert!(
            !exchange_contents::contains(&files, word),
            "{word} is readable on the disk"
        );
    }
}

/// Encrypted lanes are repaired like plain ones: the bureau reads neither its own chunks nor the store.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_encrypted_lanes_are_repaired() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let social = site.agent("bureau", "first", with_reconciliation);
    let poller = site.poller("first");
    site.wait_until_equal().await;
    write(&mut site.open("bureau/core.db"), |core| {
        let planted = "DELETE FROM claim WHERE id = (SELECT min(id) FROM claim);
             UPDATE claim SET id = 700011 WHERE id = (SELECT max(id) FROM claim)";
        core.execute_batch(planted).unwrap();
    });
    let store = site.open("insurer-a/store.db");
    let lost = "DELETE FROM claim WHERE id = (SELECT id FROM claim ORDER BY id LIMIT 1 OFFSET 20)";
    store.execute_batch(lost).unwrap();
    let config = ["--config", poller.config.as_str()];
    site.run_ok(&[&REPAIR[..], &config].concat()).await;
    site.wait_until_equal().await;
    site.run_ok(&["audit", "verify", "--config", "auditor/auditor.toml"])
        .await;
    social.stop().await;
    poller.stop().await;
    site.assert_ledger_gapless();
}

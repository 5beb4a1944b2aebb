//! The whole path over mutual TLS, its bodies sealed, its streams encrypted on disk.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::eyes;
use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn rows_cross_over_mutual_tls_sealed_and_lie_encrypted() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("first"), site.poller("first"));
    site.agree().await;
    site.add(500);
    site.agree().await;

    // The exchange speaks to nobody without a certificate.
    let mut info = [0; 2000];
    let mut raw = TcpStream::connect(("127.0.0.1", site.nats.port())).await.unwrap();
    let read = raw.read(&mut info).await.unwrap();
    let info = String::from_utf8_lossy(&info[..read]).into_owned();
    assert!(
        info.contains("\"tls_required\":true") && info.contains("\"tls_verify\":true"),
        "{info}"
    );

    // The auditor without the key checks all but the rows, and says so; with it, the rows too.
    let verify = ["audit", "verify", "--config", "auditor/auditor.toml"];
    let told = site.well(&verify).await;
    assert!(
        told.contains("NOT CHECKED: rows, rejects and sums of money"),
        "{told}"
    );
    site.change("auditor/auditor.toml", |text| {
        text.replace(
            "# [sealing]\n# seed = { file = \"insurer.seed\" }",
            "[sealing]\nseed = { file = \"../insurer-a/seal.seed\" }",
        )
    });
    let told = site.well(&verify).await;
    assert!(
        told.contains("600 rows") && !told.contains("NOT CHECKED"),
        "{told}"
    );

    social.stop().await;
    poller.stop().await;
    site.ledger_is_gapless();
    // Who steals the disk reads not even who sends to whom. (`reading` shows that these eyes see.)
    site.nats.stop().await;
    let files = eyes::files(&site.nats.store());
    assert!(files.len() > 20_000, "{} bytes are no streams", files.len());
    for word in [
        "slacktide.chunk.v1",
        "insurer-a.claim",
        "data.insurer-a",
        "person 7",
    ] {
        assert!(!eyes::sees(&files, word), "{word} lies on the disk in clear");
    }
}

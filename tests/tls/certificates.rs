//! Certificates that are missing, of another authority or expired: reported with the remedy. Renewed certificates are used
//! without a restart.

use std::fs;

use harness::{run, slacktide};

use super::site::{DEADLINE, Site};

const OURS_EXPIRED: &str = "our certificate has expired: renew [exchange] tls.cert";
const ITS_EXPIRED: &str = "its certificate has expired: renew it there";

#[tokio::test(flavor = "multi_thread")]
async fn certificate_error_is_reported_with_the_remedy() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let other = tempfile::tempdir().unwrap();
    let mut make = slacktide();
    make.args(["keys", "site", "--out"]).arg(other.path());
    assert!(run("another site", &mut make, DEADLINE).await.status.success());
    for file in ["ca.pem", "client.pem", "client.key"] {
        let to = site.file(format!("bureau/other-{file}"));
        fs::copy(other.path().join("bureau").join(file), to).unwrap();
    }
    let ours = ["cert = \"client.pem\"\nkey = \"client.key\"", "ca = \"ca.pem\""];
    for (name, what, instead, output) in [
        (
            "none",
            ours[0],
            "",
            "it asks for a certificate of ours: set [exchange] tls.cert and tls.key",
        ),
        (
            "foreign",
            ours[0],
            "cert = \"other-client.pem\"\nkey = \"other-client.key\"",
            "not signed by an authority that the exchange trusts",
        ),
        (
            "authority",
            ours[1],
            "ca = \"other-ca.pem\"",
            "its certificate is not signed by an authority in [exchange] tls.ca",
        ),
        (
            "mixed",
            ours[0],
            "cert = \"client.pem\"\nkey = \"other-client.key\"",
            "certificate and key do not belong together",
        ),
        (
            "gone",
            ours[0],
            "cert = \"gone.pem\"\nkey = \"client.key\"",
            "gone.pem",
        ),
    ] {
        let (config, _) = site.configure("bureau", name, |text| {
            assert!(text.contains(what), "{text}");
            text.replace(what, instead)
        });
        // A command, the doctor, and the agent, which exits with the code for an operator's action.
        let found = site.run_failing(3, &["doctor", "--config", &config]).await;
        assert!(
            found.contains("FAIL  exchange") && found.contains(output),
            "{name}: {found}"
        );
        let ended = site.run_failing(3, &["social", "run", "--config", &config]).await;
        assert!(ended.contains(output), "{name}: {ended}");
    }
    // A private key that all users can read is refused.
    let (config, _) = site.configure("bureau", "open", |text| {
        text.replace("\"client.key\"", "\"open.key\"")
    });
    fs::copy(site.file("bureau/client.pem"), site.file("bureau/open.key")).unwrap();
    let output = site.run_failing(2, &["social", "run", "--config", &config]).await;
    assert!(
        output.contains("open.key") && output.contains("chmod 600"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_expired_is_renewed_without_a_restart() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("over"), site.poller("over"));
    site.wait_until_equal().await;
    let pids = [social.process.pid(), poller.process.pid()];
    let server = ["exchange/server.pem", "exchange/server.key"];
    let previous = server.map(|file| fs::read(site.file(file)).unwrap());

    // With 0 days they expire at once. Existing connections stay; new ones are refused.
    let folder = site.file("").display().to_string();
    site.run_ok(&["keys", "renew", "--days", "0", "--site", &folder])
        .await;
    let output = site.run_failing(3, &["doctor", "--config", &social.config]).await;
    assert!(
        output.contains(OURS_EXPIRED) && output.contains("it has expired, renew it"),
        "{output}"
    );
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.wait_exchange_state("refused", ITS_EXPIRED).await;
    }
    let output = site
        .run_failing(5, &["status", "--json", "--config", &social.config])
        .await;
    assert!(output.contains(ITS_EXPIRED), "{output}");

    // The exchange's certificate is valid again: now the agent's is reported.
    for (file, bytes) in server.iter().zip(previous) {
        fs::write(site.file(file), bytes).unwrap();
    }
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.wait_exchange_state("refused", OURS_EXPIRED).await;
    }
    let unwell = site.run_failing(9, &["health", "--config", &poller.config]).await;
    assert!(unwell.contains(OURS_EXPIRED), "{unwell}");
    site.add(300);

    site.run_ok(&["keys", "renew", "--days", "30", "--site", &folder])
        .await;
    site.nats.reload().await;
    for agent in [&social, &poller] {
        agent.wait_exchange_state("connected", "").await;
    }
    site.wait_until_equal().await;
    site.assert_ledger_gapless();
    assert_eq!(
        pids,
        [social.process.pid(), poller.process.pid()],
        "nothing was restarted"
    );
    // Each change is logged once, not each attempt.
    let log = social.process.stderr();
    let is_refusal = |line: &&str| line.contains("refuses the credential") && line.contains(OURS_EXPIRED);
    assert_eq!(log.lines().filter(is_refusal).count(), 1, "{log}");
    social.stop().await;
    poller.stop().await;
}

//! Certificates that are missing, of another authority or over: told with the remedy, and what is
//! renewed is used without a restart of anything.

use std::fs;

use harness::{run, slacktide};

use super::site::{PATIENCE, Site};

const OURS_OVER: &str = "our certificate has expired: renew [exchange] tls.cert";
const ITS_OVER: &str = "its certificate has expired: renew it there";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_told_with_the_remedy() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let other = tempfile::tempdir().unwrap();
    let mut make = slacktide();
    make.args(["keys", "site", "--out"]).arg(other.path());
    assert!(run("another site", &mut make, PATIENCE).await.status.success());
    for file in ["ca.pem", "client.pem", "client.key"] {
        let to = site.file(format!("bureau/other-{file}"));
        fs::copy(other.path().join("bureau").join(file), to).unwrap();
    }
    let ours = ["cert = \"client.pem\"\nkey = \"client.key\"", "ca = \"ca.pem\""];
    for (name, what, instead, told) in [
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
        // A command, the doctor, and the agent itself, which ends with the code that asks for a person.
        let found = site.fails(3, &["doctor", "--config", &config]).await;
        assert!(
            found.contains("FAIL  exchange") && found.contains(told),
            "{name}: {found}"
        );
        let ended = site.fails(3, &["social", "run", "--config", &config]).await;
        assert!(ended.contains(told), "{name}: {ended}");
    }
    // A private key that everybody reads is no secret.
    let (config, _) = site.configure("bureau", "open", |text| {
        text.replace("\"client.key\"", "\"open.key\"")
    });
    fs::copy(site.file("bureau/client.pem"), site.file("bureau/open.key")).unwrap();
    let told = site.fails(2, &["social", "run", "--config", &config]).await;
    assert!(told.contains("open.key") && told.contains("chmod 600"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_over_stop_nothing_for_good() {
    let mut site = Site::start(&["insurer-a"], |text| text).await;
    let (social, poller) = (site.social("over"), site.poller("over"));
    site.agree().await;
    let pids = [social.process.pid(), poller.process.pid()];
    let server = ["exchange/server.pem", "exchange/server.key"];
    let good = server.map(|file| fs::read(site.file(file)).unwrap());

    // With 0 days they are over at once. Who is connected stays so; who comes anew does not get in.
    let folder = site.file("").display().to_string();
    site.well(&["keys", "renew", "--days", "0", "--site", &folder])
        .await;
    let told = site.fails(3, &["doctor", "--config", &social.config]).await;
    assert!(
        told.contains(OURS_OVER) && told.contains("it is over, renew it"),
        "{told}"
    );
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.says_of_exchange("refused", ITS_OVER).await;
    }
    let told = site
        .fails(5, &["status", "--json", "--config", &social.config])
        .await;
    assert!(told.contains(ITS_OVER), "{told}");

    // The exchange's is good again: now ours shows.
    for (file, bytes) in server.iter().zip(good) {
        fs::write(site.file(file), bytes).unwrap();
    }
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.says_of_exchange("refused", OURS_OVER).await;
    }
    let unwell = site.fails(9, &["health", "--config", &poller.config]).await;
    assert!(unwell.contains(OURS_OVER), "{unwell}");
    site.add(300);

    site.well(&["keys", "renew", "--days", "30", "--site", &folder])
        .await;
    site.nats.reload().await;
    for agent in [&social, &poller] {
        agent.says_of_exchange("connected", "").await;
    }
    site.agree().await;
    site.ledger_is_gapless();
    assert_eq!(
        pids,
        [social.process.pid(), poller.process.pid()],
        "nothing was restarted"
    );
    // Each change is said once, and not each attempt.
    let log = social.process.stderr();
    let is_said = |line: &&str| line.contains("refuses the credential") && line.contains(OURS_OVER);
    assert_eq!(log.lines().filter(is_said).count(), 1, "{log}");
    social.stop().await;
    poller.stop().await;
}

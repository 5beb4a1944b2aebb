//! Seeds, private keys and passwords are in no arguments, logs at their highest level, errors, pages, `config show` output or core
//! dump.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::site::Site;

const PASSWORD: &str = "hush-5fae0b";
const LOUD: (&str, &str) = ("SLACKTIDE_LOG", "trace");

/// Returns every secret of the site, by name.
fn secrets(site: &Site) -> Vec<(String, String)> {
    let mut all = vec![("the core's password".to_owned(), PASSWORD.to_owned())];
    for user in ["bureau", "insurer-a"] {
        for key in ["connect", "sign", "encryption"] {
            let file = format!("{user}/{key}.seed");
            all.push((file.clone(), site.read(&file)));
        }
        let file = format!("{user}/client.key");
        let line = site.read(&file).lines().nth(1).unwrap().to_owned();
        all.push((file, line));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_in_logs_pages_or_arguments() {
    let site = Site::start(&["insurer-a"], |text| text).await;
    let seed = site.read("bureau/connect.seed");
    let core = format!("postgres://reader:{PASSWORD}@127.0.0.1:1/core");
    let env = [LOUD, ("BUREAU_SEED", &seed), ("CORE_URL", &core)];
    // A core that does not answer, so that messages about its address are logged.
    let mut social = site.agent_in(&env, "bureau", "loud", |text| {
        text.replace(
            "seed = { file = \"connect.seed\" }",
            "seed = { env = \"BUREAU_SEED\" }",
        )
        .replace(
            "kind = \"sqlite\"\npath = \"core.db\"",
            "kind = \"postgres\"\nurl = { env = \"CORE_URL\" }",
        )
        .replace(
            "cursor_set_by = \"application\"",
            "cursor_set_by = \"transaction\"",
        )
    });
    let poller = site.agent_in(&[LOUD], "insurer-a", "loud", |text| text);
    social
        .wait_status("the core's silence", "/feeds/claim/last_error", |error| {
            error.is_string()
        })
        .await;
    poller.wait_exchange_state("connected", "").await;
    // A connection that is lost, refused and established again.
    let other = nkeys::KeyPair::new_user().public_key();
    let (ours, other) = ("$SLACKTIDE_INSURER_A_NKEY", format!("\"{other}\""));
    let account = "exchange/accounts/insurer-a.conf";
    site.change(account, |text| text.replace(ours, &other));
    site.nats.reload().await;
    poller.wait_exchange_state("refused", "").await;
    site.change(account, |text| text.replace(&other, ours));
    site.nats.reload().await;
    poller.wait_exchange_state("connected", "").await;

    let mut places = Vec::new();
    for agent in [&social, &poller] {
        for page in ["status", "metrics", "healthz"] {
            places.push((format!("{} {page}", agent.config), agent.page(page).await));
        }
        let arguments = fs::read(format!("/proc/{}/cmdline", agent.process.pid())).unwrap();
        places.push((
            format!("{} arguments", agent.config),
            String::from_utf8_lossy(&arguments).into_owned(),
        ));
        for words in [
            &["config", "show"][..],
            &["config", "show", "--json"],
            &["config", "check"],
            &["doctor"],
            &["status"],
        ] {
            let done = site
                .command(&[words, &["--config", &agent.config]].concat())
                .await;
            places.push((
                format!("{} {}", agent.config, words.join(" ")),
                done.stdout + &done.stderr,
            ));
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", agent.process.pid())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        let given: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(given, ["0", "0"], "{core}");
    }
    // A wrong seed in the place of another is not repeated.
    let (config, _) = site.configure("insurer-a", "swapped", |text| {
        text.replace("sign.seed", "connect.seed")
    });
    places.push((
        "an error".to_owned(),
        site.run_failing(2, &["commercial", "run", "--config", &config])
            .await,
    ));
    places.push((
        "poller's log".to_owned(),
        poller.process.stdout() + &poller.process.stderr(),
    ));
    poller.stop().await;
    // After an abort as by an internal error, there is no core dump.
    let pid = Pid::from_raw(i32::try_from(social.process.pid()).unwrap());
    kill(pid, Signal::SIGABRT).unwrap();
    let status = social.process.wait_exit(Duration::from_secs(30)).await;
    assert!(status.signal().is_some() && !status.core_dumped(), "{status}");
    places.push((
        "social's log".to_owned(),
        social.process.stdout() + &social.process.stderr(),
    ));

    // At a lower level the NATS client would write the bytes of each message; that level is refused.
    let log = &places.last().unwrap().1;
    assert!(
        log.contains("\"level\":\"DEBUG\""),
        "the log was not at its loudest"
    );
    for (place, text) in &places {
        for (name, secret) in secrets(&site) {
            assert!(!text.contains(&secret), "{name} is in {place}");
        }
    }
}

//! Health pages, and what the service manager hears.

use std::os::unix::net::UnixDatagram;

use harness::until;

use crate::gates::BY_FILE;
use crate::path::site::{PATIENCE, Site};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// A new one, for agents that are started afterwards.
    fn of(site: &mut Site, name: &str) -> Self {
        let path = site.file(name);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        site.links.env = vec![
            ("NOTIFY_SOCKET".into(), path.into()),
            ("WATCHDOG_USEC".into(), "200000".into()),
        ];
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    fn listen(&mut self) {
        let mut text = [0; 256];
        while let Ok(length) = self.socket.recv(&mut text) {
            self.heard
                .push(String::from_utf8(text[..length].to_vec()).unwrap());
        }
    }

    /// Waits until it has heard a word so many times.
    async fn hears(&mut self, word: &str, times: usize) {
        until(&format!("{word} {times} times"), PATIENCE, async || {
            self.listen();
            if self.heard.iter().filter(|heard| *heard == word).count() >= times {
                Ok(())
            } else {
                Err(format!("{:?}", self.heard))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_manager_learn_whether_an_agent_lives_is_ready_and_is_well() {
    let mut site = Site::start("operate_pages", 50, BY_FILE).await;
    let to_store = site.store_behind_a_proxy().await;
    site.nats.stop().await;
    let mut bureaus = Manager::of(&mut site, "bureaus");
    let mut social = site.social("social");
    let mut insurers = Manager::of(&mut site, "insurers");
    let poller = site.poller("poller");

    // It waits, as is its work: it is started, and not yet able.
    bureaus.hears("READY=1", 1).await;
    insurers.hears("READY=1", 1).await;
    for agent in [&social, &poller] {
        assert_eq!(agent.answers("/health/live", 200).await, "ok\n");
        let why = agent.answers("/health/ready", 503).await;
        assert!(why.contains("exchange"), "{why}");
        // Nobody has to act on this agent.
        agent.answers("/healthz", 200).await;
    }
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.answers("/health/ready", 200).await;
    }
    // Nobody reads the socket meanwhile, and its queue is short: that must hold nobody up.
    site.agree().await;

    // A store that is away is no reason to restart the agent.
    to_store.cut();
    let why = poller.answers("/health/ready", 503).await;
    assert!(why.contains("the store"), "{why}");
    poller.answers("/health/live", 200).await;
    poller.answers("/healthz", 200).await;
    social.answers("/health/ready", 200).await;
    to_store.heal();
    poller.answers("/health/ready", 200).await;

    // A gate that is shut is work: waiting.
    std::fs::write(site.file("stop"), "").unwrap();
    social
        .shows("the gate to shut", "/gate/state", |state| state == "shut")
        .await;
    social.answers("/health/ready", 200).await;
    social.answers("/healthz", 200).await;

    // A process that stands still feeds no watchdog.
    bureaus.hears("WATCHDOG=1", 3).await;
    insurers.hears("WATCHDOG=1", 3).await;
    social.process.suspend();
    bureaus.listen();
    let before = bureaus.heard.len();
    insurers.heard.clear();
    insurers.hears("WATCHDOG=1", 5).await;
    bureaus.listen();
    assert_eq!(bureaus.heard.len(), before, "fed by a suspended process");
    social.process.resume();
    bureaus.hears("WATCHDOG=1", before + 1).await;

    assert!(!bureaus.heard.contains(&"STOPPING=1".to_owned()));
    social.stop().await;
    poller.stop().await;
    bureaus.hears("STOPPING=1", 1).await;
    insurers.hears("STOPPING=1", 1).await;
    assert_eq!(
        bureaus.heard.iter().filter(|heard| *heard == "READY=1").count(),
        1
    );
}

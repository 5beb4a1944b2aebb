//! Health pages, and what the service manager hears.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use harness::until;

use crate::gates::BY_FILE;
use crate::path::site::{PATIENCE, Site};

/// What agents are started with to notify the manager at this socket, and to feed its watchdog five times a second.
fn environment(socket: PathBuf) -> Vec<(OsString, OsString)> {
    vec![
        ("NOTIFY_SOCKET".into(), socket.into()),
        ("WATCHDOG_USEC".into(), "400000".into()),
    ]
}

/// A service manager. Like systemd it reads its socket at once and all the time: the queue holds ten datagrams, and a
/// full one takes no further state.
struct Manager {
    socket: Arc<UnixDatagram>,
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Manager {
    /// A new one, for agents that are started afterwards.
    fn of(site: &mut Site, name: &str) -> Self {
        let path = site.file(name);
        let socket = Arc::new(UnixDatagram::bind(&path).unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (from, into) = (Arc::clone(&socket), Arc::clone(&heard));
        let reader = std::thread::spawn(move || {
            let mut text = [0; 256];
            // The end is an empty read, after the shutdown.
            while let Ok(length @ 1..) = from.recv(&mut text) {
                let state = String::from_utf8(text[..length].to_vec()).unwrap();
                into.lock().unwrap().push(state);
            }
        });
        site.links.env = environment(path.clone());
        Self {
            socket,
            path,
            heard,
            reader: Some(reader),
        }
    }

    /// How many times it has heard a state.
    fn times(&self, state: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| *heard == state).count()
    }

    /// Waits until it has heard a state so many times.
    async fn hears(&self, state: &str, times: usize) {
        until(&format!("{state} {times} times"), PATIENCE, async || {
            if self.times(state) >= times {
                Ok(())
            } else {
                Err(format!("{:?}", self.heard.lock().unwrap()))
            }
        })
        .await;
    }

    /// Waits until it has read everything that was sent before.
    async fn catch_up(&self) {
        const MARK: &str = "MARK";
        let marks = self.times(MARK);
        // Waits for room in the queue, which the reader makes.
        let from = UnixDatagram::unbound().unwrap();
        from.send_to(MARK.as_bytes(), &self.path).unwrap();
        self.hears(MARK, marks + 1).await;
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_manager_learn_whether_an_agent_lives_is_ready_and_is_well() {
    let mut site = Site::start("operate_pages", 50, BY_FILE).await;
    let to_store = site.store_behind_a_proxy().await;
    site.nats.stop().await;
    let bureaus = Manager::of(&mut site, "bureaus");
    let mut social = site.social("social");
    let insurers = Manager::of(&mut site, "insurers");
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

    // A suspended process feeds no watchdog.
    bureaus.hears("WATCHDOG=1", 3).await;
    social.process.suspend();
    bureaus.catch_up().await;
    let before = bureaus.times("WATCHDOG=1");
    insurers.catch_up().await;
    insurers
        .hears("WATCHDOG=1", insurers.times("WATCHDOG=1") + 5)
        .await;
    bureaus.catch_up().await;
    assert_eq!(bureaus.times("WATCHDOG=1"), before, "fed by a suspended process");
    social.process.resume();
    bureaus.hears("WATCHDOG=1", before + 1).await;

    assert_eq!(bureaus.times("STOPPING=1"), 0);
    social.stop().await;
    poller.stop().await;
    bureaus.hears("STOPPING=1", 1).await;
    insurers.hears("STOPPING=1", 1).await;
    for manager in [&bureaus, &insurers] {
        assert_eq!(manager.times("READY=1"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_whose_manager_does_not_read_work_and_stop() {
    let mut site = Site::start("operate_deaf", 50, BY_FILE).await;
    let path = site.file("deaf");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let from = UnixDatagram::unbound().unwrap();
    from.set_nonblocking(true).unwrap();
    let full = (0..100_000).find_map(|_| from.send_to(b"FILL", &path).err());
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    site.links.env = environment(path);
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    for agent in [social, poller] {
        agent.answers("/health/ready", 200).await;
        agent.stop().await;
    }
}

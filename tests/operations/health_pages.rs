//! Health pages and notifications to the service manager.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use harness::until;

use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{DEADLINE, Site};

/// Environment of an agent that notifies the manager at this socket and feeds its watchdog five times a second.
fn environment(socket: PathBuf) -> Vec<(OsString, OsString)> {
    vec![
        ("NOTIFY_SOCKET".into(), socket.into()),
        ("WATCHDOG_USEC".into(), "400000".into()),
    ]
}

/// A service manager. Like systemd it reads its socket all the time: the queue holds ten datagrams, and a full queue accepts no
/// more.
struct Manager {
    socket: Arc<UnixDatagram>,
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Manager {
    /// Creates a manager for agents that are started afterwards.
    fn attach(site: &mut Site, name: &str) -> Self {
        let path = site.file(name);
        let socket = Arc::new(UnixDatagram::bind(&path).unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (from, into) = (Arc::clone(&socket), Arc::clone(&heard));
        let reader = std::thread::spawn(move || {
            let mut text = [0; 256];
            // An empty read marks the end, after the shutdown.
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

    fn count(&self, state: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| *heard == state).count()
    }

    async fn wait_state(&self, state: &str, times: usize) {
        until(&format!("{state} {times} times"), DEADLINE, async || {
            if self.count(state) >= times {
                Ok(())
            } else {
                Err(format!("{:?}", self.heard.lock().unwrap()))
            }
        })
        .await;
    }

    /// Waits until everything that was sent before has been read.
    async fn wait_all_read(&self) {
        const MARK: &str = "MARK";
        let marks = self.count(MARK);
        // Waits for space in the queue, which the reader frees.
        let from = UnixDatagram::unbound().unwrap();
        from.send_to(MARK.as_bytes(), &self.path).unwrap();
        self.wait_state(MARK, marks + 1).await;
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_pages_and_systemd_show_liveness_and_readiness() {
    let mut site = Site::start("operate_pages", 50, STOP_FILE_GATE).await;
    let to_store = site.store_behind_a_proxy().await;
    site.nats.stop().await;
    let bureaus = Manager::attach(&mut site, "bureaus");
    let mut social = site.social("social");
    let insurers = Manager::attach(&mut site, "insurers");
    let poller = site.poller("poller");

    // It waits, as it should: started, and not yet ready.
    bureaus.wait_state("READY=1", 1).await;
    insurers.wait_state("READY=1", 1).await;
    for agent in [&social, &poller] {
        assert_eq!(agent.wait_page("/livez", 200).await, "ok\n");
        let why = agent.wait_page("/readyz", 503).await;
        assert!(why.contains("exchange"), "{why}");
        // This agent needs no operator.
        agent.wait_page("/healthz", 200).await;
    }
    site.nats.restart().await;
    for agent in [&social, &poller] {
        agent.wait_page("/readyz", 200).await;
    }
    site.wait_until_equal().await;

    // An unreachable store is no reason to restart the agent.
    to_store.disconnect();
    let why = poller.wait_page("/readyz", 503).await;
    assert!(why.contains("the store"), "{why}");
    poller.wait_page("/livez", 200).await;
    poller.wait_page("/healthz", 200).await;
    social.wait_page("/readyz", 200).await;
    to_store.restore();
    poller.wait_page("/readyz", 200).await;

    // A closed gate is normal work: waiting.
    std::fs::write(site.file("stop"), "").unwrap();
    social
        .wait_status("the gate to close", "/gate/state", |state| state == "closed")
        .await;
    social.wait_page("/readyz", 200).await;
    social.wait_page("/healthz", 200).await;

    // A suspended process feeds no watchdog.
    bureaus.wait_state("WATCHDOG=1", 3).await;
    social.process.suspend();
    bureaus.wait_all_read().await;
    let before = bureaus.count("WATCHDOG=1");
    insurers.wait_all_read().await;
    insurers
        .wait_state("WATCHDOG=1", insurers.count("WATCHDOG=1") + 5)
        .await;
    bureaus.wait_all_read().await;
    assert_eq!(bureaus.count("WATCHDOG=1"), before, "fed by a suspended process");
    social.process.resume();
    bureaus.wait_state("WATCHDOG=1", before + 1).await;

    assert_eq!(bureaus.count("STOPPING=1"), 0);
    social.stop().await;
    poller.stop().await;
    bureaus.wait_state("STOPPING=1", 1).await;
    insurers.wait_state("STOPPING=1", 1).await;
    for manager in [&bureaus, &insurers] {
        assert_eq!(manager.count("READY=1"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_with_a_blocked_notify_socket_works_and_stops() {
    let mut site = Site::start("operate_deaf", 50, STOP_FILE_GATE).await;
    let path = site.file("deaf");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let from = UnixDatagram::unbound().unwrap();
    from.set_nonblocking(true).unwrap();
    let full = (0..100_000).find_map(|_| from.send_to(b"FILL", &path).err());
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    site.links.env = environment(path);
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    for agent in [social, poller] {
        agent.wait_page("/readyz", 200).await;
        agent.stop().await;
    }
}

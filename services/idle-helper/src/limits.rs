//! The limits of one user, over the real socket, with timeouts that no slow machine exceeds.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use priority::cgroup::{CgroupError, Hierarchy};
use priority::protocol::{LineReader, Reply, Request, to_line};

use super::allowance::Rate;
use super::config::{Account, HelperConfig, HelperTable};
use super::serve::Limits;
use super::{Helper, HelperError};

const LONG: Duration = Duration::from_secs(3600);

struct Running {
    socket: PathBuf,
    group: String,
    stop: UnixStream,
    thread: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn send(mut stream: &UnixStream, request: Request) -> std::io::Result<()> {
    stream.write_all(&to_line(&request).expect("rendered"))
}

fn receive(stream: &UnixStream) -> Reply {
    let reply = LineReader::default().read(stream).expect("an answer");
    reply.expect("a stream that waits")
}

impl Running {
    /// Starts a helper with these limits; skips the test without root.
    fn start(test: &str, limits: Limits) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = HelperConfig {
            idle_helper: HelperTable {
                socket: folder.path().join("idle.sock"),
                group: None,
                allow: vec![Account::Number(rustix::process::getuid().as_raw())],
                owner: Account::Number(0),
                executables: Vec::new(),
                cgroup: format!("/slacktide-test-{test}-{}", std::process::id()),
            },
        };
        let mut helper = match Helper::open(&config) {
            Ok(helper) => helper,
            Err(HelperError::Cgroup(CgroupError::PermissionDenied { .. }))
                if !rustix::process::geteuid().is_root() =>
            {
                harness::skip("root");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        helper.limits = limits;
        let (stop, wait) = UnixStream::pair().expect("a pair");
        Some(Self {
            socket: config.idle_helper.socket,
            group: config.idle_helper.cgroup,
            thread: std::thread::spawn(move || helper.serve(wait)),
            stop,
            _folder: folder,
        })
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).expect("it listens")
    }

    fn end(self) {
        drop(self.stop);
        self.thread.join().expect("it ends");
        let directory = Hierarchy::of_host().expect("there is one").directory(&self.group);
        std::fs::remove_dir(directory).expect("nothing is in it");
    }
}

#[test]
fn user_over_the_connection_limit_is_refused_at_once() {
    let limits = Limits {
        connections: 3,
        within: LONG,
        ..Limits::default()
    };
    let Some(helper) = Running::start("connections", limits) else {
        return;
    };
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(helper.connect());
    }
    // Refused without having sent a request.
    let refused = receive(&helper.connect());
    assert!(
        matches!(&refused, Reply::Refused { why } if why.contains("3 connections already")),
        "{refused:?}"
    );
    // Connections within the limit are served.
    let first = silent.remove(0);
    send(&first, Request::Describe).expect("written");
    let reply = receive(&first);
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
    // A connection that ended frees its place.
    let next = helper.connect();
    send(&next, Request::Describe).expect("written");
    let reply = receive(&next);
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
    drop(silent);
    helper.end();
}

#[test]
fn user_over_the_request_rate_is_refused() {
    let limits = Limits {
        within: LONG,
        rate: Rate { burst: 5, each: LONG },
        ..Limits::default()
    };
    let Some(helper) = Running::start("rate", limits) else {
        return;
    };
    for request in 0..9 {
        let stream = helper.connect();
        // It may be refused and closed before the write.
        let _ = send(&stream, Request::Describe);
        let reply = receive(&stream);
        match &reply {
            Reply::Done(_) => assert!(request < 5, "{request}"),
            Reply::Refused { why } => {
                assert!(
                    request >= 5 && why.contains("exceeds the request rate"),
                    "{request}: {why}"
                )
            }
        }
    }
    // Another request is refused for the same reason.
    let stream = helper.connect();
    let _ = send(&stream, Request::Own);
    let refused = receive(&stream);
    assert!(
        matches!(&refused, Reply::Refused { why } if why.contains("exceeds the request rate")),
        "{refused:?}"
    );
    helper.end();
}

#[test]
fn client_without_a_request_is_closed_when_its_time_is_up() {
    let limits = Limits {
        within: Duration::from_millis(1),
        ..Limits::default()
    };
    let Some(helper) = Running::start("time", limits) else {
        return;
    };
    let silent = helper.connect();
    let closed = LineReader::default().read::<Reply>(&silent);
    assert!(closed.is_err(), "{closed:?}");
    helper.end();
}

//! The limits of one user, over the real socket, with timeouts that no slow machine exceeds.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::allowance::Rate;
use super::config::{Account, HelperConfig, HelperTable};
use super::serve::Limits;
use super::{Helper, HelperError};
use crate::cgroup::{CgroupError, Hierarchy};
use crate::client::{RequestError, ask};
use crate::protocol::{Reply, Request, read, write};

const LONG: Duration = Duration::from_secs(3600);

struct Running {
    socket: PathBuf,
    group: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
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
        let stop = CancellationToken::new();
        Some(Self {
            socket: config.idle_helper.socket,
            group: config.idle_helper.cgroup,
            task: tokio::spawn(helper.serve(stop.clone())),
            stop,
            _folder: folder,
        })
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.expect("it listens")
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("it ends");
        let directory = Hierarchy::of_host().expect("there is one").directory(&self.group);
        std::fs::remove_dir(directory).expect("nothing is in it");
    }
}

#[tokio::test]
async fn user_over_the_connection_limit_is_refused_at_once() {
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
        silent.push(helper.connect().await);
    }
    // Refused without having sent a request.
    let refused: Reply = read(helper.connect().await).await.expect("an answer");
    assert!(
        matches!(&refused, Reply::Refused { why } if why.contains("3 connections already")),
        "{refused:?}"
    );
    // Connections within the limit are served.
    let mut first = silent.remove(0);
    write(&mut first, &Request::Describe).await.expect("written");
    let reply: Reply = read(&mut first).await.expect("an answer");
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
    drop(silent);
    helper.end().await;
}

#[tokio::test]
async fn user_over_the_request_rate_is_refused() {
    let limits = Limits {
        within: LONG,
        rate: Rate { burst: 5, each: LONG },
        ..Limits::default()
    };
    let Some(helper) = Running::start("rate", limits) else {
        return;
    };
    for request in 0..9 {
        let mut stream = helper.connect().await;
        // It may be refused and closed before the write.
        let _ = write(&mut stream, &Request::Describe).await;
        let reply: Reply = read(&mut stream).await.expect("an answer");
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
    // The client receives the reason.
    let refused = ask(&helper.socket, Request::Own).await;
    assert!(
        matches!(&refused, Err(RequestError::Refused(why)) if why.contains("exceeds the request rate")),
        "{refused:?}"
    );
    helper.end().await;
}

//! Maintains the kernel-idle priority: asks the helper to move each new backend, verifies the cgroups, and reports the
//! priority mode to the gate.
//!
//! The mode is `KernelIdle` only while this process and all our backends are in the idle cgroup; otherwise it is `Normal`,
//! with the reason. A new backend is detected within one interval.

pub(crate) mod client;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gate::{Gate, PriorityMode};
use priority::process::Proc;
use priority::protocol::{GroupLocation, Request};
use priority::verify::{is_in, not_idle};
use runtime::backoff::Backoff;
use source::Source;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use client::{RequestError, ask};

/// The check interval; the same as that of backend reports to the gate.
const INTERVAL: Duration = Duration::from_millis(100);
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Why the processes are not in the idle group.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    /// The helper did not move a process.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The helper moved it, and this process sees it elsewhere.
    #[error(
        "the helper moved process {pid} to {path}, and it is not seen there; run agent and helper in one namespace"
    )]
    NotSeen {
        /// The process.
        pid: u32,
        /// The group.
        path: String,
    },
    /// The group is not idle.
    #[error("{0}")]
    NotIdle(String),
}

/// Checks and reports the priority mode until the token is cancelled. Without a helper it reports `Normal` once.
pub(crate) fn run(
    gate: Gate,
    source: Arc<dyn Source>,
    helper: Option<PathBuf>,
    served_by_backends: bool,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Some(socket) = helper else {
            gate.set_priority_mode(PriorityMode::default());
            return;
        };
        let mut client = HelperClient::new(socket, served_by_backends);
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let backends = source.own_backends();
            let priority_mode = tokio::select! {
                priority_mode = client.check(&backends) => priority_mode,
                () = stop.cancelled() => return,
            };
            if last.as_ref() != Some(&priority_mode) {
                match &priority_mode {
                    PriorityMode::KernelIdle { detail } => {
                        tracing::info!(%detail, "kernel idle priority is in force")
                    }
                    PriorityMode::Normal { why } => {
                        tracing::warn!(%why, "kernel idle priority is not available")
                    }
                }
                gate.set_priority_mode(priority_mode.clone());
                last = Some(priority_mode);
            }
        }
    })
}

struct HelperClient {
    socket: PathBuf,
    served_by_backends: bool,
    proc: Proc,
    place: Option<GroupLocation>,
    backends: Vec<u32>,
    failures: u32,
    retry_at: Instant,
    why: String,
}

impl HelperClient {
    fn new(socket: PathBuf, served_by_backends: bool) -> Self {
        Self {
            socket,
            served_by_backends,
            proc: Proc::default(),
            place: None,
            backends: Vec::new(),
            failures: 0,
            retry_at: Instant::now(),
            why: "no request was sent to the helper yet".to_owned(),
        }
    }

    /// Returns the priority mode in force. Asks the helper to move processes outside the cgroup, unless a request failed recently.
    async fn check(&mut self, backends: &[u32]) -> PriorityMode {
        if self.backends != backends {
            // Another connection: a refusal for the last one does not apply to it.
            self.backends = backends.to_vec();
            self.failures = 0;
            self.retry_at = Instant::now();
        }
        let outside = self.outside();
        if !outside.is_empty() || self.place.as_ref().is_none_or(|place| not_idle(place).is_some()) {
            if Instant::now() < self.retry_at {
                return normal_mode(&self.why);
            }
            if let Err(error) = self.request_moves(&outside).await {
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Instant::now() + BACKOFF.delay(self.failures, 1.0);
                self.why = error.to_string();
                return normal_mode(&self.why);
            }
        }
        self.failures = 0;
        if self.served_by_backends && backends.is_empty() {
            return normal_mode(
                "no backend of ours is known on this host: not connected yet, or the url does not lead to 127.0.0.1",
            );
        }
        let path = self.place.as_ref().map_or("", |place| place.path.as_str());
        PriorityMode::KernelIdle {
            detail: if self.served_by_backends {
                format!("this process and backend {backends:?} are in {path}, which is idle").into()
            } else {
                format!("this process is in {path}, which is idle").into()
            },
        }
    }

    /// Returns this process and its backends, as far as they are outside the cgroup.
    fn outside(&self) -> Vec<u32> {
        let all = std::iter::once(std::process::id()).chain(self.backends.iter().copied());
        let inside = |pid: u32| {
            let place = self.place.as_ref();
            place.is_some_and(|place| is_in(&self.proc, place, pid))
        };
        all.filter(|pid| !inside(*pid)).collect()
    }

    /// Asks the helper, and verifies the result.
    async fn request_moves(&mut self, outside: &[u32]) -> Result<(), MoveError> {
        let me = std::process::id();
        // A request for this process also configures the cgroup again.
        let own = std::iter::once(me);
        let others = outside.iter().copied().filter(|pid| *pid != me);
        for pid in own.chain(others) {
            let request = if pid == me {
                Request::Own
            } else {
                Request::Backend { pid }
            };
            let place = ask(&self.socket, request).await?;
            if !is_in(&self.proc, &place, pid) {
                return Err(MoveError::NotSeen {
                    pid,
                    path: place.path,
                });
            }
            self.place = Some(place);
        }
        match self.place.as_ref().and_then(not_idle) {
            None => Ok(()),
            Some(why) => Err(MoveError::NotIdle(why)),
        }
    }
}

fn normal_mode(why: &str) -> PriorityMode {
    PriorityMode::Normal { why: why.into() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use priority::cgroup::{Hierarchy, Level};
    use priority::protocol::{Reply, to_line};

    use super::*;

    fn describe(priority_mode: &PriorityMode) -> String {
        match priority_mode {
            PriorityMode::Normal { why } => why.to_string(),
            PriorityMode::KernelIdle { detail } => format!("kernel: {detail}"),
        }
    }

    /// A fake helper that accepts every request and names the cgroup of this process.
    struct FakeHelper {
        folder: tempfile::TempDir,
        place: GroupLocation,
    }

    impl FakeHelper {
        fn new() -> Result<Self, Box<dyn std::error::Error>> {
            let folder = tempfile::tempdir()?;
            let hierarchy = Hierarchy::of_host()?;
            let own = Proc::default().cgroup(std::process::id())?;
            let idle_file = folder.path().join("cpu.idle");
            std::fs::write(&idle_file, "1\n")?;
            let place = GroupLocation {
                controller: hierarchy.controller().to_owned(),
                path: hierarchy.membership(&own).ok_or("in no group")?.to_owned(),
                idle_file,
                level: Level::Idle,
            };
            let listener = UnixListener::bind(folder.path().join("s"))?;
            let answer = to_line(&Reply::Done(place.clone()))?;
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut line = [0; 512];
                    let _ = stream.read(&mut line).await;
                    let _ = stream.write_all(&answer).await;
                }
            });
            Ok(Self { folder, place })
        }

        fn client(&self, served_by_backends: bool) -> HelperClient {
            HelperClient::new(self.folder.path().join("s"), served_by_backends)
        }
    }

    #[tokio::test]
    async fn priority_mode_kernel_idle_only_if_verified() -> Result<(), Box<dyn std::error::Error>> {
        let helper = FakeHelper::new()?;
        let mut sqlite = helper.client(false);
        assert!(sqlite.check(&[]).await.is_kernel_idle());
        let mut help = helper.client(true);
        assert!(describe(&help.check(&[]).await).contains("no backend of ours"));
        // The fake helper accepts anything; a process that does not exist is in no cgroup.
        assert!(describe(&help.check(&[u32::MAX]).await).contains("it is not seen there"));
        assert!(help.check(&[std::process::id()]).await.is_kernel_idle());
        // The effect is checked, not the setting.
        std::fs::write(&helper.place.idle_file, "0\n")?;
        assert!(describe(&help.check(&[std::process::id()]).await).contains("no longer reads 1"));
        Ok(())
    }

    #[tokio::test]
    async fn helper_unreachable_is_retried_with_back_off() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut client = HelperClient::new(folder.path().join("s"), true);
        let first = client.check(&[7]).await;
        assert!(
            describe(&first).contains("does not answer"),
            "{}",
            describe(&first)
        );
        assert!(client.failures == 1 && client.retry_at > Instant::now());
        // Independent of how long the next checks take on a busy machine.
        client.retry_at += Duration::from_secs(3_600);
        // The same reason, so that it is logged once; no retry yet.
        assert_eq!(client.check(&[7]).await, first);
        assert_eq!(client.failures, 1);
        // Another backend causes a request at once.
        client.check(&[8]).await;
        assert_eq!(client.failures, 1);
        Ok(())
    }
}

//! Runs the exchange's nats-server as a child process.
//!
//! The server is started again after a failure, with exponential back-off: its streams are on disk, and the agents reconnect. It is
//! stopped after the gateway, so that requests in flight can finish. If the first start fails, the configuration is wrong, and
//! the front ends with the server's own words.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::backoff::Backoff;
use runtime::exit::Exit;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::log_line::{self, Level};
use crate::failure::Failure;

/// Between two starts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// A server that ran this long was started successfully.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// A first start that ends earlier than this has a wrong configuration.
const FIRST_START: Duration = Duration::from_secs(3);

/// Time to stop: the server closes its clients and streams.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The last lines of the log that a failure shows.
const LAST_LINES: usize = 5;

/// How the server is started.
#[derive(Debug, Clone)]
pub(crate) struct ServerCommand {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// The variables that the configuration uses.
    pub(crate) variables: Vec<(String, String)>,
}

/// The state of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerState {
    /// Since when it runs, or `None` while it does not.
    pub(crate) running_since: Option<Timestamp>,
    /// How often it ended unexpectedly.
    pub(crate) failures: u64,
    /// How it ended the last time.
    pub(crate) last_end: Option<String>,
}

/// The supervisor of one server.
#[derive(Debug)]
pub(crate) struct Server {
    command: ServerCommand,
    state: watch::Sender<ServerState>,
}

/// What ended a run of the server.
enum Ended {
    Unexpectedly { how: String, last: Vec<String> },
    Stopped(Exit),
}

impl Server {
    /// Makes a supervisor. Starts nothing.
    pub(crate) fn new(command: ServerCommand) -> Self {
        let state = ServerState {
            running_since: None,
            failures: 0,
            last_end: None,
        };
        Self {
            command,
            state: watch::Sender::new(state),
        }
    }

    /// Returns the state, for the health page.
    pub(crate) fn state(&self) -> watch::Receiver<ServerState> {
        self.state.subscribe()
    }

    /// Runs the server until `stop` is cancelled, and stops it in order; `at_once` kills it. Returns [`Exit::Unfinished`] if it was
    /// killed.
    ///
    /// # Errors
    /// When the program cannot be started, or its first start ends at once.
    pub(crate) async fn run(
        &self,
        stop: &CancellationToken,
        at_once: &CancellationToken,
    ) -> Result<Exit, Failure> {
        let (mut failures, mut is_first) = (0_u32, true);
        loop {
            let started = Instant::now();
            let (how, last) = match self.run_once(stop, at_once).await? {
                Ended::Stopped(exit) => return Ok(exit),
                Ended::Unexpectedly { how, last } => (how, last),
            };
            let ran = started.elapsed();
            self.state.send_modify(|state| {
                state.running_since = None;
                state.failures += 1;
                state.last_end = Some(how.clone());
            });
            if is_first && ran < FIRST_START {
                let what = format!("nats-server ended {how} right after its start; the end of its log:");
                return Err(Failure::usage(what).with(last));
            }
            is_first = false;
            failures = next_failures(failures, ran);
            let delay = BACKOFF.delay(failures, rand::random());
            let retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::error!(
                end = how,
                retry_in_ms,
                "nats-server ended unexpectedly, starting it again"
            );
            tokio::select! {
                () = stop.cancelled() => return Ok(Exit::Done),
                () = at_once.cancelled() => return Ok(Exit::Unfinished),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn run_once(
        &self,
        stop: &CancellationToken,
        at_once: &CancellationToken,
    ) -> Result<Ended, Failure> {
        let mut child = self.start()?;
        let log = child.stderr.take().map(|stderr| tokio::spawn(forward(stderr)));
        self.state
            .send_modify(|state| state.running_since = Some(Timestamp::now()));
        tracing::info!(pid = child.id(), "nats-server started");
        let ended = tokio::select! {
            ended = child.wait() => Some(ended.map_err(|error| Failure::internal(&error))?),
            () = stop.cancelled() => None,
            () = at_once.cancelled() => None,
        };
        let Some(status) = ended else {
            let exit = end(&mut child, at_once).await;
            self.state.send_modify(|state| state.running_since = None);
            return Ok(Ended::Stopped(exit));
        };
        let last = match log {
            // Ends with the server, which had the other end of the pipe.
            Some(log) => timeout(Duration::from_secs(1), log)
                .await
                .map_or_else(|_| Vec::new(), Result::unwrap_or_default),
            None => Vec::new(),
        };
        Ok(Ended::Unexpectedly {
            how: describe(status),
            last,
        })
    }

    fn start(&self) -> Result<Child, Failure> {
        let ServerCommand {
            program,
            config,
            variables,
        } = &self.command;
        Command::new(program)
            .arg("--config")
            .arg(config)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // A Ctrl-C on the terminal reaches the front alone, which stops the server after the gateway.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    format!(
                        "cannot start {}: {error}; install nats-server, or give its path as server.program",
                        program.display()
                    ),
                )
            })
    }
}

/// PURE: the count of failures in a row, after a run of this length.
fn next_failures(failures: u32, ran: Duration) -> u32 {
    if ran >= STABLE_AFTER {
        1
    } else {
        failures.saturating_add(1)
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "for an unknown reason".to_owned(),
    }
}

/// Asks the server to stop, and kills it after a time-out or a second signal.
async fn end(child: &mut Child, at_once: &CancellationToken) -> Exit {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // Fails only if the server has ended already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let has_ended = tokio::select! {
        ended = timeout(STOP_WITHIN, child.wait()) => ended.is_ok(),
        () = at_once.cancelled() => false,
    };
    if has_ended {
        tracing::info!("nats-server stopped");
        return Exit::Done;
    }
    tracing::warn!("nats-server killed");
    // Waits for the end too.
    let _ = child.kill().await;
    Exit::Unfinished
}

/// Writes the server's log into ours until it ends, and returns its last lines.
async fn forward(stderr: ChildStderr) -> Vec<String> {
    let mut lines = BufReader::new(stderr).split(b'\n');
    let mut last = VecDeque::new();
    // An error of the pipe ends the log as its end does.
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let (level, text) = log_line::parse(&line);
        match level {
            Level::Error => tracing::error!(target: "nats_server", "{text}"),
            Level::Warning => tracing::warn!(target: "nats_server", "{text}"),
            Level::Info => tracing::info!(target: "nats_server", "{text}"),
            Level::Debug => tracing::debug!(target: "nats_server", "{text}"),
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text.to_owned());
    }
    last.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_failures_count_from_one_after_a_stable_run() {
        assert_eq!(next_failures(0, Duration::from_secs(1)), 1);
        assert_eq!(next_failures(4, Duration::from_secs(1)), 5);
        assert_eq!(next_failures(4, STABLE_AFTER), 1);
        assert_eq!(next_failures(u32::MAX, Duration::ZERO), u32::MAX);
    }

    fn shell(script: &str) -> Server {
        // A shell takes the place of the server: `--config` is its $0.
        Server::new(ServerCommand {
            program: PathBuf::from("/bin/sh"),
            config: PathBuf::from(script),
            variables: Vec::new(),
        })
    }

    #[tokio::test]
    async fn server_that_ends_at_its_first_start_is_an_error() {
        // The shell refuses `--config`.
        let server = shell("none");
        let token = CancellationToken::new();
        let failure = server.run(&token, &token).await.unwrap_err();
        assert!(failure.to_string().contains("right after its start"), "{failure}");
        assert_eq!(server.state().borrow().failures, 1);
        assert_eq!(server.state().borrow().running_since, None);
    }

    #[tokio::test]
    async fn server_program_that_is_missing_is_named() {
        let mut server = shell("none");
        server.command.program = PathBuf::from("/nonexistent/nats-server");
        let token = CancellationToken::new();
        let failure = server.run(&token, &token).await.unwrap_err();
        assert!(
            failure.to_string().contains("/nonexistent/nats-server"),
            "{failure}"
        );
    }
}

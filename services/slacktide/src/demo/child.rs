//! The demo's processes: started, supervised and stopped in order, never left running.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::exit::Exit;
use tokio::process::{Child, Command};

use crate::failure::Failure;

/// A process. Killed when dropped; stopped gracefully by [`Process::stop`].
pub(crate) struct Process {
    name: &'static str,
    /// The process.
    pub(crate) child: Child,
    log: PathBuf,
}

/// Returns a command for this program.
pub(crate) fn this_program() -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(&error))?;
    let mut command = Command::new(program);
    // Overrides for the user's own agents must not apply to the demo's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLACKTIDE_") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// Starts the process, with its output in a file.
pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Process, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, format!("cannot start {name}: {error}"));
    let file = std::fs::File::create(log).map_err(|error| failed(&error))?;
    let child = command
        .stderr(Stdio::from(file))
        .kill_on_drop(true)
        // The demo handles Ctrl-C and stops its processes in order.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(&error))?;
    Ok(Process {
        name,
        child,
        log: log.to_owned(),
    })
}

impl Process {
    /// Returns an error if the process ended unexpectedly.
    pub(crate) fn check_running(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(&status.to_string())),
            Err(error) => Err(Failure::internal(&error)),
        }
    }

    fn ended(&self, how: &str) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let what = format!("{} ended unexpectedly ({how}); end of its output:", self.name);
        Failure::new(Exit::Internal, what).with(last.into_iter().rev().map(str::to_owned))
    }

    /// Asks the process to stop and waits; kills it after the grace period.
    pub(crate) async fn stop(&mut self, grace: Duration) -> bool {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            _ => {
                let _ = self.child.kill().await;
                false
            }
        }
    }
}

/// Waits until a file exists and is not empty.
pub(crate) async fn text_of(path: &Path, process: &mut Process, within: Duration) -> Result<String, Failure> {
    let end = tokio::time::Instant::now() + within;
    loop {
        if let Ok(text) = std::fs::read_to_string(path)
            && !text.trim().is_empty()
        {
            return Ok(text);
        }
        process.check_running()?;
        if tokio::time::Instant::now() >= end {
            return Err(process.ended("it was not ready in time"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

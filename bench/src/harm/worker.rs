//! A child process that extracts, and its status.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::plan::{Kind, Variant};
use crate::rig::Rig;
use crate::whole::{Environment, StatusWriter};

/// The status that a child writes every tenth of a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    /// The time, in Unix microseconds.
    pub(crate) at_us: u64,
    /// Rows read so far.
    pub(crate) rows: u64,
    /// CPU time so far, in microseconds.
    pub(crate) cpu_us: u64,
    /// The agent's own status; null for the timer.
    pub(crate) status: Value,
}

/// Returns the time, in Unix microseconds.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

impl WorkerStatus {
    /// Returns the current status.
    pub(crate) fn now(rows: u64, status: Value) -> Self {
        Self {
            at_us: now_us(),
            rows,
            cpu_us: cpu_us(),
            status,
        }
    }

    /// Writes the status atomically.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, serde_json::to_vec(self)?)?;
        std::fs::rename(temporary, path)?;
        Ok(())
    }
}

/// Returns this process's CPU time over all threads, from the scheduler's statistics.
fn cpu_us() -> u64 {
    let run = |path: PathBuf| -> Option<u64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    };
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    threads.filter_map(|thread| run(thread.path())).sum::<u64>() / 1_000
}

/// The child process.
pub(crate) struct Worker {
    child: Child,
    status: PathBuf,
    _environment: Option<(Environment, StatusWriter)>,
}

impl Worker {
    /// Starts the child in its own session, like a service.
    pub(crate) fn start(
        rig: &Rig,
        variant: &Variant,
        feeds: u32,
        environment: Option<Environment>,
    ) -> Outcome<Self> {
        let status = rig.folder().join("worker.json");
        let _ = std::fs::remove_file(&status);
        let mut command = Command::new("setsid");
        if let Some(environment) = environment {
            command
                .arg(&environment.binary)
                .args(["social", "run", "--config"])
                .arg(&environment.settings);
            let quiet = std::process::Stdio::null;
            command
                .stdin(quiet())
                .stdout(quiet())
                .stderr(quiet())
                .kill_on_drop(true);
            let writer = environment.write_status(status.clone())?;
            return Ok(Self {
                child: command.spawn()?,
                status,
                _environment: Some((environment, writer)),
            });
        }
        command.arg(std::env::current_exe()?);
        command.arg(match variant.kind {
            Kind::None => "none",
            Kind::Timer => "timer",
            Kind::Agent | Kind::Whole => "agent",
        });
        command.arg("--url").arg(rig.core.url_as(&rig.reader));
        command.arg("--status").arg(&status);
        command.arg("--feeds").arg(feeds.to_string());
        if let Some(gate) = &variant.gate {
            command.arg("--gate").arg(gate);
        }
        if let Some(group) = &variant.group {
            command.arg("--group").arg(group);
        }
        command
            .arg("--status-interval-ms")
            .arg(if variant.name == "closed" { "1000" } else { "200" });
        // The child ends when this pipe closes, however this process ends.
        command.stdin(std::process::Stdio::piped()).kill_on_drop(true);
        Ok(Self {
            child: command.spawn()?,
            status,
            _environment: None,
        })
    }

    /// Returns the last status.
    pub(crate) fn status(&mut self) -> Outcome<WorkerStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("an extractor ended unexpectedly: {status}").into());
        }
        let bytes =
            std::fs::read(&self.status).map_err(|error| format!("no status of an extractor: {error}"))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Ends the child and returns its last status.
    pub(crate) async fn stop(mut self) -> Outcome<WorkerStatus> {
        let status = self.status()?;
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        }
        tokio::time::timeout(Duration::from_secs(20), self.child.wait())
            .await
            .map_err(|_| "an extractor did not end within 20 s")??;
        Ok(status)
    }
}

/// Completes when termination is requested, or the parent has ended.
pub(crate) async fn termination_requested() -> Outcome<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let (gone, orphaned) = tokio::sync::oneshot::channel();
    // A separate thread, as reading from a pipe cannot be cancelled.
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        let _ = std::io::Read::read_to_end(&mut std::io::stdin(), &mut nothing);
        let _ = gone.send(());
    });
    tokio::select! {
        _ = term.recv() => {}
        _ = orphaned => {}
    }
    Ok(())
}

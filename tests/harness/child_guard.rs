//! The watchdog process of a child.
//!
//! Rust drops no statics, and SIGKILL drops nothing. So each server has a small shell that reads from a pipe whose write
//! end only this process holds. When the pipe closes, for any reason, the shell ends the server and removes its directory.
//! The shell has its own process group, so that Ctrl-C reaches the test and not the watchdog.

use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Arguments: `$1` the signal that ends the child; `$2` the directory to remove, or empty; `$3` the log directory of the
/// whole process, or empty, removed if no test has left logs there. CONT follows the signal because a stopped child handles
/// no signal. A child that does not end within ten seconds is killed. In a container the orphan may never be reaped, so a
/// zombie counts as ended.
const WATCH: &str = r#"
trap '' INT TERM HUP
pid=
while read -r word arg; do
    case $word in
        watch) pid=$arg ;;
        release) pid= ;;
        done) exit 0 ;;
    esac
done
if [ -n "$pid" ]; then
    kill -s "$1" "$pid"
    kill -s CONT "$pid"
    polls=0
    while kill -0 "$pid" && [ "$polls" -lt 200 ]; do
        grep -q '^State:.*zombie' "/proc/$pid/status" && break
        polls=$((polls + 1))
        sleep 0.05
    done
    kill -s KILL "$pid"
fi 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"
[ -n "$3" ] && [ "$(ls -A "$3" 2>/dev/null)" = shared ] && rm -rf -- "$3"
"#;

/// Ends a child and removes its directory when this process ends. Dropping the guard releases both.
#[derive(Debug)]
pub struct ChildGuard {
    watchdog: Child,
}

impl ChildGuard {
    /// Starts a watchdog that ends the child that it [`watches`](Self::watch) with `end` and removes `dir`, if there is one.
    #[must_use]
    pub fn new(end: Signal, dir: Option<&Path>) -> Self {
        Self::with_shared_logs(end, dir, None)
    }

    /// Starts a watchdog for a child that all tests of this process share. Its logs in `run` are removed unless a test left
    /// its own there.
    pub(crate) fn with_shared_logs(end: Signal, dir: Option<&Path>, run: Option<&Path>) -> Self {
        let watchdog = Command::new("sh")
            .args(["-c", WATCH, "guard", end.as_str().trim_start_matches("SIG")])
            .arg(dir.unwrap_or(Path::new("")))
            .arg(run.unwrap_or(Path::new("")))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh runs");
        Self { watchdog }
    }

    /// Ends this child when the process ends.
    pub fn watch(&mut self, child: &Child) {
        self.send(&format!("watch {}\n", child.id()));
    }

    /// Releases the child, which has been reaped: its id may belong to another process, so it must not be signalled.
    pub fn release(&mut self) {
        self.send("release -\n");
    }

    fn send(&mut self, line: &str) {
        let pipe = self.watchdog.stdin.as_mut().expect("the pipe is open until drop");
        pipe.write_all(line.as_bytes()).expect("the watchdog reads");
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            // Ignored: the watchdog has already ended.
            let _ = pipe.write_all(b"done -\n");
        }
        let _ = self.watchdog.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;
    use std::time::Duration;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    /// Closes the pipe without a command, as when the test process is killed. Drop then waits for the watchdog.
    fn cut(guard: &mut ChildGuard) {
        drop(guard.watchdog.stdin.take());
    }

    #[tokio::test]
    async fn guard_closed_pipe_ends_child_and_removes_directory() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut guard = ChildGuard::new(Signal::SIGTERM, Some(&dir));
        guard.watch(&child);
        cut(&mut guard);
        drop(guard);
        assert!(!dir.exists());
        let status = until("the child to end", Duration::from_secs(10), async || {
            child.try_wait().unwrap()
        })
        .await;
        assert!(!status.success());
    }

    #[tokio::test]
    async fn guard_closed_pipe_ends_a_suspended_child() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut guard = ChildGuard::new(Signal::SIGTERM, Some(&dir));
        guard.watch(&child);
        crate::signal::suspend(&child);
        cut(&mut guard);
        until("the child to end", Duration::from_secs(10), async || {
            child.try_wait().unwrap()
        })
        .await;
    }

    #[test]
    fn guard_dropped_leaves_the_child_running() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper();
        let mut guard = ChildGuard::new(Signal::SIGTERM, Some(dir.path()));
        guard.watch(&child);
        drop(guard);
        assert!(dir.path().exists());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn guard_released_child_is_not_signalled() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut guard = ChildGuard::new(Signal::SIGTERM, Some(&dir));
        guard.watch(&child);
        guard.release();
        cut(&mut guard);
        drop(guard);
        assert!(!dir.exists());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

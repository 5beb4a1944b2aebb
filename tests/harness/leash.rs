//! The watchdog beside every child.
//!
//! Rust drops no statics, and a SIGKILL drops nothing at all. So beside each server stands a small shell that reads
//! from a pipe whose other end only this process holds. When the pipe closes, for whatever reason, the shell ends
//! the server and removes its directory. It is in a process group of its own, so that an interrupt from the terminal
//! reaches the test and not the watchdog.

use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `$1` is the signal that ends the child, `$2` the directory that goes with it, or nothing; `$3` the logs of the whole
/// process, or nothing, which go if no test has left any. A child that is stopped hears no signal, hence CONT; one that does not obey within ten seconds is killed. In a container nobody may reap the orphan,
/// so a zombie counts as gone.
const WATCH: &str = r#"
trap '' INT TERM HUP
pid=
while read -r word arg; do
    case $word in
        holds) pid=$arg ;;
        lost) pid= ;;
        done) exit 0 ;;
    esac
done
if [ -n "$pid" ]; then
    kill -s "$1" "$pid"
    kill -s CONT "$pid"
    looks=0
    while kill -0 "$pid" && [ "$looks" -lt 200 ]; do
        grep -q '^State:.*zombie' "/proc/$pid/status" && break
        looks=$((looks + 1))
        sleep 0.05
    done
    kill -s KILL "$pid"
fi 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"
[ -n "$3" ] && [ "$(ls -A "$3" 2>/dev/null)" = shared ] && rm -rf -- "$3"
"#;

/// Ends one child and removes its directory when this process is gone. Dropped, it lets go of both.
#[derive(Debug)]
pub struct Leash {
    watchdog: Child,
}

impl Leash {
    /// A watchdog that will end what it [`holds`](Self::holds) with `end` and remove `dir`, if there is one.
    #[must_use]
    pub fn new(end: Signal, dir: Option<&Path>) -> Self {
        Self::with_shared_logs(end, dir, None)
    }

    /// The same for a child that all tests of this process share: its logs in `run` are removed unless a test has
    /// left its own there.
    pub(crate) fn with_shared_logs(end: Signal, dir: Option<&Path>, run: Option<&Path>) -> Self {
        let watchdog = Command::new("sh")
            .args(["-c", WATCH, "leash", end.as_str().trim_start_matches("SIG")])
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

    /// From now on, end this child.
    pub fn holds(&mut self, child: &Child) {
        self.say(&format!("holds {}\n", child.id()));
    }

    /// The child is gone and reaped: its id may become another's, so it must not be ended.
    pub fn lost(&mut self) {
        self.say("lost -\n");
    }

    fn say(&mut self, line: &str) {
        let pipe = self.watchdog.stdin.as_mut().expect("the pipe is held until drop");
        pipe.write_all(line.as_bytes()).expect("the watchdog reads");
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            // A watchdog that is gone has nothing left to be told.
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

    /// The pipe closes without a word, as when the test process is killed. Drop then waits for the watchdog.
    fn cut(leash: &mut Leash) {
        drop(leash.watchdog.stdin.take());
    }

    #[tokio::test]
    async fn a_closed_pipe_ends_the_child_and_removes_its_directory() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut leash = Leash::new(Signal::SIGTERM, Some(&dir));
        leash.holds(&child);
        cut(&mut leash);
        drop(leash);
        assert!(!dir.exists());
        let status = until("the child to end", Duration::from_secs(10), async || {
            child.try_wait().unwrap()
        })
        .await;
        assert!(!status.success());
    }

    #[tokio::test]
    async fn a_suspended_child_is_ended_too() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut leash = Leash::new(Signal::SIGTERM, Some(&dir));
        leash.holds(&child);
        crate::signal::suspend(&child);
        cut(&mut leash);
        until("the child to end", Duration::from_secs(10), async || {
            child.try_wait().unwrap()
        })
        .await;
    }

    #[test]
    fn a_dropped_leash_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper();
        let mut leash = Leash::new(Signal::SIGTERM, Some(dir.path()));
        leash.holds(&child);
        drop(leash);
        assert!(dir.path().exists());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_lost_child_is_left_alone() {
        let dir = tempfile::tempdir().unwrap().keep();
        let mut child = sleeper();
        let mut leash = Leash::new(Signal::SIGTERM, Some(&dir));
        leash.holds(&child);
        leash.lost();
        cut(&mut leash);
        drop(leash);
        assert!(!dir.exists());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

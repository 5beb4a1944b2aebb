//! Lowers this process without privileges: nice 19, its session's autogroup, the idle I/O class.
//!
//! This has an effect within the same autogroup and on hosts without autogroups only; the backend is lowered by
//! [`crate::cgroup`]. No step is fatal; each reports its outcome.

use std::fmt;
use std::path::Path;

use rustix::process::{Pid, setpriority_process};

use crate::io_class::IoClass;
use crate::process::Proc;

const LOWEST: i32 = 19;

/// One step and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name: `nice`, `autogroup`, `io_class`.
    pub name: &'static str,
    /// The outcome, or why the step is not available.
    pub outcome: Result<(), String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(()) => write!(f, "{}: done", self.name),
            Err(why) => write!(f, "{}: not available, {why}", self.name),
        }
    }
}

/// Lowers the priority of this process without privileges. Call it before the process starts threads: later threads
/// inherit the settings; the nice value is set for all existing threads.
#[must_use]
pub fn lower() -> Vec<Step> {
    let step = |name, outcome| Step { name, outcome };
    vec![
        step("nice", nice(Path::new("/proc/self/task"))),
        step(
            "autogroup",
            autogroup(
                Path::new("/proc/self/autogroup"),
                is_session_leader(&Proc::default(), std::process::id()),
            ),
        ),
        step("io_class", IoClass::IDLE.set(std::process::id())),
    ]
}

/// Linux keeps a nice value per thread.
fn nice(tasks: &Path) -> Result<(), String> {
    let describe = |error: std::io::Error| error.to_string();
    for entry in std::fs::read_dir(tasks).map_err(describe)? {
        let name = entry.map_err(describe)?.file_name();
        let thread = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw);
        setpriority_process(thread, LOWEST).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether the process leads its session. The autogroup belongs to the session: lowering it for a session of another
/// leader would lower that one too.
///
/// Reads `/proc`, not `getsid`: the latter returns 0 if the leader is in another PID namespace, which is not a process
/// id and which the bindings treat as impossible.
fn is_session_leader(proc: &Proc, pid: u32) -> bool {
    proc.stat(pid).is_ok_and(|stat| stat.session == pid)
}

fn autogroup(file: &Path, is_session_leader: bool) -> Result<(), String> {
    if !file.exists() {
        return Err("this kernel has no autogroups".to_owned());
    }
    if !is_session_leader {
        return Err(
            "the session is shared with the program that started us, which would be lowered too; \
                    a service manager gives a session of its own"
                .to_owned(),
        );
    }
    std::fs::write(file, LOWEST.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autogroup_of_a_shared_session_is_not_changed() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("autogroup");
        assert!(autogroup(&file, true).is_err_and(|why| why.contains("no autogroups")));
        std::fs::write(&file, "/autogroup-1 nice 0\n")?;
        assert!(autogroup(&file, false).is_err_and(|why| why.contains("shared")));
        assert_eq!(std::fs::read_to_string(&file)?, "/autogroup-1 nice 0\n");
        assert_eq!(autogroup(&file, true), Ok(()));
        assert_eq!(std::fs::read_to_string(&file)?, "19");
        Ok(())
    }

    #[test]
    fn session_led_from_another_namespace_is_not_ours() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("7"))?;
        let with = |session: &str| {
            let stat = format!("7 (slacktide) S 1 7 {session} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0");
            std::fs::write(folder.path().join("7/stat"), stat)?;
            Ok::<_, std::io::Error>(is_session_leader(&Proc::with_root(folder.path()), 7))
        };
        assert!(with("7")? && !with("3")? && !with("0")?);
        Ok(())
    }

    #[test]
    fn step_display_shows_its_outcome() {
        let step = |outcome| {
            Step {
                name: "nice",
                outcome,
            }
            .to_string()
        };
        assert_eq!(step(Ok(())), "nice: done");
        assert_eq!(step(Err("no".to_owned())), "nice: not available, no");
        assert!(nice(Path::new("/nowhere")).is_err());
    }
}

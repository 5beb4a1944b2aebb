//! Lowers this process without privileges: nice 19, its session's autogroup, the idle I/O class.
//!
//! This has an effect within the same autogroup and on hosts without autogroups only; the backend is lowered by
//! [`crate::cgroup`]. No step is fatal; each reports its outcome.

use std::path::Path;
use std::{fmt, io};

use rustix::process::{Pid, setpriority_process};

use crate::io_class::{IoClass, IoClassError};
use crate::process::Proc;

const LOWEST: i32 = 19;

/// Why a step is not available.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The kernel refused it.
    #[error("{0}")]
    Kernel(#[from] io::Error),
    /// The I/O class was not set.
    #[error(transparent)]
    IoClass(#[from] IoClassError),
    /// The kernel has no autogroups; the nice value counts on the whole host.
    #[error("this kernel has no autogroups")]
    NoAutogroups,
    /// Another process leads the session.
    #[error(
        "the session is shared with the program that started us, which would be lowered too; a service manager gives a \
         session of its own"
    )]
    SharedSession,
}

/// One step and its outcome.
#[derive(Debug)]
pub struct Step {
    /// The name: `nice`, `autogroup`, `io_class`.
    pub name: &'static str,
    /// The outcome, or why the step is not available.
    pub outcome: Result<(), StepError>,
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
        step(
            "io_class",
            IoClass::IDLE.set(std::process::id()).map_err(StepError::from),
        ),
    ]
}

/// Linux keeps a nice value per thread.
fn nice(tasks: &Path) -> Result<(), StepError> {
    for entry in std::fs::read_dir(tasks)? {
        let name = entry?.file_name();
        let thread = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw);
        setpriority_process(thread, LOWEST).map_err(io::Error::from)?;
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

fn autogroup(file: &Path, is_session_leader: bool) -> Result<(), StepError> {
    if !file.exists() {
        return Err(StepError::NoAutogroups);
    }
    if !is_session_leader {
        return Err(StepError::SharedSession);
    }
    std::fs::write(file, LOWEST.to_string()).map_err(StepError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autogroup_of_a_shared_session_is_not_changed() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("autogroup");
        assert!(autogroup(&file, true).is_err_and(|why| why.to_string().contains("no autogroups")));
        std::fs::write(&file, "/autogroup-1 nice 0\n")?;
        assert!(autogroup(&file, false).is_err_and(|why| why.to_string().contains("shared")));
        assert_eq!(std::fs::read_to_string(&file)?, "/autogroup-1 nice 0\n");
        assert!(autogroup(&file, true).is_ok());
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
        let refused = step(Err(StepError::Kernel(io::Error::other("no"))));
        assert_eq!(refused, "nice: not available, no");
        assert!(nice(Path::new("/nowhere")).is_err());
    }
}

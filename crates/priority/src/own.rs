//! What any process may do to itself: nice 19, its session's autogroup, the idle IO class.
//!
//! It helps against others in the same autogroup and on hosts without autogroups, no more: the
//! backend is lowered by [`crate::cgroup`]. Nothing here is fatal; each step says what became of it.

use std::fmt;
use std::path::Path;

use rustix::process::{Pid, setpriority_process};

use crate::io_class::IoClass;
use crate::process::Proc;

const LOWEST: i32 = 19;

/// One step, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried: `nice`, `autogroup`, `io_class`.
    pub name: &'static str,
    /// Nothing, or why it could not be done.
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

/// Lowers this process as far as it may by itself. Call it before the process has threads: those
/// made later inherit all of it; the nice value is given to all that are there.
#[must_use]
pub fn lower() -> Vec<Step> {
    let step = |name, outcome| Step { name, outcome };
    vec![
        step("nice", nice(Path::new("/proc/self/task"))),
        step(
            "autogroup",
            autogroup(
                Path::new("/proc/self/autogroup"),
                leads(&Proc::default(), std::process::id()),
            ),
        ),
        step("io_class", IoClass::IDLE.set(std::process::id())),
    ]
}

/// Linux gives each thread a nice value of its own.
fn nice(tasks: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    for entry in std::fs::read_dir(tasks).map_err(told)? {
        let name = entry.map_err(told)?.file_name();
        let thread = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw);
        setpriority_process(thread, LOWEST).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// An autogroup is a session's: lowered for a session that others lead, it would lower them too.
///
/// Asked of `/proc`, and not of `getsid`: that gives 0 where the leader is in another process namespace, which is no
/// number of a process and which the bindings take for impossible.
fn leads(proc: &Proc, pid: u32) -> bool {
    proc.stat(pid).is_ok_and(|stat| stat.session == pid)
}

fn autogroup(file: &Path, leads: bool) -> Result<(), String> {
    if !file.exists() {
        return Err("this kernel has no autogroups".to_owned());
    }
    if !leads {
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
    fn a_session_that_others_lead_is_left_alone() -> std::io::Result<()> {
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
    fn a_leader_outside_this_namespace_is_no_leader_here() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("7"))?;
        let with = |session: &str| {
            let stat = format!("7 (slacktide) S 1 7 {session} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0");
            std::fs::write(folder.path().join("7/stat"), stat)?;
            Ok::<_, std::io::Error>(leads(&Proc::at(folder.path()), 7))
        };
        assert!(with("7")? && !with("3")? && !with("0")?);
        Ok(())
    }

    #[test]
    fn steps_say_what_became_of_them() {
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

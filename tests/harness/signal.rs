//! Signals to children that this process started and has not yet reaped, so the id cannot belong to another process.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Child;

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = id(child);
    kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to process {pid}: {error}"));
}

/// Sends SIGSTOP and returns when the whole process is stopped. The signal alone does not guarantee that: threads on another
/// processor run on for a while.
pub(crate) fn suspend(child: &Child) {
    send(child, Signal::SIGSTOP);
    // Other systems have no such wait. WNOWAIT leaves an exit to be reaped by its owner.
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let stopped_or_gone = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(id(child)), stopped_or_gone).expect("a child can be waited for");
    }
}

fn id(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process id fits"))
}

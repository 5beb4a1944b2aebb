//! Signals to children that this process started and has not yet reaped, so the id cannot be another's.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Child;

pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().expect("a process id fits"));
    kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to process {pid}: {error}"));
}

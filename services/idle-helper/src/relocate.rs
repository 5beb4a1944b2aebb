//! Moves one process into the idle group, and no process that reuses its id meanwhile.
//!
//! The kernel takes an id for a move, so a move cannot be tied to a handle. Instead: open handles, check, verify that
//! the handles run (so the check concerned them), move, and verify again (so the move concerned them). If the target
//! ended in between, another process may have its id and may have been moved; [`repair`] moves that one back. Only a
//! few microseconds are between the last check and the move, in which the target would have to end, be reaped and its
//! id be reused.
//!
//! Stopping or tracing the target would close even this gap, but is ruled out: the target is a backend of the system of
//! record, and must not be stopped.

mod repair;
#[cfg(test)]
mod tests;

use priority::io_class::IoClass;

use self::repair::{WrittenSettings, repair, repair_children};
use crate::denial::Denial;
use crate::host::Host;
use crate::log;

/// The process to move, and the processes that must be running.
pub(crate) struct Target<'a, H: Host> {
    /// The id of the process to move.
    pub(crate) pid: u32,
    /// The process to move.
    pub(crate) handle: &'a H::Handle,
    /// The requester, which may be the same.
    pub(crate) requester: &'a H::Handle,
}

/// Moves the target into the group `idle`, and sets the idle I/O class.
///
/// `examine` reads everything that permits the move. It is called before and after the move and must return the same
/// value.
///
/// # Errors
/// Why nothing was moved, or why it was moved back.
pub(crate) fn relocate<H: Host, T: PartialEq>(
    host: &H,
    idle: &str,
    target: &Target<'_, H>,
    examine: impl Fn() -> Result<T, Denial>,
) -> Result<T, Denial> {
    let pid = target.pid;
    let is_running = || host.is_running(target.handle);
    let both_run = || is_running() && host.is_running(target.requester);
    let ended = || Denial::from(format!("process {pid} or the asking process has ended"));
    let before = examine()?;
    let origin = host.group(pid).ok_or_else(ended)?;
    // Proves that the facts concern the target and the requester.
    if !both_run() {
        return Err(ended());
    }
    if origin != idle {
        let moved = host.put(idle, pid);
        if !is_running() {
            repair(host, WrittenSettings::group(idle), pid);
            return Err(ended());
        }
        moved?;
    }
    let is_there = host.group(pid).is_some_and(|group| group == idle);
    let after = examine();
    // Proves that the target was moved and examined again.
    if !is_running() {
        repair(host, WrittenSettings::group(idle), pid);
        return Err(ended());
    }
    let reason = match after {
        Err(reason) => reason,
        Ok(_) if !host.is_running(target.requester) => ended(),
        Ok(_) if !is_there => format!("process {pid} was moved but is not in {idle}").into(),
        Ok(after) if after != before => format!("process {pid} changed during the check").into(),
        Ok(after) => {
            if let Err(cause) = host.set_io_class(IoClass::IDLE, pid) {
                log::warn(
                    "idle io class not set",
                    &[("pid", pid.into()), ("error", cause.to_string().into())],
                );
            }
            if is_running() {
                return Ok(after);
            }
            let written = WrittenSettings {
                io_class: true,
                ..WrittenSettings::group(idle)
            };
            repair(host, written, pid);
            return Err(ended());
        }
    };
    // It is still running, so its previous group is correct.
    if origin == idle {
        return Err(reason);
    }
    if let Err(error) = host.put(&origin, pid) {
        log::warn(
            "process not moved back",
            &[("pid", pid.into()), ("error", error.to_string().into())],
        );
    }
    if is_running() {
        repair_children(host, WrittenSettings::group(idle), pid);
    } else {
        repair(host, WrittenSettings::group(&origin), pid);
    }
    Err(reason.with_action("it was moved back"))
}

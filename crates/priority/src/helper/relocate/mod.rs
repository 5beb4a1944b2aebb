//! Moving one process into the idle group, and nothing that gets its number meanwhile.
//!
//! The kernel takes a number where a process is moved, so a move cannot be tied to a handle. Instead: open handles,
//! check, find the handles running (so what was checked is theirs), move, and find them running again (so it was they
//! that moved). If the target ended in between, another process may have its number and may have been moved; then
//! [`repair`] puts that one back. Between the last check and the move lie a few microseconds, in which the target has
//! to end, be reaped and the number be given away.
//!
//! Stopping or tracing the target for that time would close even this gap, and is not done: the target is a backend of
//! the system of record, and nothing of ours may stop it.

mod repair;
#[cfg(test)]
mod tests;

use self::repair::{Written, repair, repair_children};
use super::denial::Denial;
use super::host::Host;
use crate::io_class::IoClass;

/// Who is moved, and who has to be there for it.
pub(super) struct Target<'a, H: Host> {
    /// The number of the process that is moved.
    pub(super) pid: u32,
    /// The process that is moved.
    pub(super) handle: &'a H::Handle,
    /// The process that asks, which may be the same.
    pub(super) asker: &'a H::Handle,
}

/// Moves the target into the group `idle`, and gives it the idle IO class.
///
/// `examine` reads everything that allows the move; it is called before and after it and has to give the same.
///
/// # Errors
/// Why nothing was moved, or why it was moved back.
pub(super) fn relocate<H: Host, T: PartialEq>(
    host: &H,
    idle: &str,
    target: &Target<'_, H>,
    examine: impl Fn() -> Result<T, Denial>,
) -> Result<T, Denial> {
    let pid = target.pid;
    let is_running = || host.is_running(target.handle);
    let both_run = || is_running() && host.is_running(target.asker);
    let ended = || Denial::from(format!("process {pid} or the asking process has ended"));
    let before = examine()?;
    let origin = host.group(pid).ok_or_else(ended)?;
    // Proves that all of this was read of the target and the asker.
    if !both_run() {
        return Err(ended());
    }
    if origin != idle {
        let moved = host.put(idle, pid);
        if !is_running() {
            repair(host, Written::group(idle), pid);
            return Err(ended());
        }
        moved?;
    }
    let is_there = host.group(pid).is_some_and(|group| group == idle);
    let after = examine();
    // Proves that it was the target that moved, and is the target that was read again.
    if !is_running() {
        repair(host, Written::group(idle), pid);
        return Err(ended());
    }
    let reason = match after {
        Err(reason) => reason,
        Ok(_) if !host.is_running(target.asker) => ended(),
        Ok(_) if !is_there => format!("process {pid} was moved and is not in {idle}").into(),
        Ok(after) if after != before => format!("process {pid} changed while it was checked").into(),
        Ok(after) => {
            if let Err(cause) = host.set_io_class(IoClass::IDLE, pid) {
                tracing::debug!(pid, %cause, "idle io class not set");
            }
            if is_running() {
                return Ok(after);
            }
            let written = Written {
                io_class: true,
                ..Written::group(idle)
            };
            repair(host, written, pid);
            return Err(ended());
        }
    };
    // It runs and is still the target, so its origin is where it belongs.
    if origin == idle {
        return Err(reason);
    }
    if let Err(error) = host.put(&origin, pid) {
        tracing::warn!(pid, %error, "process not moved back");
    }
    if is_running() {
        repair_children(host, Written::group(idle), pid);
    } else {
        repair(host, Written::group(&origin), pid);
    }
    Err(reason.and("it was moved back"))
}

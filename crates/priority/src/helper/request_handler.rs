//! Handles one request: check, move, check again, and move back if anything changed.

use rustix::process::geteuid;

use super::HelperError;
use super::config::{Account, HelperTable};
use super::denial::Denial;
use super::host::RealHost;
use super::peer::{Peer, Requester};
use super::relocate::{Target, relocate};
use crate::backend::{self, Refusal, Rule};
use crate::cgroup::{Group, Hierarchy};
use crate::handle::ProcessHandle;
use crate::identity::ProcessIdentity;
use crate::process::Proc;
use crate::protocol::{GroupLocation, Reply, Request};

/// Decides requests and executes them.
#[derive(Debug, Clone)]
pub(super) struct RequestHandler {
    allow: Vec<u32>,
    rule: Rule,
    cgroup: String,
    proc: Proc,
}

impl RequestHandler {
    /// Prepares the group too: without the permission for it, listening is useless.
    pub(super) fn new(table: &HelperTable) -> Result<Self, HelperError> {
        if table.allow.is_empty() {
            return Err(HelperError::NoUsers);
        }
        let proc = Proc::default();
        if !proc.is_of_this_namespace().map_err(HelperError::Processes)? {
            return Err(HelperError::Namespace);
        }
        let handler = Self {
            allow: table.allow.iter().map(Account::user).collect::<Result<_, _>>()?,
            rule: Rule {
                owner: table.owner.user()?,
                executables: table.executables.clone(),
            },
            cgroup: table.cgroup.clone(),
            proc,
        };
        let group = handler.group()?;
        tracing::info!(
            cgroup = group.path(),
            level = ?group.level,
            io = group.io.as_ref().err().map_or("lowest", String::as_str),
            uid = geteuid().as_raw(),
            "idle group ready"
        );
        Ok(handler)
    }

    /// Returns the users whose processes may send requests.
    pub(super) fn allowed(&self) -> &[u32] {
        &self.allow
    }

    /// Prepared for each request: other programs write to that file system too.
    fn group(&self) -> Result<Group, crate::cgroup::CgroupError> {
        Group::prepare(Hierarchy::of_host()?, &self.cgroup)
    }

    /// Handles a request of an allowed user, and logs the reply.
    pub(super) fn answer(&self, peer: Peer, request: Request) -> Reply {
        let (requester_pid, requester_uid) = (peer.pid, peer.uid);
        match self.decide(peer, request) {
            Ok((group, moved)) => {
                if let Some(identity) = moved {
                    tracing::info!(
                        requester_pid,
                        requester_uid,
                        pid = identity.pid,
                        start_ticks = identity.start_ticks,
                        cgroup = group.path(),
                        "process moved into the idle group"
                    );
                }
                Reply::Done(GroupLocation {
                    controller: group.hierarchy().controller().to_owned(),
                    path: group.path().to_owned(),
                    idle_file: group.idle_file(),
                    level: group.level,
                })
            }
            Err(Denial { answer, reason }) => {
                tracing::warn!(requester_pid, requester_uid, ?request, why = %reason, "request refused");
                Reply::Refused { why: answer }
            }
        }
    }

    fn decide(&self, peer: Peer, request: Request) -> Result<(Group, Option<ProcessIdentity>), Denial> {
        if !self.allow.contains(&peer.uid) {
            return Err(not_allowed(peer.uid).into());
        }
        let group = self.group().map_err(|error| error.to_string())?;
        let host = RealHost {
            proc: self.proc.clone(),
            hierarchy: group.hierarchy().clone(),
        };
        let moved = match request {
            // Moves nothing, so it needs no proof of the requester.
            Request::Describe => {
                peer.visible_pid()?;
                None
            }
            Request::Own => {
                let requester = peer.admit(&self.proc)?;
                let target = Target {
                    pid: requester.identity.pid,
                    handle: &requester.handle,
                    requester: &requester.handle,
                };
                Some(relocate(&host, group.path(), &target, || {
                    self.unchanged_identity(&requester)
                })?)
            }
            Request::Backend { pid } => {
                let requester = peer.admit(&self.proc)?;
                let requester_pid = requester.identity.pid;
                let refuse = |refusal: Refusal| Denial {
                    answer: refusal.answer(requester_pid, pid),
                    reason: refusal.to_string(),
                };
                let handle =
                    ProcessHandle::open(pid).map_err(|error| refuse(Refusal::Unreadable { pid, error }))?;
                let target = Target {
                    pid,
                    handle: &handle,
                    requester: &requester.handle,
                };
                let examine = || {
                    let requester = self.unchanged_identity(&requester)?;
                    let backend = backend::collect(&self.proc, requester_pid, pid)
                        .and_then(|evidence| backend::judge(&self.rule, requester_pid, &evidence))
                        .map_err(refuse)?;
                    Ok((requester, backend))
                };
                let (_, backend) = relocate(&host, group.path(), &target, examine)?;
                Some(backend)
            }
        };
        Ok((group, moved))
    }

    /// Returns the requester's identity if it is unchanged since it was admitted; a setuid program is not.
    fn unchanged_identity(&self, requester: &Requester) -> Result<ProcessIdentity, Denial> {
        let pid = requester.identity.pid;
        let now = self
            .proc
            .identity(pid)
            .map_err(|error| format!("process {pid}, which asks, cannot be read: {error}"))?;
        if now == requester.identity {
            Ok(now)
        } else {
            Err(
                format!("process {pid}, which asks, changed its user; ask as one user from start to end")
                    .into(),
            )
        }
    }
}

/// The reply to a user who is not allowed.
pub(super) fn not_allowed(uid: u32) -> String {
    format!("user {uid} may not ask; name it in idle_helper.allow")
}

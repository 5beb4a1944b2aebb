//! Handles one request: check, move, check again, and move back if anything changed.

use priority::cgroup::{CgroupError, Group, Hierarchy};
use priority::process::{Proc, ProcessIdentity};
use priority::protocol::{GroupLocation, Reply, Request};
use rustix::process::geteuid;

use crate::HelperError;
use crate::backend::{self, Refusal, Rule};
use crate::config::{Account, HelperTable};
use crate::denial::Denial;
use crate::handle::ProcessHandle;
use crate::host::RealHost;
use crate::log;
use crate::peer::{Peer, Requester};
use crate::relocate::{Target, relocate};

/// Decides requests and executes them.
#[derive(Debug, Clone)]
pub(crate) struct RequestHandler {
    allow: Vec<u32>,
    rule: Rule,
    cgroup: String,
    proc: Proc,
}

impl RequestHandler {
    /// Prepares the group too: without the permission for it, listening is useless.
    pub(crate) fn new(table: &HelperTable) -> Result<Self, HelperError> {
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
        let io = match &group.io {
            Ok(()) => "lowest".to_owned(),
            Err(error) => error.to_string(),
        };
        log::info(
            "idle group ready",
            &[
                ("cgroup", group.path().into()),
                ("cpu", format!("{:?}", group.level).into()),
                ("io", io.into()),
                ("uid", geteuid().as_raw().into()),
            ],
        );
        Ok(handler)
    }

    /// Returns the users whose processes may send requests.
    pub(crate) fn allowed(&self) -> &[u32] {
        &self.allow
    }

    /// Prepared for each request: other programs write to that file system too.
    fn group(&self) -> Result<Group, CgroupError> {
        Group::prepare(Hierarchy::of_host()?, &self.cgroup)
    }

    /// Handles a request of an allowed user, and logs the reply.
    pub(crate) fn answer(&self, peer: Peer, request: Request) -> Reply {
        let (requester_pid, requester_uid) = (peer.pid, peer.uid);
        match self.decide(peer, request) {
            Ok((group, moved)) => {
                if let Some(identity) = moved {
                    log::info(
                        "process moved into the idle group",
                        &[
                            ("requester_pid", requester_pid.into()),
                            ("requester_uid", requester_uid.into()),
                            ("pid", identity.pid.into()),
                            ("start_ticks", identity.start_ticks.into()),
                            ("cgroup", group.path().into()),
                        ],
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
                log::warn(
                    "request refused",
                    &[
                        ("requester_pid", requester_pid.into()),
                        ("requester_uid", requester_uid.into()),
                        ("request", format!("{request:?}").into()),
                        ("why", reason.into()),
                    ],
                );
                Reply::Refused { why: answer }
            }
        }
    }

    fn decide(&self, peer: Peer, request: Request) -> Result<(Group, Option<ProcessIdentity>), Denial> {
        if !self.allow.contains(&peer.uid) {
            return Err(not_allowed(peer.uid).into());
        }
        let group = self.group()?;
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
pub(crate) fn not_allowed(uid: u32) -> String {
    format!("user {uid} may not ask; name it in idle_helper.allow")
}

//! Whether a process is exactly the PostgreSQL backend that serves another.
//!
//! The asker only names a number; nothing of what it sends is believed. Facts are collected from `/proc` as
//! [`Evidence`], and [`judge`] decides on them. The backend has to hold the server's end of an established TCP
//! connection of which the asker holds the client's end: its postmaster listens where that connection was made to.
//! A pooler in between holds both of those ends, so a pooled backend, which serves others a moment later, is refused;
//! so is a backend that itself connected to the asker, such as a replication worker. It also has to be of the
//! configured owner and to run the configured program, as a child of a postmaster. The ends of a Unix socket are not
//! in `/proc`, so such a backend is refused as well.
//!
//! All of this is read by number. It counts only when the process's handle, opened before, is found running after
//! it ([`crate::handle`]); that is up to the caller.

use std::io;
use std::path::PathBuf;

use crate::identity::ProcessIdentity;
use crate::process::{Proc, ProcessStat};
use crate::sockets::TcpSocket;

/// What a backend looks like on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The user that PostgreSQL runs as.
    pub owner: u32,
    /// Its programs; if empty, any that is called `postgres`.
    pub executables: Vec<PathBuf>,
}

/// What was read of a process, its parent, and the TCP sockets that it shares with the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The process, read before everything else.
    pub before: ProcessStat,
    /// The process, read after everything else: with the same parent, the parent lived all the while.
    pub after: ProcessStat,
    /// Its user.
    pub owner: u32,
    /// Its program.
    pub program: PathBuf,
    /// Its parent's program and user; `None` when they cannot be read.
    pub parent: Option<(PathBuf, u32)>,
    /// The TCP sockets that the asker holds.
    pub asker_sockets: Vec<TcpSocket>,
    /// The TCP sockets that the process holds.
    pub sockets: Vec<TcpSocket>,
    /// The TCP sockets that its parent holds.
    pub parent_sockets: Vec<TcpSocket>,
}

/// Why a process is not the asker's backend.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The asker cannot be read.
    #[error(
        "process {pid}, which asks, cannot be read: {error}; it ended, or the helper needs root or CAP_SYS_PTRACE"
    )]
    Asker {
        /// The asker.
        pid: u32,
        /// The cause.
        error: io::Error,
    },
    /// The process ended, or `/proc` keeps it from us.
    #[error("process {pid} cannot be read: {error}; it ended, or the helper needs root or CAP_SYS_PTRACE")]
    Unreadable {
        /// The process.
        pid: u32,
        /// The cause.
        error: io::Error,
    },
    /// The two are in two network namespaces.
    #[error(
        "process {0} is in another network than the asker; run both on this host without a container between"
    )]
    Network(u32),
    /// They do not share a connection.
    #[error("process {backend} does not serve process {asker}: no TCP connection joins them")]
    NotYours {
        /// The asker.
        asker: u32,
        /// The process that was named.
        backend: u32,
    },
    /// The connection was not made to the backend's postmaster.
    #[error(
        "process {0} is not the server of that connection: the program that started it does not listen at the \
         connection's address; only a client may ask, for the backend that serves it"
    )]
    NotServer(u32),
    /// Another user's.
    #[error(
        "process {pid} is of user {owner}, and the backends here are of user {wanted}; see idle_helper.owner"
    )]
    Owner {
        /// The process.
        pid: u32,
        /// Its user.
        owner: u32,
        /// The user of the backends.
        wanted: u32,
    },
    /// Another program.
    #[error("process {0} is no PostgreSQL backend: it runs another program; see idle_helper.executables")]
    Program(u32),
    /// Not started by a postmaster.
    #[error("process {0} is no backend: it is the postmaster, or not a postmaster's child")]
    Postmaster(u32),
    /// It changed while it was read.
    #[error("process {0} changed while it was checked; ask again")]
    Changed(u32),
}

impl Refusal {
    /// What the asker gets to read.
    ///
    /// The helper sees processes that `/proc` may hide from the asker. So of a process that does not share a
    /// connection with it, the asker always reads the same, whether it exists or not; the reason is in the log.
    #[must_use]
    pub fn answer(&self, asker: u32, backend: u32) -> String {
        match self {
            Self::Unreadable { .. } | Self::Network(_) | Self::NotYours { .. } => format!(
                "process {backend} does not serve process {asker}: no TCP connection joins them; connect over 127.0.0.1, \
                 not over a Unix socket, not through a pooler, and without a container between; the helper's log has \
                 the details"
            ),
            other => other.to_string(),
        }
    }
}

/// Reads everything that [`judge`] needs.
///
/// # Errors
/// When one of them cannot be read, or they cannot share a connection.
pub fn collect(proc: &Proc, asker: u32, backend: u32) -> Result<Evidence, Refusal> {
    let unreadable = |error| Refusal::Unreadable { pid: backend, error };
    let of_asker = |error| Refusal::Asker { pid: asker, error };
    let before = proc.stat(backend).map_err(unreadable)?;
    if proc.network(asker).map_err(of_asker)? != proc.network(backend).map_err(unreadable)? {
        return Err(Refusal::Network(backend));
    }
    let held_by_asker = proc.sockets(asker).map_err(of_asker)?;
    let held = proc.sockets(backend).map_err(unreadable)?;
    let held_by_parent = proc.sockets(before.parent).unwrap_or_default();
    let wanted = held_by_asker
        .iter()
        .chain(&held)
        .chain(&held_by_parent)
        .copied()
        .collect();
    let table = proc.tcp(asker, &wanted).map_err(of_asker)?;
    let among = |inodes: &std::collections::BTreeSet<u64>| {
        let held = |socket: &&TcpSocket| inodes.contains(&socket.inode);
        table.iter().filter(held).copied().collect()
    };
    let evidence = Evidence {
        owner: proc.owner(backend).map_err(unreadable)?,
        program: proc.executable(backend).map_err(unreadable)?,
        parent: proc
            .executable(before.parent)
            .ok()
            .zip(proc.owner(before.parent).ok()),
        asker_sockets: among(&held_by_asker),
        sockets: among(&held),
        parent_sockets: among(&held_by_parent),
        after: proc.stat(backend).map_err(unreadable)?,
        before,
    };
    Ok(evidence)
}

/// PURE. Decides whether the process is the asker's backend, and what identifies it then.
///
/// # Errors
/// Why it is not.
pub fn judge(rule: &Rule, asker: u32, evidence: &Evidence) -> Result<ProcessIdentity, Refusal> {
    let Evidence { before, after, .. } = evidence;
    let backend = before.pid;
    let ends: Vec<&TcpSocket> = evidence
        .sockets
        .iter()
        .filter(|end| evidence.asker_sockets.iter().any(|other| end.meets(other)))
        .collect();
    // First: what the asker may read depends on it.
    if ends.is_empty() || asker == backend {
        return Err(Refusal::NotYours { asker, backend });
    }
    if after.has_ended()
        || (before.start_ticks, before.parent, &before.name) != (after.start_ticks, after.parent, &after.name)
    {
        return Err(Refusal::Changed(backend));
    }
    if evidence.owner != rule.owner {
        return Err(Refusal::Owner {
            pid: backend,
            owner: evidence.owner,
            wanted: rule.owner,
        });
    }
    let known = if rule.executables.is_empty() {
        let called = |name: &std::ffi::OsStr| name == "postgres";
        before.name == "postgres" && evidence.program.file_name().is_some_and(called)
    } else {
        rule.executables.contains(&evidence.program)
    };
    if !known {
        return Err(Refusal::Program(backend));
    }
    // The postmaster itself must never be idle: it accepts everybody's connections.
    let of_postmaster = evidence
        .parent
        .as_ref()
        .is_some_and(|(program, owner)| *program == evidence.program && *owner == evidence.owner);
    let listens = evidence.sockets.iter().any(|socket| socket.listens);
    if before.parent == 0 || !of_postmaster || listens {
        return Err(Refusal::Postmaster(backend));
    }
    let accepted = |end: &&TcpSocket| {
        evidence
            .parent_sockets
            .iter()
            .any(|listener| end.accepted_by(listener))
    };
    if !ends.iter().any(accepted) {
        return Err(Refusal::NotServer(backend));
    }
    Ok(ProcessIdentity {
        pid: backend,
        start_ticks: after.start_ticks,
        uid: evidence.owner,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    const RULE: Rule = Rule {
        owner: 26,
        executables: Vec::new(),
    };

    fn verify(proc: &Proc, rule: &Rule, asker: u32, backend: u32) -> Result<ProcessIdentity, Refusal> {
        judge(rule, asker, &collect(proc, asker, backend)?)
    }

    fn row(local: &str, remote: &str, state: &str, inode: u64) -> String {
        format!("0: 0100007F:{local} {remote} {state} 0:0 0:0 0 26 0 {inode} 1\n")
    }

    /// A process with one socket, in the form of `/proc`.
    fn process(root: &Path, pid: u32, parent: u32, exe: &str, uid: u32, socket: u64) {
        let home = root.join(pid.to_string());
        fs::create_dir_all(home.join("fd")).expect("made");
        fs::create_dir_all(home.join("ns")).expect("made");
        fs::create_dir_all(home.join("net")).expect("made");
        let name = exe.rsplit('/').next().unwrap_or(exe);
        let stat = format!("{pid} ({name}) S {parent} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {pid}00 0\n");
        fs::write(home.join("stat"), stat).expect("written");
        fs::write(home.join("status"), format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n")).expect("written");
        symlink(exe, home.join("exe")).expect("linked");
        symlink("net:[1]", home.join("ns/net")).expect("linked");
        symlink(format!("socket:[{socket}]"), home.join("fd/3")).expect("linked");
        // 5432 is 1538, where 20 listens: client 10 on D431 to 30, client 11 on D432 to 31. 32 connected to 11 itself,
        // which listens on 270F.
        let to = |port: &str| format!("0100007F:{port}");
        let table = [
            "head\n".to_owned(),
            row("1538", "00000000:0000", "0A", 120),
            row("D431", &to("1538"), "01", 110),
            row("1538", &to("D431"), "01", 130),
            row("D432", &to("1538"), "01", 111),
            row("1538", &to("D432"), "01", 131),
            row("270F", &to("D433"), "01", 112),
            row("D433", &to("270F"), "01", 132),
        ];
        fs::write(home.join("net/tcp"), table.concat()).expect("written");
    }

    fn host() -> (tempfile::TempDir, Proc) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        process(root, 10, 1, "/usr/bin/slacktide", 99, 110);
        process(root, 11, 1, "/usr/bin/app", 98, 111);
        symlink("socket:[112]", root.join("11/fd/4")).expect("linked");
        process(root, 20, 1, "/usr/bin/postgres", 26, 120);
        process(root, 30, 20, "/usr/bin/postgres", 26, 130);
        process(root, 31, 20, "/usr/bin/postgres", 26, 131);
        process(root, 32, 20, "/usr/bin/postgres", 26, 132);
        process(root, 40, 20, "/usr/bin/archiver", 26, 140);
        let proc = Proc::at(root);
        (folder, proc)
    }

    /// Changes process 30 of a host and checks why it is refused then.
    fn changed(change: impl FnOnce(&Path)) -> Refusal {
        let (folder, proc) = host();
        change(folder.path());
        verify(&proc, &RULE, 10, 30).expect_err("it was changed")
    }

    #[test]
    fn the_backend_at_the_other_end_is_ours_and_no_other() {
        let (_folder, proc) = host();
        let ours = ProcessIdentity {
            pid: 30,
            start_ticks: 3000,
            uid: 26,
        };
        assert_eq!(verify(&proc, &RULE, 10, 30).expect("ours"), ours);
        for (asker, other) in [(10, 31), (11, 30), (10, 20), (10, 40), (10, 11), (10, 10)] {
            let refused = verify(&proc, &RULE, asker, other);
            assert!(
                matches!(refused, Err(Refusal::NotYours { .. })),
                "{other}: {refused:?}"
            );
        }
        assert!(verify(&proc, &RULE, 11, 31).is_ok());
    }

    #[test]
    fn backend_that_connected_to_the_asker_is_refused() {
        let (_folder, proc) = host();
        assert!(matches!(
            verify(&proc, &RULE, 11, 32),
            Err(Refusal::NotServer(32))
        ));
    }

    #[test]
    fn backend_of_another_user_program_or_parent_is_refused() {
        let replace = |root: &Path, parent: u32, exe: &str, uid: u32| {
            fs::remove_dir_all(root.join("30")).expect("removed");
            process(root, 30, parent, exe, uid, 130);
        };
        let owner = changed(|root| replace(root, 20, "/usr/bin/postgres", 27));
        assert!(matches!(owner, Refusal::Owner { owner: 27, .. }), "{owner}");
        let setuid =
            changed(|root| fs::write(root.join("30/status"), "Uid:\t26\t0\t26\t26\n").expect("written"));
        assert!(matches!(setuid, Refusal::Unreadable { pid: 30, .. }), "{setuid}");
        let program = changed(|root| replace(root, 20, "/usr/bin/psql", 26));
        assert!(matches!(program, Refusal::Program(30)), "{program}");
        let child = changed(|root| replace(root, 11, "/usr/bin/postgres", 26));
        assert!(matches!(child, Refusal::Postmaster(30)), "{child}");
        let another_cluster = changed(|root| {
            process(root, 21, 1, "/usr/bin/postgres", 26, 121);
            replace(root, 21, "/usr/bin/postgres", 26);
        });
        assert!(
            matches!(another_cluster, Refusal::NotServer(30)),
            "{another_cluster}"
        );
        // A postmaster that holds a client's socket, such as at the moment of accepting it.
        let postmaster = changed(|root| symlink("socket:[120]", root.join("30/fd/4")).expect("linked"));
        assert!(matches!(postmaster, Refusal::Postmaster(30)), "{postmaster}");
        let (_folder, proc) = host();
        let named = Rule {
            executables: vec!["/opt/pg/bin/postgres".into()],
            ..RULE
        };
        assert!(matches!(verify(&proc, &named, 10, 30), Err(Refusal::Program(30))));
    }

    #[test]
    fn backend_that_changed_while_it_was_read_is_refused() {
        let (_folder, proc) = host();
        let good = collect(&proc, 10, 30).expect("read");
        type Change = fn(&mut ProcessStat);
        let changes: [Change; 4] = [
            |stat| stat.start_ticks += 1,
            |stat| stat.parent = 1,
            |stat| "sh".clone_into(&mut stat.name),
            |stat| stat.state = 'Z',
        ];
        for change in changes {
            let mut evidence = good.clone();
            change(&mut evidence.after);
            let refused = judge(&RULE, 10, &evidence);
            assert!(matches!(refused, Err(Refusal::Changed(30))), "{evidence:?}");
        }
    }

    /// The same addresses in two networks are two connections.
    #[test]
    fn another_network_is_refused() {
        let refused = changed(|root| {
            let net = root.join("30/ns/net");
            fs::remove_file(&net).expect("removed");
            symlink("net:[2]", &net).expect("linked");
        });
        assert!(matches!(refused, Refusal::Network(30)), "{refused}");
    }

    #[test]
    fn a_pooler_between_is_not_ours() {
        let refused = changed(|root| {
            process(root, 12, 1, "/usr/bin/pgbouncer", 99, 110);
            fs::remove_file(root.join("10/fd/3")).expect("removed");
        });
        assert!(matches!(refused, Refusal::NotYours { .. }), "{refused}");
    }

    #[test]
    fn answer_about_a_stranger_does_not_depend_on_it() {
        let (folder, proc) = host();
        fs::remove_file(folder.path().join("31/ns/net")).expect("removed");
        symlink("net:[2]", folder.path().join("31/ns/net")).expect("linked");
        let answer = |backend: u32| {
            let refused = verify(&proc, &RULE, 10, backend).expect_err("a stranger");
            refused.answer(10, backend).replace(&backend.to_string(), "N")
        };
        let wanted = answer(50);
        assert!(wanted.contains("no TCP connection joins them"), "{wanted}");
        for stranger in [11, 20, 31, 32, 40] {
            assert_eq!(answer(stranger), wanted, "{stranger}");
        }
    }
}

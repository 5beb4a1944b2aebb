//! Whether a process is exactly the PostgreSQL backend that serves another.
//!
//! The asker only names a number; nothing of what it says is believed. The backend has to be the
//! configured owner's, run the configured program as a child of a postmaster, and hold one end of
//! a TCP connection of which the asker holds the other. A pooler in between holds both of those
//! ends itself, so a pooled backend, which serves others a moment later, is refused. The ends of a
//! Unix socket are not in `/proc`, so such a backend is refused as well.

use std::io;
use std::path::PathBuf;

use crate::process::{Life, Proc};

/// What a backend looks like on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The user that PostgreSQL runs as.
    pub owner: u32,
    /// Its programs; none: any that is called `postgres`.
    pub executables: Vec<PathBuf>,
}

/// Both were found to belong together; to be compared with a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Who asked.
    pub asker: Life,
    /// What serves it.
    pub backend: Life,
}

/// Why a process is not the asker's backend.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One of them ended, or `/proc` keeps it from us.
    #[error(
        "process {pid} cannot be looked at: {error}; it ended, or the helper needs root or CAP_SYS_PTRACE"
    )]
    Unseen {
        /// Which.
        pid: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// Another user's.
    #[error("process {pid} is of user {owner}, and the backends here are of user {wanted}")]
    Owner {
        /// Which.
        pid: u32,
        /// Whose.
        owner: u32,
        /// Whose it would be.
        wanted: u32,
    },
    /// Another program.
    #[error("process {0} is no PostgreSQL backend: it runs another program")]
    Program(u32),
    /// Started by somebody else than a postmaster.
    #[error("process {0} is no backend: it is the postmaster, or not a postmaster's child")]
    Postmaster(u32),
    /// Two network namespaces.
    #[error(
        "process {0} is in another network than the asker; run both on this host without a container between"
    )]
    Network(u32),
    /// They do not share a connection.
    #[error(
        "process {backend} does not serve process {asker}: no TCP connection joins them; connect over 127.0.0.1, not over \
         a Unix socket, and not through a pooler"
    )]
    NotYours {
        /// The asker.
        asker: u32,
        /// What was named.
        backend: u32,
    },
}

/// Looks at both.
///
/// # Errors
/// Why it is not the asker's backend.
pub fn verify(proc: &Proc, rule: &Rule, asker: u32, backend: u32) -> Result<Pair, Refusal> {
    let unseen = |pid| move |error| Refusal::Unseen { pid, error };
    let asker_life = proc.life(asker).map_err(unseen(asker))?;
    let life = proc.life(backend).map_err(unseen(backend))?;
    let owner = proc.owner(backend).map_err(unseen(backend))?;
    if owner != rule.owner {
        return Err(Refusal::Owner {
            pid: backend,
            owner,
            wanted: rule.owner,
        });
    }
    let program = proc.executable(backend).map_err(unseen(backend))?;
    let known = if rule.executables.is_empty() {
        life.name == "postgres" && program.file_name().is_some_and(|name| name == "postgres")
    } else {
        rule.executables.contains(&program)
    };
    if asker == backend || !known {
        return Err(Refusal::Program(backend));
    }
    // The postmaster itself must never be idle: it accepts everybody's connections.
    let parent = life.parent;
    let of_postmaster = parent != 0
        && proc.executable(parent).is_ok_and(|parent| parent == program)
        && proc.owner(parent).is_ok_and(|parent| parent == owner);
    if !of_postmaster {
        return Err(Refusal::Postmaster(backend));
    }
    let networks = (
        proc.network(asker).map_err(unseen(asker))?,
        proc.network(backend).map_err(unseen(backend))?,
    );
    if networks.0 != networks.1 {
        return Err(Refusal::Network(backend));
    }
    let ours = proc.tcp(asker).map_err(unseen(asker))?;
    let theirs = proc.tcp(backend).map_err(unseen(backend))?;
    if !ours.iter().any(|one| theirs.iter().any(|other| one.meets(other))) {
        return Err(Refusal::NotYours { asker, backend });
    }
    Ok(Pair {
        asker: asker_life,
        backend: life,
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
    const HEAD: &str = "head\n";

    fn row(local: &str, remote: &str, inode: u64) -> String {
        format!("0: 0100007F:{local} 0100007F:{remote} 01 0:0 0:0 0 26 0 {inode} 1\n")
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
        // 5432 is 1538: client 10 on D431 to 30, client 11 on D432 to 31.
        let table = [
            HEAD.to_owned(),
            row("D431", "1538", 110),
            row("1538", "D431", 130),
            row("D432", "1538", 111),
            row("1538", "D432", 131),
        ];
        fs::write(home.join("net/tcp"), table.concat()).expect("written");
    }

    fn host() -> (tempfile::TempDir, Proc) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        process(root, 10, 1, "/usr/bin/slacktide", 99, 110);
        process(root, 11, 1, "/usr/bin/app", 98, 111);
        process(root, 20, 1, "/usr/bin/postgres", 26, 120);
        process(root, 30, 20, "/usr/bin/postgres", 26, 130);
        process(root, 31, 20, "/usr/bin/postgres", 26, 131);
        process(root, 40, 20, "/usr/bin/archiver", 26, 140);
        let proc = Proc::at(root);
        (folder, proc)
    }

    #[test]
    fn the_backend_at_the_other_end_is_ours_and_no_other() {
        let (_folder, proc) = host();
        let pair = verify(&proc, &RULE, 10, 30).expect("ours");
        assert_eq!((pair.asker.start, pair.backend.start), (1000, 3000));
        assert!(matches!(
            verify(&proc, &RULE, 10, 31),
            Err(Refusal::NotYours { .. })
        ));
        assert!(matches!(
            verify(&proc, &RULE, 11, 30),
            Err(Refusal::NotYours { .. })
        ));
        assert!(verify(&proc, &RULE, 11, 31).is_ok());
    }

    #[test]
    fn other_processes_are_refused_by_what_they_are() {
        let (_folder, proc) = host();
        assert!(matches!(
            verify(&proc, &RULE, 10, 20),
            Err(Refusal::Postmaster(20))
        ));
        assert!(matches!(verify(&proc, &RULE, 10, 40), Err(Refusal::Program(40))));
        assert!(matches!(
            verify(&proc, &RULE, 10, 11),
            Err(Refusal::Owner { owner: 98, .. })
        ));
        assert!(matches!(
            verify(&proc, &RULE, 10, 50),
            Err(Refusal::Unseen { pid: 50, .. })
        ));
        let named = Rule {
            executables: vec!["/opt/pg/bin/postgres".into()],
            ..RULE
        };
        assert!(matches!(verify(&proc, &named, 10, 30), Err(Refusal::Program(30))));
    }

    /// The same addresses in two networks are two connections.
    #[test]
    fn another_network_is_refused() {
        let (folder, proc) = host();
        let net = folder.path().join("30/ns/net");
        fs::remove_file(&net).expect("removed");
        symlink("net:[2]", &net).expect("linked");
        assert!(matches!(verify(&proc, &RULE, 10, 30), Err(Refusal::Network(30))));
    }

    #[test]
    fn a_pooler_between_is_not_ours() {
        let (folder, proc) = host();
        process(folder.path(), 12, 1, "/usr/bin/pgbouncer", 99, 110);
        fs::remove_file(folder.path().join("10/fd/3")).expect("removed");
        assert!(matches!(
            verify(&proc, &RULE, 10, 30),
            Err(Refusal::NotYours { .. })
        ));
    }
}

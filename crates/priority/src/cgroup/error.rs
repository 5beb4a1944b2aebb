//! What can go wrong with a control group, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// There are no groups for the CPU.
    #[error("no control groups for the CPU: {0}")]
    None(String),
    /// The path of the group could lead elsewhere.
    #[error("cgroup {0:?} is no plain path; write it as /slacktide-idle")]
    Path(String),
    /// This process may not.
    #[error("{path}: {error}; it needs root or delegation: run the helper as root, or give it this group", path = path.display())]
    Rights {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Version 2: processes only in leaves.
    #[error(
        "{path}: busy, because a group that shares a controller among children holds no processes itself; \
         name a leaf, or one directly below the root", path = path.display()
    )]
    InternalProcesses {
        /// Where.
        path: PathBuf,
    },
    /// Version 2: of the threaded kind.
    #[error("{path}: the group is {kind}, which takes no processes from elsewhere; name one that is a domain", path = path.display())]
    Threaded {
        /// Where.
        path: PathBuf,
        /// What `cgroup.type` says.
        kind: String,
    },
    /// Written and not there.
    #[error("{path}: was set and does not read 1; is another program setting it?", path = .0.display())]
    NotSet(PathBuf),
    /// The process ended.
    #[error("process {0} has ended")]
    Gone(u32),
    /// Anything else.
    #[error("{path}: {error}; is the file system of control groups mounted and writable?", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

impl CgroupError {
    pub(super) fn of(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match Errno::from_io_error(&error) {
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Rights { path, error },
            Some(Errno::BUSY) => Self::InternalProcesses { path },
            Some(Errno::OPNOTSUPP) => Self::Threaded {
                path,
                kind: "threaded".to_owned(),
            },
            _ => Self::Io { path, error },
        }
    }

    pub(super) fn of_move(path: &Path, pid: u32, error: io::Error) -> Self {
        if Errno::from_io_error(&error) == Some(Errno::SRCH) {
            return Self::Gone(pid);
        }
        Self::of(path, error)
    }
}

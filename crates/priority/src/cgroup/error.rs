//! Errors of control groups, with remedies.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The cause, the path and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The CPU has no control groups.
    #[error("no control groups for the CPU: {0}")]
    Unavailable(String),
    /// The path contains unexpected components.
    #[error("cgroup {0:?} is not a plain path; write it as /slacktide-idle")]
    Path(String),
    /// Permission denied.
    #[error("{path}: {error}; it needs root or delegation: run the helper as root, or give it this group", path = path.display())]
    PermissionDenied {
        /// The path.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
    },
    /// Version 2: only leaves may contain processes.
    #[error(
        "{path}: busy, because a group that shares a controller among children holds no processes itself; \
         name a leaf, or one directly below the root", path = path.display()
    )]
    InternalProcesses {
        /// The path.
        path: PathBuf,
    },
    /// Version 2: the group is threaded.
    #[error("{path}: the group is {kind}, which takes no processes from elsewhere; name one that is a domain", path = path.display())]
    Threaded {
        /// The path.
        path: PathBuf,
        /// The content of `cgroup.type`.
        kind: String,
    },
    /// A value was written but reads differently.
    #[error("{path}: was set but does not read 1; is another program changing it?", path = .0.display())]
    NotSet(PathBuf),
    /// The process ended.
    #[error("process {0} has ended")]
    Gone(u32),
    /// Any other error.
    #[error("{path}: {error}; is the file system of control groups mounted and writable?", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
    },
}

/// Why a group has no I/O weight. The I/O class of each process is used instead.
#[derive(Debug, thiserror::Error)]
pub enum IoWeightError {
    /// Version 1 has an I/O hierarchy of its own.
    #[error("version 1 keeps IO in another hierarchy; the IO class of the process is used")]
    OtherHierarchy,
    /// The kernel has no weights for I/O.
    #[error("this kernel weighs no IO; the IO class of the process is used")]
    NotWeighed,
    /// The weight was not set.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

impl CgroupError {
    pub(super) fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match Errno::from_io_error(&error) {
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::PermissionDenied { path, error },
            Some(Errno::BUSY) => Self::InternalProcesses { path },
            Some(Errno::OPNOTSUPP) => Self::Threaded {
                path,
                kind: "threaded".to_owned(),
            },
            _ => Self::Io { path, error },
        }
    }

    pub(super) fn from_move(path: &Path, pid: u32, error: io::Error) -> Self {
        if Errno::from_io_error(&error) == Some(Errno::SRCH) {
            return Self::Gone(pid);
        }
        Self::from_io(path, error)
    }
}

//! A control group that runs when nobody else wants to.
//!
//! A group is idle against its siblings only. So it stands directly below the root, behind
//! everything else on the host; deeper, it counts as idle when the ancestor below the root is.
//! What was set is read back, and a move counts when `/proc/PID/cgroup` shows it.
//!
//! - [`hierarchy`] where the CPU's groups are: version 2, or 1 with `cpu.idle` (Linux 5.15)
//! - [`error`] what can go wrong, with the remedy

pub mod error;
pub mod hierarchy;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::error::CgroupError;
pub use self::hierarchy::{Hierarchy, Version};

/// How far behind the others its members run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Level {
    /// Only when nobody else on the host wants the CPU.
    Idle,
    /// The smallest share, which is less: they are not preempted at once.
    Lowest {
        /// Why it is not idle.
        why: String,
    },
}

/// A group that was made and set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    hierarchy: Hierarchy,
    path: String,
    /// How far behind the others its members run.
    pub level: Level,
    /// What became of its share of IO.
    pub io: Result<(), String>,
}

impl Group {
    /// Makes the group and sets it, or finds it set: to be called before each use, because others
    /// write to this file system too. `path` begins with `/` and is meant from the hierarchy's root.
    ///
    /// # Errors
    /// With what is wrong and what to do; rights are the usual reason.
    pub fn prepare(hierarchy: Hierarchy, path: &str) -> Result<Self, CgroupError> {
        if !is_plain(path) {
            return Err(CgroupError::Path(path.to_owned()));
        }
        let directory = hierarchy.directory(path);
        let parent = hierarchy.directory(parent_of(path));
        let inherited = top_of(path) != path && is_idle(&hierarchy.directory(top_of(path)));
        if hierarchy.version == Version::Two && !inherited {
            enable(&parent, "cpu")?;
        }
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(CgroupError::of(&directory, error));
            }
            _ => {}
        }
        refuse_threaded(&directory)?;
        let level = if inherited {
            Level::Idle
        } else {
            set_cpu(&directory, path, hierarchy.version)?
        };
        let io = set_io(&parent, &directory, hierarchy.version);
        Ok(Self {
            hierarchy,
            path: path.to_owned(),
            level,
            io,
        })
    }

    /// Its path from the hierarchy's root, as `/proc/PID/cgroup` shows it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file that says 1 while the group is idle: its own, or the ancestor's below the root.
    #[must_use]
    pub fn idle_file(&self) -> PathBuf {
        let own = self.hierarchy.directory(&self.path).join("cpu.idle");
        let top = self.hierarchy.directory(top_of(&self.path));
        if is_idle(&top) { top.join("cpu.idle") } else { own }
    }

    /// The hierarchy that it is in.
    #[must_use]
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Moves a process with all its threads into the group. Whether it worked is seen in
    /// `/proc/PID/cgroup`: [`Hierarchy::membership`].
    ///
    /// # Errors
    /// With what is wrong and what to do.
    pub fn put(&self, pid: u32) -> Result<(), CgroupError> {
        self.hierarchy.put(&self.path, pid)
    }
}

impl Hierarchy {
    /// Moves a process with all its threads into the group at `path`, such as the one it came from.
    ///
    /// # Errors
    /// With what is wrong and what to do.
    pub fn put(&self, path: &str, pid: u32) -> Result<(), CgroupError> {
        // The kernel takes 0 for the process that writes.
        if pid == 0 {
            return Err(CgroupError::Gone(pid));
        }
        // A group outside the part that this process sees is shown so, and leads out of the file system.
        if path.split('/').any(|part| part == "..") {
            return Err(CgroupError::Path(path.to_owned()));
        }
        let file = self.directory(path).join("cgroup.procs");
        write(&file, &pid.to_string()).map_err(|error| CgroupError::of_move(&file, pid, error))
    }
}

/// PURE: `/a/b`, with nothing that leads elsewhere.
fn is_plain(path: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_.@".contains(letter))
    };
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(good))
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn top_of(path: &str) -> &str {
    let end = path[1..].find('/').map_or(path.len(), |at| at + 1);
    &path[..end]
}

fn is_idle(directory: &Path) -> bool {
    fs::read_to_string(directory.join("cpu.idle")).is_ok_and(|text| text.trim() == "1")
}

/// Version 2: the children of a group have the files of a controller only when their parent says so.
fn enable(parent: &Path, controller: &str) -> Result<(), CgroupError> {
    let file = parent.join("cgroup.subtree_control");
    let on = fs::read_to_string(&file).map_err(|error| CgroupError::of(&file, error))?;
    if on.split_whitespace().any(|name| name == controller) {
        return Ok(());
    }
    write(&file, &format!("+{controller}")).map_err(|error| CgroupError::of(&file, error))
}

/// Version 2: a group of the threaded kind takes no process from elsewhere.
fn refuse_threaded(directory: &Path) -> Result<(), CgroupError> {
    match fs::read_to_string(directory.join("cgroup.type")) {
        Ok(kind) if kind.trim() != "domain" => Err(CgroupError::Threaded {
            path: directory.to_owned(),
            kind: kind.trim().to_owned(),
        }),
        // Version 1 has no kinds.
        _ => Ok(()),
    }
}

fn set_cpu(directory: &Path, path: &str, version: Version) -> Result<Level, CgroupError> {
    let idle = directory.join("cpu.idle");
    if idle.exists() {
        if !is_idle(directory) {
            write(&idle, "1").map_err(|error| CgroupError::of(&idle, error))?;
        }
        if !is_idle(directory) {
            return Err(CgroupError::NotSet(idle));
        }
        if top_of(path) == path {
            return Ok(Level::Idle);
        }
        return Ok(Level::Lowest {
            why: format!(
                "{path} is idle only against its siblings; name a group directly below the root, or make {} idle",
                top_of(path)
            ),
        });
    }
    let (name, least) = match version {
        Version::Two => ("cpu.weight", "1"),
        Version::One => ("cpu.shares", "2"),
    };
    let file = directory.join(name);
    write(&file, least).map_err(|error| CgroupError::of(&file, error))?;
    Ok(Level::Lowest {
        why: format!("this kernel has no cpu.idle (Linux 5.15 has), so {name} is {least}"),
    })
}

/// As far as it goes: without it the CPU's class still holds.
fn set_io(parent: &Path, directory: &Path, version: Version) -> Result<(), String> {
    if version == Version::One {
        return Err(
            "version 1 keeps IO in another hierarchy; the IO class of the process is used".to_owned(),
        );
    }
    enable(parent, "io").map_err(|error| error.to_string())?;
    for (name, least) in [("io.weight", "default 1"), ("io.bfq.weight", "1")] {
        let file = directory.join(name);
        if file.exists() {
            return write(&file, least).map_err(|error| CgroupError::of(&file, error).to_string());
        }
    }
    Err("this kernel weighs no IO; the IO class of the process is used".to_owned())
}

/// Never creates: on the real file system there is nothing to create.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file)?
        .write_all(text.as_bytes())
}

//! Locates the CPU control groups and the group of a process.

use std::fs;
use std::path::{Path, PathBuf};

use super::CgroupError;

/// The version of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One unified hierarchy.
    V2,
}

/// The hierarchy of the CPU controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its version.
    pub version: Version,
    mount: PathBuf,
}

impl Hierarchy {
    /// Returns this host's hierarchy.
    ///
    /// # Errors
    /// If the CPU has no control groups on this host.
    pub fn of_host() -> Result<Self, CgroupError> {
        let mounts = fs::read_to_string("/proc/self/mounts")
            .map_err(|error| CgroupError::Unavailable(format!("/proc/self/mounts: {error}")))?;
        Self::find(&mounts)
    }

    /// Finds the hierarchy in the text of `/proc/mounts`; prefers version 2 if it has the CPU controller.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(mounts: &str) -> Result<Self, CgroupError> {
        let mut found = None;
        for line in mounts.lines() {
            let mut words = line.split_whitespace();
            let (Some(_), Some(point), Some(kind), Some(options)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let mount = PathBuf::from(unescaped(point));
            match kind {
                "cgroup2" if lists_cpu(&mount) => {
                    return Ok(Self {
                        version: Version::V2,
                        mount,
                    });
                }
                "cgroup" if options.split(',').any(|option| option == "cpu") => {
                    found = Some(Self {
                        version: Version::V1,
                        mount,
                    });
                }
                _ => {}
            }
        }
        found.ok_or_else(|| {
            CgroupError::Unavailable(
                "neither version 2 nor version 1 is mounted with the cpu controller".to_owned(),
            )
        })
    }

    /// Returns the directory of the group at `path`.
    #[must_use]
    pub fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// PURE: returns the group of this hierarchy in a text of `/proc/PID/cgroup`.
    #[must_use]
    pub fn membership<'a>(&self, text: &'a str) -> Option<&'a str> {
        membership(self.controller(), text)
    }

    /// Returns the controller name in `/proc/PID/cgroup`: `cpu`, or empty in version 2.
    #[must_use]
    pub fn controller(&self) -> &'static str {
        match self.version {
            Version::V1 => "cpu",
            Version::V2 => "",
        }
    }
}

/// PURE: returns the group of a controller in a text of `/proc/PID/cgroup`; the empty name means version 2.
#[must_use]
pub fn membership<'a>(controller: &str, text: &'a str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = if controller.is_empty() {
            number == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        this.then_some(path)
    })
}

fn lists_cpu(mount: &Path) -> bool {
    fs::read_to_string(mount.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|name| name == "cpu"))
}

/// Unescapes blanks in mount points, which are written in octal.
fn unescaped(point: &str) -> String {
    point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

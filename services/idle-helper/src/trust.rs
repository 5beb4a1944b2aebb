//! Whether only this process's user and root decide what a path leads to.
//!
//! The configuration controls a privileged process, and the socket's group is changed by path. A user who may rename a
//! component of such a path, or change a link in it, could choose the file that is read or changed. A path that passes
//! this check still refers to the same file when it is opened later.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const MAX_LINKS: usize = 40;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o022;

/// Why a path is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A component cannot be examined.
    #[error("{path}: {error}", path = path.display())]
    Unreadable {
        /// The component.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
    },
    /// A component belongs to another user.
    #[error(
        "{path}: user {owner} may change it, and it decides what a privileged process does; run: chown root {path}",
        path = path.display()
    )]
    Owner {
        /// The component.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Other users may write to a component.
    #[error(
        "{path}: others may change it, and it decides what a privileged process does; run: chmod go-w {path}",
        path = path.display()
    )]
    Mode {
        /// The component.
        path: PathBuf,
    },
    /// The links of the path form a circle.
    #[error("{path}: too many links; name a path with fewer", path = path.display())]
    Links {
        /// The path.
        path: PathBuf,
    },
}

/// Checks every component of the path, through links.
///
/// # Errors
/// The component that other users may change, and the remedy.
pub fn check_trusted(path: &Path) -> Result<(), TrustError> {
    check(path, rustix::process::geteuid().as_raw())
}

fn check(path: &Path, me: u32) -> Result<(), TrustError> {
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    let mut rest = parts(&absolute);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    check_part(&at, me)?;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        if !check_part(&next, me)? {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(TrustError::Links {
                path: path.to_owned(),
            });
        }
        let target = std::fs::read_link(&next).map_err(|error| unreadable(&next, error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        let mut front = parts(&target);
        front.append(&mut rest);
        rest = front;
    }
    Ok(())
}

fn unreadable(path: &Path, error: io::Error) -> TrustError {
    TrustError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

/// Returns whether it is a link.
fn check_part(path: &Path, me: u32) -> Result<bool, TrustError> {
    let found = std::fs::symlink_metadata(path).map_err(|error| unreadable(path, error))?;
    if found.uid() != me && found.uid() != 0 {
        return Err(TrustError::Owner {
            path: path.to_owned(),
            owner: found.uid(),
        });
    }
    if found.is_symlink() {
        return Ok(true);
    }
    // In a sticky directory such as /tmp others may add names, but not change ours.
    let is_shared = found.is_dir() && found.mode() & STICKY != 0;
    if found.mode() & OTHERS_WRITE != 0 && !is_shared {
        return Err(TrustError::Mode {
            path: path.to_owned(),
        });
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn path_with_a_part_that_others_may_change_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        let file = inner.join("helper.toml");
        fs::create_dir(&inner).expect("made");
        fs::write(&file, "").expect("written");
        mode(&file, 0o644);
        for (of_inner, of_file, wanted) in [
            (0o755, 0o644, true),
            (0o755, 0o664, false),
            (0o755, 0o646, false),
            (0o775, 0o644, false),
            (0o757, 0o644, false),
            (0o1777, 0o644, true),
        ] {
            mode(&inner, of_inner);
            mode(&file, of_file);
            let checked = check_trusted(&file);
            assert_eq!(checked.is_ok(), wanted, "{of_inner:o} {of_file:o}: {checked:?}");
        }
        assert!(check_trusted(&inner.join("none")).is_err());
    }

    #[test]
    fn path_of_another_user_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let me = rustix::process::geteuid().as_raw();
        let refused = check(folder.path(), me + 1);
        // Every user trusts what root owns.
        assert_eq!(refused.is_ok(), me == 0, "{refused:?}");
        assert!(check(folder.path(), me).is_ok());
    }

    #[test]
    fn link_counts_as_what_it_leads_to_and_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["good", "open"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("file"), "").expect("written");
            mode(&at(name).join("file"), 0o644);
        }
        mode(&at("good"), 0o755);
        symlink("good/file", at("link")).expect("linked");
        symlink(at("open").join("../good/file"), at("around")).expect("linked");
        symlink(at("good").join("file"), at("open/link")).expect("linked");
        symlink("circle", at("circle")).expect("linked");
        mode(&at("open"), 0o777);
        assert!(check_trusted(&at("link")).is_ok());
        for name in ["around", "open/link", "open/file", "circle"] {
            assert!(check_trusted(&at(name)).is_err(), "{name}");
        }
    }
}

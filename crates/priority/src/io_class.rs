//! The I/O class of a process, through the system's `ionice`: there is no safe binding of the system call. The program
//! is run by its absolute path.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why a class was not set or read. I/O then follows the nice value.
#[derive(Debug, thiserror::Error)]
pub enum IoClassError {
    /// The program is missing.
    #[error("ionice is not installed; I/O follows the nice value; install util-linux")]
    NotInstalled,
    /// The program cannot be started.
    #[error("{program}: {error}; I/O follows the nice value")]
    NotStarted {
        /// The program.
        program: &'static str,
        /// The kernel's error.
        error: io::Error,
    },
    /// The program refused.
    #[error("{0} failed: the process ended, or the permission is missing; I/O follows the nice value")]
    Refused(&'static str),
    /// The program printed something else than a class.
    #[error("unexpected output of ionice; util-linux 2.24 or newer is needed")]
    Output,
}

/// A class with its level, as `ionice` accepts and prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoClass {
    class: u8,
    level: Option<u8>,
}

impl IoClass {
    /// Only when no other process wants the disk.
    pub const IDLE: Self = Self {
        class: 3,
        level: None,
    };
    /// Derived from the nice value.
    pub const NONE: Self = Self {
        class: 0,
        level: None,
    };

    /// PURE. Parses the output of `ionice -p`, such as `best-effort: prio 4`.
    fn parse(text: &str) -> Option<Self> {
        let (name, level) = match text.trim().split_once(": prio ") {
            Some((name, level)) => (name, Some(level.parse::<u8>().ok()?)),
            None => (text.trim(), None),
        };
        match name {
            "none" => Some(Self::NONE),
            "realtime" => Some(Self { class: 1, level }),
            "best-effort" => Some(Self { class: 2, level }),
            "idle" => Some(Self::IDLE),
            _ => None,
        }
    }

    /// Sets the class of the process and of its later threads.
    ///
    /// # Errors
    /// If the class cannot be set; I/O then follows the nice value.
    pub fn set(self, pid: u32) -> Result<(), IoClassError> {
        let mut arguments = vec!["-c".to_owned(), self.class.to_string()];
        if let Some(level) = self.level {
            arguments.extend(["-n".to_owned(), level.to_string()]);
        }
        arguments.extend(["-p".to_owned(), pid.to_string()]);
        ionice(&arguments).map(drop)
    }

    /// Returns the class of the process.
    ///
    /// # Errors
    /// If the class cannot be read.
    pub fn read(pid: u32) -> Result<Self, IoClassError> {
        let text = ionice(&["-p".to_owned(), pid.to_string()])?;
        Self::parse(&text).ok_or(IoClassError::Output)
    }
}

fn ionice(arguments: &[String]) -> Result<String, IoClassError> {
    let program = ["/usr/bin/ionice", "/bin/ionice"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or(IoClassError::NotInstalled)?;
    let ended = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| IoClassError::NotStarted { program, error })?;
    if ended.status.success() {
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    } else {
        Err(IoClassError::Refused(program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_class_is_parsed_from_the_output_of_ionice() {
        assert_eq!(IoClass::parse("idle\n"), Some(IoClass::IDLE));
        assert_eq!(IoClass::parse("none: prio 4\n"), Some(IoClass::NONE));
        let best = IoClass {
            class: 2,
            level: Some(4),
        };
        assert_eq!(IoClass::parse("best-effort: prio 4\n"), Some(best));
        for garbage in ["", "best-effort: prio x", "best-effort: prio -1", "4"] {
            assert_eq!(IoClass::parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn io_class_of_this_process_is_read() {
        if let Err(cause) = IoClass::read(std::process::id()) {
            assert!(matches!(cause, IoClassError::NotInstalled), "{cause}");
        }
        assert!(IoClass::IDLE.set(0x3fff_ffff).is_err());
    }
}

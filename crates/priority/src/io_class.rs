//! The IO class of a process, by the system's own `ionice`: there is no safe call for it, so the program is run by its
//! whole path.

use std::path::Path;
use std::process::{Command, Stdio};

/// A class with its level, as `ionice` takes and shows them.
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
    /// What follows the nice value.
    pub const NONE: Self = Self {
        class: 0,
        level: None,
    };

    /// PURE. Reads what `ionice -p` prints, such as `best-effort: prio 4`.
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

    /// Gives the process this class, and the threads that it makes later.
    ///
    /// # Errors
    /// With the cause. IO then follows the nice value.
    pub fn set(self, pid: u32) -> Result<(), String> {
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
    /// With the cause.
    pub fn of(pid: u32) -> Result<Self, String> {
        let text = ionice(&["-p".to_owned(), pid.to_string()])?;
        Self::parse(&text).ok_or_else(|| "ionice answers in no known form".to_owned())
    }
}

fn ionice(arguments: &[String]) -> Result<String, String> {
    let program = ["/usr/bin/ionice", "/bin/ionice"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or("there is no ionice here; IO follows the nice value")?;
    let ended = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if ended.status.success() {
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    } else {
        Err(format!("{program} was refused; IO follows the nice value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_class_is_read_as_ionice_prints_it() {
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
        if let Err(cause) = IoClass::of(std::process::id()) {
            assert!(cause.contains("no ionice here"), "{cause}");
        }
        assert!(IoClass::IDLE.set(0x3fff_ffff).is_err());
    }
}

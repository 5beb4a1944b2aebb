//! Faults of a machine for real programs: a full disk, a slow disk, a wall clock that jumps.
//!
//! `shim.c` is compiled with the C compiler that the workspace needs anyway, and loaded in front of the C library of the
//! program under test (`LD_PRELOAD`). It needs neither root nor a small file system. It works on programs that use the C
//! library: PostgreSQL, and `slacktide` with its SQLite. A Go program such as nats-server makes system calls itself.

use crate::find;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;
use tempfile::TempDir;

/// Offsets of the settings in their file, as in `shim.c`.
const CLOCK_OFFSET: u64 = 0;
const SYNC_DELAY: u64 = 8;
const DISK_FULL: u64 = 16;
const CLOCK_FAILS: u64 = 24;
const PATH_PART: u64 = 32;
const SIZE: u64 = 256;

/// The shim and its settings. Programs that need separate faults need separate shims.
#[derive(Debug)]
pub struct Shim {
    settings: File,
    dir: TempDir,
}

impl Shim {
    /// Builds a shim without faults.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("slacktide-shim-")
            .tempdir()
            .expect("a temporary directory");
        // PostgreSQL may run as another user.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("our own directory");
        let built = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.path().join("shim.so"))
            .arg(find::workspace().join("tests/harness/shim.c"))
            .arg("-ldl")
            .output()
            .expect("a C compiler: install one, or name it in CC");
        let stderr = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "shim.c does not compile:\n{stderr}");
        let settings = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(dir.path().join("settings"))
            .expect("a file for the settings");
        settings.set_len(SIZE).expect("the file can grow");
        let shared = Permissions::from_mode(0o644);
        fs::set_permissions(dir.path().join("settings"), shared).expect("our own file");
        Self { settings, dir }
    }

    /// Returns the environment variables for a program under the shim.
    #[must_use]
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LD_PRELOAD".into(), self.dir.path().join("shim.so").into()),
            ("SHIM_SETTINGS".into(), self.dir.path().join("settings").into()),
        ]
    }

    /// Writes to files whose path contains this fail with ENOSPC from now on.
    pub fn fill_disk(&self, part_of_path: &str) {
        assert!(part_of_path.len() < 200, "the part of the path is short");
        self.write(PATH_PART, &[part_of_path.as_bytes(), &[0]].concat());
        self.number(DISK_FULL, 1);
    }

    /// Lets writes succeed again.
    pub fn empty_disk(&self) {
        self.number(DISK_FULL, 0);
    }

    /// Delays every fsync by this many milliseconds.
    pub fn slow_disk(&self, sync_ms: i64) {
        self.number(SYNC_DELAY, sync_ms);
    }

    /// Shifts the wall clock by this many seconds, which may be negative; other clocks are not changed.
    pub fn shift_clock(&self, seconds: i64) {
        self.number(CLOCK_OFFSET, seconds);
    }

    /// Lets the clock fail once, at its `nth` read from now on: a Rust program panics there. 0 cancels it.
    pub fn fail_clock(&self, nth: i64) {
        self.number(CLOCK_FAILS, nth);
    }

    fn number(&self, at: u64, value: i64) {
        self.write(at, &value.to_ne_bytes());
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.settings
            .write_all_at(bytes, at)
            .expect("settings can be written");
    }
}

impl Default for Shim {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(shim: &Shim, script: &str) -> String {
        let done = Command::new("sh")
            .args(["-c", script])
            .envs(shim.env())
            .current_dir(shim.dir.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }

    #[test]
    fn shim_full_disk_refuses_only_matching_files() {
        let shim = Shim::new();
        let script = "dd if=/dev/zero of=big.db bs=8 count=1; dd if=/dev/zero of=other bs=8 count=1";
        assert!(!run_with(&shim, script).contains("No space"));
        shim.fill_disk("big.db");
        let output = run_with(&shim, script);
        assert_eq!(output.matches("No space left").count(), 1, "{output}");
        shim.empty_disk();
        assert!(!run_with(&shim, script).contains("No space"));
    }

    #[test]
    fn shim_wall_clock_is_shifted() {
        let shim = Shim::new();
        let year = || run_with(&shim, "date -u +%Y").trim().parse::<i32>().unwrap();
        let now = year();
        shim.shift_clock(-400 * 86_400);
        assert!((1..=2).contains(&(now - year())));
    }

    #[test]
    fn shim_slow_disk_delays_fsync() {
        let shim = Shim::new();
        shim.slow_disk(300);
        let begun = std::time::Instant::now();
        run_with(&shim, "dd if=/dev/zero of=some bs=8 count=1 conv=fsync");
        assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    }
}

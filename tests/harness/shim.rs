//! A machine's faults, for real programs: a full disk, a slow disk, a wall clock that jumps.
//!
//! `shim.c` is compiled with the C compiler that the workspace needs anyway, and laid before the C library of the
//! program under test (`LD_PRELOAD`). No root, no small file system. It works on programs that use the C library:
//! PostgreSQL, and `slacktide` with its SQLite; a Go program such as nats-server speaks to the kernel itself.

use crate::find;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;
use tempfile::TempDir;

/// Where the orders stand in their file, as in `shim.c`.
const CLOCK: u64 = 0;
const SYNC: u64 = 8;
const FULL: u64 = 16;
const CLOCK_FAILS: u64 = 24;
const WHERE: u64 = 32;
const SIZE: u64 = 256;

/// The shim and its orders. Each set of programs that is to have its own faults has its own.
#[derive(Debug)]
pub struct Shim {
    orders: File,
    dir: TempDir,
}

impl Shim {
    /// A machine without faults.
    ///
    /// # Panics
    /// When there is no C compiler.
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
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "shim.c does not compile:\n{said}");
        let orders = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(dir.path().join("orders"))
            .expect("a file for the orders");
        orders.set_len(SIZE).expect("the file can grow");
        let shared = Permissions::from_mode(0o644);
        fs::set_permissions(dir.path().join("orders"), shared).expect("our own file");
        Self { orders, dir }
    }

    /// The environment that a program under it needs.
    #[must_use]
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LD_PRELOAD".into(), self.dir.path().join("shim.so").into()),
            ("SHIM_ORDERS".into(), self.dir.path().join("orders").into()),
        ]
    }

    /// Files whose path holds this find no space from now on.
    pub fn fill_disk(&self, part_of_path: &str) {
        assert!(part_of_path.len() < 200, "the part of the path is short");
        self.write(WHERE, &[part_of_path.as_bytes(), &[0]].concat());
        self.number(FULL, 1);
    }

    /// There is room again.
    pub fn empty_disk(&self) {
        self.number(FULL, 0);
    }

    /// Every fsync takes so many milliseconds longer.
    pub fn slow_disk(&self, sync_ms: i64) {
        self.number(SYNC, sync_ms);
    }

    /// The wall clock goes so many seconds before the true one, or after it where negative; other clocks stay.
    pub fn shift_clock(&self, seconds: i64) {
        self.number(CLOCK, seconds);
    }

    /// The clock fails once, when it is asked for the time for the `nth` time from now on: a program in Rust panics where
    /// it asks. 0 takes it back.
    pub fn fail_clock(&self, nth: i64) {
        self.number(CLOCK_FAILS, nth);
    }

    fn number(&self, at: u64, value: i64) {
        self.write(at, &value.to_ne_bytes());
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.orders
            .write_all_at(bytes, at)
            .expect("orders can be written");
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

    fn under(shim: &Shim, script: &str) -> String {
        let done = Command::new("sh")
            .args(["-c", script])
            .envs(shim.env())
            .current_dir(shim.dir.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }

    #[test]
    fn a_full_disk_refuses_some_files_and_not_others() {
        let shim = Shim::new();
        let script = "dd if=/dev/zero of=big.db bs=8 count=1; dd if=/dev/zero of=other bs=8 count=1";
        assert!(!under(&shim, script).contains("No space"));
        shim.fill_disk("big.db");
        let told = under(&shim, script);
        assert_eq!(told.matches("No space left").count(), 1, "{told}");
        shim.empty_disk();
        assert!(!under(&shim, script).contains("No space"));
    }

    #[test]
    fn the_wall_clock_jumps() {
        let shim = Shim::new();
        let year = || under(&shim, "date -u +%Y").trim().parse::<i32>().unwrap();
        let now = year();
        shim.shift_clock(-400 * 86_400);
        assert!((1..=2).contains(&(now - year())));
    }

    #[test]
    fn a_slow_disk_takes_its_time() {
        let shim = Shim::new();
        shim.slow_disk(300);
        let begun = std::time::Instant::now();
        under(&shim, "dd if=/dev/zero of=some bs=8 count=1 conv=fsync");
        assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    }
}

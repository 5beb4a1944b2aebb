//! The files of a cluster, and the account that owns them.
//!
//! PostgreSQL refuses to run as root. As root, its programs therefore run as the user `postgres`, else `nobody`, which owns
//! the directory. If that user cannot reach the binaries, because they are in a home directory, it gets a copy.

use super::identity;
use crate::{ChildGuard, find};
use nix::sys::signal::Signal;
use nix::unistd::{User, chown, geteuid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tempfile::TempDir;

#[derive(Debug)]
pub(super) struct Cluster {
    owner: Option<User>,
    bin: PathBuf,
    /// Environment variables of the server only.
    env: Vec<(OsString, OsString)>,
    logs: PathBuf,
    starts: AtomicUsize,
    dir: TempDir,
}

impl Cluster {
    /// Creates a cluster with its own identity, as initdb does. `env` is for the server only, which logs into the directory `logs`.
    pub(super) async fn create(env: Vec<(OsString, OsString)>, logs: PathBuf) -> Self {
        let created = tokio::task::spawn_blocking(move || Self::create_now(env, logs));
        created.await.expect("a cluster")
    }

    /// A process runs initdb once and then copies: initdb takes 0.8 s of processor time, a copy a tenth of it.
    fn create_now(env: Vec<(OsString, OsString)>, logs: PathBuf) -> Self {
        static TEMPLATE: OnceLock<(Cluster, ChildGuard)> = OnceLock::new();
        static COPIES: AtomicU64 = AtomicU64::new(1);
        let (template, _) = TEMPLATE.get_or_init(|| {
            let template = Self::initialised();
            // Statics are not dropped: the watchdog removes the directory when the process ends.
            let guard = ChildGuard::new(Signal::SIGKILL, Some(template.dir()));
            (template, guard)
        });
        let cluster = Self {
            env,
            ..template.copy(logs)
        };
        // In an identifier, initdb's process id is in the lowest twelve bits, microseconds are above them.
        identity::shift(&cluster.data(), COPIES.fetch_add(1, Ordering::Relaxed) << 12);
        cluster
    }

    fn initialised() -> Self {
        let owner = geteuid().is_root().then(unprivileged);
        let mut cluster = Self {
            bin: find::postgres_bin(),
            env: Vec::new(),
            logs: PathBuf::new(),
            starts: AtomicUsize::new(0),
            dir: directory(owner.as_ref()),
            owner,
        };
        if !cluster.reaches_binaries() {
            cluster.copy_binaries();
        }
        let made = cluster
            .command("initdb")
            .arg("--pgdata")
            .arg(cluster.data())
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .output()
            .expect("initdb runs");
        let stderr = String::from_utf8_lossy(&made.stderr);
        assert!(
            made.status.success(),
            "initdb: {stderr}{}",
            String::from_utf8_lossy(&made.stdout)
        );
        cluster
    }

    /// Writes a file into the data directory that only the server's account can read.
    pub(super) fn place(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("a file in the data");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        if let Some(owner) = &self.owner {
            chown(&path, Some(owner.uid), Some(owner.gid)).expect("root can change the owner of a file");
        }
    }

    /// Copies the cluster; the server must not run.
    pub(super) fn copy(&self, logs: PathBuf) -> Self {
        let dir = directory(self.owner.as_ref());
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.data())
            .arg(dir.path().join("data"))
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "copying a cluster");
        // Left by the server that was copied.
        let _ = fs::remove_file(dir.path().join("data/postmaster.pid"));
        Self {
            owner: self.owner.clone(),
            bin: self.bin.clone(),
            env: self.env.clone(),
            logs,
            starts: AtomicUsize::new(0),
            dir,
        }
    }

    /// Starts the server; all its output goes to the log.
    pub(super) fn spawn(&self, port: u16, settings: &[(String, String)]) -> Child {
        // One file for each start, so that an error of the last start is not taken for one of this start.
        self.starts.fetch_add(1, Ordering::Relaxed);
        let log = File::create(self.log_path()).expect("a file for the log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(port.to_string());
        command.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]);
        // A container's /dev/shm is often too small for parallel queries.
        command.args(["-c", "dynamic_shared_memory_type=mmap"]);
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        // Ctrl-C is for the test, which ends the server itself.
        command.process_group(0).spawn().expect("postgres is executable")
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns whether `directory` is the data directory of this cluster.
    pub(super) fn is_at(&self, directory: &str) -> bool {
        Path::new(directory) == self.data()
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.logs
            .join(format!("log.{}", self.starts.load(Ordering::Relaxed)))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            // PGDATA, PGHOST and others of the user who runs the tests.
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(owner) = &self.owner {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        command
    }

    /// Returns whether the account can run the binaries. initdb needs postgres in its directory, so both are run.
    fn reaches_binaries(&self) -> bool {
        ["initdb", "postgres"].iter().all(|program| {
            let asked = self
                .command(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            asked.is_ok_and(|status| status.success())
        })
    }

    /// Copies the whole installation, since its programs find libraries and time zones relative to themselves.
    fn copy_binaries(&mut self) {
        let from = installation(&self.bin).to_owned();
        let to = self.dir.path().join("installation");
        let copied = Command::new("cp")
            .arg("-R")
            .arg(&from)
            .arg(&to)
            .output()
            .expect("cp runs");
        assert!(
            copied.status.success(),
            "copying PostgreSQL: {}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let opened = Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(&to)
            .output()
            .expect("chmod runs");
        assert!(
            opened.status.success(),
            "opening PostgreSQL: {}",
            String::from_utf8_lossy(&opened.stderr)
        );
        self.bin = to.join(self.bin.strip_prefix(&from).expect("bin is in its installation"));
        assert!(
            self.reaches_binaries(),
            "PostgreSQL in {} does not run as another user than root",
            from.display()
        );
    }
}

/// Creates a private directory of the server's account.
fn directory(owner: Option<&User>) -> TempDir {
    let mut builder = tempfile::Builder::new();
    let dir = builder.prefix("slacktide-pg-").tempdir();
    let dir = dir.expect("a temporary directory");
    if let Some(owner) = owner {
        chown(dir.path(), Some(owner.uid), Some(owner.gid))
            .expect("root can change the owner of a directory");
    }
    dir
}

/// Returns the directory that has to be copied as a whole: the parent of `bin`, or, in a Python wheel, the one that also holds
/// the bundled libraries, `NAME.libs`, to which the programs refer relatively.
fn installation(bin: &Path) -> &Path {
    let has_libraries = |dir: &&Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "libs")
        })
    };
    let mut above = bin.ancestors().skip(1).take(3);
    above
        .find(has_libraries)
        .or_else(|| bin.parent())
        .expect("bin is in an installation")
}

fn unprivileged() -> User {
    let known = ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    known.expect("PostgreSQL does not run as root, and there is neither a user postgres nor `nobody`")
}

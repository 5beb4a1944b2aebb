//! Log directories of a test's processes.
//!
//! Every child writes into its own directory, `target/test-logs/BINARY-PID/TEST/NUMBER-NAME`. The logs of a test are removed
//! when its thread ends, so a failing test still has the logs of processes that ended earlier. They are kept when the thread
//! has panicked, and the path is printed below the message. They are also kept when the test process is killed, since nothing
//! removes them then. The logs of the shared PostgreSQL are kept as long as those of any test of the process; the
//! [`ChildGuard`](crate::ChildGuard) removes them otherwise.
//!
//! The newest [`RUNS`] test processes with failures are kept. `SLACKTIDE_TEST_LOGS` names another root. A test program that was
//! copied out of the target directory uses the system's directory for temporary files.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};
use std::time::SystemTime;

/// Number of test processes whose logs are kept.
const RUNS: usize = 20;

/// Directory of what all tests of a process share.
const SHARED: &str = "shared";

/// Directory for children that a runtime worker starts: its thread does not carry the name of a test.
const WORKER: &str = "worker";

/// Whether any thread of this process has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static TEST: RefCell<Option<TestLogs>> = const { RefCell::new(None) };
}

/// The logs of one test, removed when its thread ends unless it panicked.
struct TestLogs {
    path: PathBuf,
    is_worker: bool,
    has_panicked: bool,
    children: usize,
}

impl TestLogs {
    fn for_this_thread() -> Self {
        let thread = std::thread::current();
        let name = thread.name().filter(|name| !name.starts_with("tokio-"));
        Self {
            path: create(&run_dir().join(file_name(name.unwrap_or(WORKER)))),
            is_worker: name.is_none(),
            has_panicked: false,
            children: 0,
        }
    }

    fn child(&mut self, name: &str) -> PathBuf {
        self.children += 1;
        create(
            &self
                .path
                .join(format!("{:03}-{}", self.children, file_name(name))),
        )
    }
}

impl Drop for TestLogs {
    fn drop(&mut self) {
        // A worker cannot know which test it works for.
        let keep = self.has_panicked || (self.is_worker && PANICKED.load(Ordering::Relaxed));
        if !keep {
            let _ = fs::remove_dir_all(&self.path);
            // Succeeds for the last test only, when the directory is empty.
            let _ = fs::remove_dir(run_dir());
        }
    }
}

/// Creates a directory for the logs of a child of this test.
pub(crate) fn directory(name: &str) -> PathBuf {
    with_test_logs(|test| test.child(name))
}

/// Creates a directory for the logs of a child that all tests of this process share.
pub(crate) fn shared_directory(name: &str) -> PathBuf {
    create(&run_dir().join(SHARED).join(file_name(name)))
}

/// Returns the log directory of this process. It can be removed when only shared logs are left in it.
pub(crate) fn run_directory() -> &'static Path {
    run_dir()
}

/// Records that this test uses a shared server, by linking its logs into the test's directory.
pub(crate) fn uses_shared(name: &str) {
    with_test_logs(|test| {
        let target = Path::new("..").join(SHARED).join(file_name(name));
        // Ignored: the link exists when the test has called this before.
        let _ = std::os::unix::fs::symlink(target, test.path.join(file_name(name)));
    });
}

/// Returns where the logs of this test are kept if it fails now; `None` if it has started nothing.
pub(crate) fn log_path() -> Option<PathBuf> {
    let of_test = TEST.try_with(|test| Some(test.try_borrow().ok()?.as_ref()?.path.clone()));
    of_test.ok().flatten()
}

/// Appends the log directory of this test to `text`.
pub(crate) fn with_log_path(text: String) -> String {
    match log_path() {
        Some(log_path) => format!("{text}; logs kept in {}", log_path.display()),
        None => text,
    }
}

/// Runs work that must panic and returns the message. The test has not failed and leaves no logs.
#[cfg(test)]
pub(crate) async fn expected_panic(work: impl Future<Output: 'static> + 'static) -> String {
    let here = tokio::task::LocalSet::new();
    let task = here.spawn_local(work);
    let ended = here.run_until(task).await;
    with_test_logs(|test| test.has_panicked = false);
    let panic = ended.err().expect("a panic").into_panic();
    *panic.downcast().expect("a panic with a formatted message")
}

fn with_test_logs<T>(use_it: impl FnOnce(&mut TestLogs) -> T) -> T {
    watch_panics();
    TEST.with(|test| use_it(test.borrow_mut().get_or_insert_with(TestLogs::for_this_thread)))
}

/// Installs a hook: every panic of a thread that has logs prints their path.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            PANICKED.store(true, Ordering::Relaxed);
            let _ = TEST.try_with(|test| {
                // Borrowed only if the harness itself panics while it creates a directory.
                if let Ok(mut test) = test.try_borrow_mut()
                    && let Some(test) = test.as_mut()
                {
                    test.has_panicked = true;
                    eprintln!("logs kept in {}", test.path.display());
                }
            });
        }));
    });
}

/// Returns the log directory of this process.
fn run_dir() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let root = root();
        prune(&root);
        let program = std::env::current_exe().expect("a test knows its own path");
        let program = program.file_stem().unwrap_or_default().to_string_lossy();
        // Cargo appends a hash.
        let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
        root.join(format!("{program}-{}", std::process::id()))
    })
}

fn root() -> PathBuf {
    if let Some(root) = std::env::var_os("SLACKTIDE_TEST_LOGS").filter(|root| !root.is_empty()) {
        return root.into();
    }
    let program = std::env::current_exe().expect("a test knows its own path");
    // The path is TARGET/PROFILE/deps/NAME for a test, TARGET/PROFILE/NAME for a benchmark.
    let profile = program
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps") && !dir.ends_with("examples"))
        .expect("a program is in a directory");
    // A copied program has no target directory.
    let target = profile
        .parent()
        .filter(|target| target.join("CACHEDIR.TAG").exists());
    target.map_or_else(
        || std::env::temp_dir().join("slacktide-test-logs"),
        |target| target.join("test-logs"),
    )
}

/// Removes the logs of ended processes, except for the newest.
fn prune(root: &Path) {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut left: Vec<(SystemTime, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| !is_alive(path))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    left.sort();
    for (_, path) in left.iter().rev().skip(RUNS) {
        // Ignored: another test process may remove it at the same time.
        let _ = fs::remove_dir_all(path);
    }
}

/// Returns whether the process that a directory belongs to still runs.
fn is_alive(run_dir: &Path) -> bool {
    let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.rsplit('-').next().unwrap_or_default();
    Path::new("/proc").join(pid).exists()
}

/// Creates a directory with this name, or with a number appended if the name is taken.
fn create(wanted: &Path) -> PathBuf {
    let mut path = wanted.to_owned();
    let mut number = 1;
    loop {
        fs::create_dir_all(path.parent().unwrap_or(&path)).unwrap_or_else(|error| refused(&path, &error));
        match fs::create_dir(&path) {
            Ok(()) => return path,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number += 1;
                path = wanted.with_file_name(format!(
                    "{}-{number}",
                    wanted.file_name().unwrap_or_default().to_string_lossy()
                ));
            }
            // Another test removed the parent, because its own directory was the last one in it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => refused(&path, &error),
        }
    }
}

fn refused(path: &Path, error: &std::io::Error) -> ! {
    panic!(
        "cannot create the log directory {}: {error}; set SLACKTIDE_TEST_LOGS to a writable directory",
        path.display()
    )
}

/// Returns the name without separators, and short enough for a file system.
fn file_name(name: &str) -> String {
    let name = name.replace("::", ".");
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
    name.chars()
        .map(|sign| if is_plain(sign) { sign } else { '_' })
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finished, Postgres, Process, run as run_command, until};
    use std::process::Command;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(120);
    /// Set in a test process that another test has started: the role it plays.
    const ROLE: &str = "SLACKTIDE_TEST_PART";

    /// Runs one test of this binary in a separate process.
    async fn test_process(test: &str, role: &str, root: &Path) -> Finished {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", &format!("logs::tests::{test}")])
            .env(ROLE, role)
            .env("SLACKTIDE_TEST_LOGS", root);
        run_command(role, &mut command, SOON).await
    }

    /// Returns every file below `root`: its relative path and its text.
    fn files(root: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    found.push((name, fs::read_to_string(&path).unwrap_or_default()));
                }
            }
        }
        found
    }

    async fn run_child_with_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo its output"]);
        run_command("a child", &mut command, SOON).await;
    }

    #[tokio::test]
    async fn logs_of_a_failed_test_are_kept_and_named() {
        if let Ok(role) = std::env::var(ROLE) {
            run_child_with_output().await;
            // The process has ended, and its log is still there.
            assert_ne!(role, "fails");
            if role == "waits" {
                until("an impossible event", Duration::from_millis(1), async || false).await;
            }
            return;
        }
        for (role, message) in [("fails", "assertion"), ("waits", "for an impossible event")] {
            let root = tempfile::tempdir().unwrap();
            let done = test_process("logs_of_a_failed_test_are_kept_and_named", role, root.path()).await;
            assert_eq!(done.status.code(), Some(101), "{}", done.stdout);
            assert!(done.stdout.contains(message), "{}", done.stdout);
            let kept = files(root.path());
            let (name, _) = kept
                .iter()
                .find(|(name, text)| name.ends_with("stdout") && text == "its output\n")
                .unwrap_or_else(|| panic!("no log in {kept:?}"));
            let test = Path::new(name).ancestors().nth(2).unwrap();
            let log_path = format!("logs kept in {}", root.path().join(test).display());
            assert!(done.stdout.contains(&log_path), "{log_path}: {}", done.stdout);
            assert!(name.contains("/logs.tests.logs_of_a_failed_test"), "{name}");
        }
    }

    #[tokio::test]
    async fn logs_of_a_passed_test_are_removed() {
        if std::env::var_os(ROLE).is_some() {
            run_child_with_output().await;
            assert_eq!(files(run_directory()).len(), 3);
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let done = test_process("logs_of_a_passed_test_are_removed", "passes", root.path()).await;
        assert!(done.status.success(), "{}", done.stdout);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn logs_of_the_shared_server_are_kept_with_a_failed_test() {
        if let Ok(role) = std::env::var(ROLE) {
            let db = Postgres::shared().await.database("kept").await;
            assert_eq!(db.number("SELECT 1::bigint").await, 1);
            assert_ne!(role, "fails");
            return;
        }
        let name = "logs_of_the_shared_server_are_kept_with_a_failed_test";
        let failed = tempfile::tempdir().unwrap();
        let done = test_process(name, "fails", failed.path()).await;
        assert_eq!(done.status.code(), Some(101), "{}", done.stdout);
        let is_server_log = |(name, text): &(String, String)| {
            name.contains("/shared/postgres/") && text.contains("ready to accept connections")
        };
        assert!(files(failed.path()).iter().any(is_server_log));

        let passed = tempfile::tempdir().unwrap();
        let done = test_process(name, "passes", passed.path()).await;
        assert!(done.status.success(), "{}", done.stdout);
        // The watchdog ends a moment after the test process.
        until("the shared log to be removed", SOON, async || {
            files(passed.path()).is_empty()
        })
        .await;
    }

    #[tokio::test]
    async fn logs_of_a_killed_test_process_are_kept() {
        if std::env::var_os(ROLE).is_some() {
            run_child_with_output().await;
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        let root = tempfile::tempdir().unwrap();
        let done = test_process("logs_of_a_killed_test_process_are_kept", "is killed", root.path()).await;
        assert_eq!(done.status.code(), None);
        assert!(files(root.path()).iter().any(|(_, text)| text == "its output\n"));
    }

    #[test]
    fn logs_of_old_runs_are_pruned_unless_the_process_runs() {
        let root = tempfile::tempdir().unwrap();
        let living = root.path().join(format!("flow-{}", std::process::id()));
        fs::create_dir(&living).unwrap();
        for number in 0..RUNS + 5 {
            // No process has such an id.
            fs::create_dir(root.path().join(format!("flow-{}", 4_300_000_000 + number))).unwrap();
        }
        prune(root.path());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), RUNS + 1);
        assert!(living.exists());
    }

    #[test]
    fn logs_of_equal_names_do_not_share_a_directory() {
        let (one, other) = (directory("a::b c"), directory("a::b c"));
        assert_ne!(one, other);
        assert!(one.ends_with("001-a.b_c"), "{}", one.display());
        let root = tempfile::tempdir().unwrap();
        let (one, other) = (create(&root.path().join("x/y")), create(&root.path().join("x/y")));
        assert!(one.ends_with("x/y") && other.ends_with("x/y-2"));
    }

    /// A test of a panic message must not leave logs itself.
    #[tokio::test]
    async fn logs_of_an_expected_panic_are_not_kept() {
        let has_panicked = || TEST.with(|test| test.borrow().as_ref().unwrap().has_panicked);
        let message = expected_panic(async {
            let _process = Process::spawn("true", &mut Command::new("true"));
            until("an impossible event", Duration::from_millis(1), async || false).await;
        });
        assert!(message.await.contains("; logs kept in "));
        assert!(!has_panicked());
    }
}

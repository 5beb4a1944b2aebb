//! The helper with the real kernel and a real PostgreSQL.
//!
//! Runs completely as root. Without root it checks that the helper refuses to start with the required permissions, and
//! counts as skipped. A user namespace does not help: the control groups stay those of the host's root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails there and then"
)]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::{Postgres, PostgresOptions, until};
use idle_helper::exit::Exit;
use idle_helper::{Account, Helper, HelperConfig, HelperError, HelperTable, ListenError};
use priority::cgroup::{CgroupError, Group, Hierarchy, Level};
use priority::process::Proc;
use priority::protocol::{GroupLocation, LineReader, MAX_LINE_BYTES, Reply, Request, to_line};
use priority::verify::{is_in, not_idle};

/// Test timeout: a member of the idle group hardly runs on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(150);

/// A control group for one test, removed with it: the product's own may be in use on this host.
fn own_group() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("/slacktide-test-{}-{number}", std::process::id())
}

fn config(folder: &Path, owner: u32) -> HelperConfig {
    HelperConfig {
        idle_helper: HelperTable {
            socket: folder.join("idle.sock"),
            group: None,
            allow: vec![Account::Number(rustix::process::getuid().as_raw())],
            owner: Account::Number(owner),
            executables: Vec::new(),
            cgroup: own_group(),
        },
    }
}

/// Opens the helper; `None` if it correctly refuses for lack of permissions.
fn open(config: &HelperConfig) -> Option<Helper> {
    if rustix::process::geteuid().is_root() {
        return Some(Helper::open(config).expect("root may do it: cpu.idle or a weight"));
    }
    let refused = Helper::open(config).expect_err("without the right it does not start");
    assert!(
        matches!(refused, HelperError::Cgroup(CgroupError::PermissionDenied { .. })),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("needs root or delegation"),
        "{refused}"
    );
    assert!(!config.idle_helper.socket.exists());
    harness::skip("root");
    None
}

struct Running {
    socket: PathBuf,
    group: String,
    stop: UnixStream,
    thread: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(owner: u32, change: impl FnOnce(&mut HelperTable)) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), owner);
        change(&mut config.idle_helper);
        let helper = open(&config)?;
        let (stop, wait) = UnixStream::pair().unwrap();
        Some(Self {
            socket: config.idle_helper.socket,
            group: config.idle_helper.cgroup,
            thread: std::thread::spawn(move || helper.serve(wait)),
            stop,
            _folder: folder,
        })
    }

    /// Asks as a client does; the error is the helper's refusal.
    fn ask(&self, request: Request) -> Result<GroupLocation, String> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        // It may have refused already, and closed.
        let _ = stream.write_all(&to_line(&request).unwrap());
        match LineReader::default().read(&stream).unwrap().unwrap() {
            Reply::Done(place) => Ok(place),
            Reply::Refused { why } => Err(why),
        }
    }

    fn backend(&self, pid: u32) -> Result<GroupLocation, String> {
        self.ask(Request::Backend { pid })
    }

    fn end(self) {
        drop(self.stop);
        self.thread.join().unwrap();
        assert!(!self.socket.exists(), "the socket is removed");
        remove(&self.group);
    }
}

/// A session of another process: `psql` is next to the server.
fn other_session(postgres: &Postgres) -> harness::Process {
    let mut psql = std::process::Command::new(harness::postgres_bin().join("psql"));
    psql.args([
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-p",
        &postgres.port().to_string(),
    ])
    .args(["-At", "-c", "SELECT pg_sleep(600)", "postgres"]);
    harness::Process::spawn("psql", &mut psql)
}

/// Removes a group after its last process has ended.
fn remove(group: &str) {
    let directory = Hierarchy::of_host().unwrap().directory(group);
    std::fs::remove_dir(directory).unwrap();
}

async fn sleeping_backend(postgres: &Postgres) -> u32 {
    until(
        "the other session to be served",
        Duration::from_secs(30),
        async || {
            let rows = postgres
                .admin()
                .query("SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'")
                .await;
            rows.first()
                .map(|row| u32::try_from(row.get::<_, i32>(0)).unwrap())
                .ok_or("not yet".to_owned())
        },
    )
    .await
}

#[tokio::test]
async fn helper_moves_exactly_our_backend() {
    let postgres = Postgres::private(PostgresOptions::default()).await;
    let proc = Proc::default();
    let postmaster = postgres.pid();
    let owner = proc.owner(postmaster).unwrap();
    let Some(helper) = Running::start(owner, |_| {}) else {
        return harness::skip("root");
    };
    let client = postgres.admin().connect().await;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
    let ours = u32::try_from(row.get::<_, i32>(0)).unwrap();

    let place = helper.backend(ours).expect("it is ours");
    assert_eq!(
        (place.path.as_str(), &place.level),
        (helper.group.as_str(), &Level::Idle)
    );
    assert!(is_in(&proc, &place, ours), "{}", proc.cgroup(ours).unwrap());
    assert_eq!(not_idle(&place), None);
    assert!(client.query_one("SELECT 1", &[]).await.is_ok(), "it still serves");
    // A repeated request changes nothing.
    helper.backend(ours).expect("it is still ours");
    assert!(is_in(&proc, &place, ours));

    let mut psql = other_session(&postgres);
    let theirs = sleeping_backend(&postgres).await;
    // For a process that shares no connection with the requester, the reply is always the same.
    for pid in [theirs, postmaster, psql.pid(), std::process::id(), 1, 0, u32::MAX] {
        let why = helper.backend(pid).expect_err("not ours");
        assert!(
            why.starts_with(&format!("process {pid} does not serve process")),
            "{why}"
        );
        assert!(why.contains("no TCP connection joins them"), "{pid}: {why}");
        assert!(!is_in(&proc, &place, pid), "{pid} was moved");
    }
    psql.kill9();

    // On a busy machine a member of the group hardly runs, and would take long to end.
    Hierarchy::of_host().unwrap().put("/", ours).unwrap();
    drop(client);
    until("our backend to end with its connection", TIMEOUT, async || {
        proc.stat(ours).is_err()
    })
    .await;
    assert!(helper.backend(ours).is_err());
    helper.end();
}

/// A separate process, so that the test itself is not moved into the idle class.
#[tokio::test]
async fn helper_moves_the_requester_itself() {
    let Some(helper) = Running::start(0, |_| {}) else {
        return harness::skip("root");
    };
    let script = r#"import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'{"ask":"own"}\n')
print(s.recv(4096).decode().strip(), flush=True); sys.stdout.flush()
print(open("/proc/self/cgroup").read(), flush=True)"#;
    let mut python = std::process::Command::new("python3");
    python.arg("-c").arg(script).arg(&helper.socket);
    let output = harness::run("python3", &mut python, TIMEOUT).await;
    assert!(
        output.stdout.contains(r#""answer":"done""#),
        "{}{}",
        output.stdout,
        output.stderr
    );
    assert!(
        output.stdout.contains(&format!(":{}\n", helper.group)),
        "{}",
        output.stdout
    );
    helper.end();
}

/// Trap: check the effect, not the setting. Two loops on one CPU, one of them in the group.
#[tokio::test]
async fn group_member_runs_only_when_the_cpu_is_free() {
    let group = own_group();
    let hierarchy = Hierarchy::of_host().expect("the CPU has control groups");
    let prepared = match Group::prepare(hierarchy, &group) {
        Ok(prepared) => prepared,
        Err(refused) => {
            assert!(!rustix::process::geteuid().is_root(), "{refused}");
            assert!(
                refused.to_string().contains("needs root or delegation"),
                "{refused}"
            );
            return harness::skip("root");
        }
    };
    let spin = |name| {
        let mut command = std::process::Command::new("taskset");
        command.args(["--cpu-list", "0", "sh", "-c", "while :; do :; done"]);
        harness::Process::spawn(name, &mut command)
    };
    let (mut behind, mut other) = (spin("behind"), spin("other"));
    prepared.put(behind.pid()).unwrap();
    let before = (ticks(behind.pid()), ticks(other.pid()));
    let used = until("the other loop to run", Duration::from_secs(60), async || {
        let used = ticks(other.pid()) - before.1;
        if used >= 50 {
            Ok(used)
        } else {
            Err(format!("{used} ticks"))
        }
    })
    .await;
    let got = ticks(behind.pid()) - before.0;
    assert!(got * 10 < used, "{got} ticks in the group, {used} outside");
    behind.kill9();
    other.kill9();
    remove(&group);
}

/// The CPU time of a process.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn helper_refuses_a_user_who_is_not_allowed() {
    let stranger = |table: &mut HelperTable| table.allow = vec![Account::Number(54_321)];
    let Some(helper) = Running::start(0, stranger) else {
        return harness::skip("root");
    };
    for request in [Request::Describe, Request::Own, Request::Backend { pid: 1 }] {
        let refused = helper.ask(request).expect_err("the user is not allowed");
        assert!(refused.contains("may not ask"), "{refused}");
    }
    assert!(
        !Proc::default()
            .cgroup(std::process::id())
            .unwrap()
            .contains(&helper.group)
    );
    helper.end();
}

#[tokio::test]
async fn helper_survives_garbage_slow_clients_and_a_crowd() {
    let Some(helper) = Running::start(0, |_| {}) else {
        return harness::skip("root");
    };
    for garbage in [
        &b"\n"[..],
        b"{}\n",
        b"\xff\xfe\0\n",
        b"{\"ask\":\"backend\",\"pid\":\"1\"}\n",
        &[b'x'; MAX_LINE_BYTES * 2],
    ] {
        let mut stream = UnixStream::connect(&helper.socket).unwrap();
        // It may close the connection in the middle of a line that is too long.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        if let Ok(reply) = LineReader::default().read::<Reply>(&stream) {
            assert!(matches!(reply, Some(Reply::Refused { .. })), "{reply:?}");
        }
    }
    // More silent clients than it serves at a time; those over the limit are refused at once.
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(UnixStream::connect(&helper.socket).unwrap());
    }
    until(
        "it to serve again with silent clients connected",
        Duration::from_secs(30),
        async || helper.ask(Request::Describe).is_ok(),
    )
    .await;
    drop(crowd);
    helper.end();
}

#[tokio::test]
async fn helper_socket_in_a_folder_of_others_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open_to_all).unwrap();
    let config = config(folder.path(), 0);
    match Helper::open(&config) {
        Err(HelperError::Socket { error, .. }) => {
            assert!(matches!(error, ListenError::Untrusted(_)), "{error}");
            assert!(error.to_string().contains("others may change it"), "{error}");
        }
        // The control group is tried first.
        Err(HelperError::Cgroup(CgroupError::PermissionDenied { .. }))
            if !rustix::process::geteuid().is_root() =>
        {
            return harness::skip("root");
        }
        other => panic!("{other:?}"),
    }
    remove(&config.idle_helper.cgroup);
}

#[tokio::test]
async fn helper_socket_is_for_its_group_and_one_helper() {
    let Some(helper) = Running::start(0, |_| {}) else {
        return harness::skip("root");
    };
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&helper.socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let mut again = config(Path::new("/"), 0);
    again.idle_helper.socket.clone_from(&helper.socket);
    let refused = Helper::open(&again).expect_err("one is there");
    assert!(
        refused.to_string().contains("another helper is listening"),
        "{refused}"
    );
    assert_eq!(refused.exit(), Exit::InUse);
    helper.end();

    let folder = tempfile::tempdir().unwrap();
    let taken = config(folder.path(), 0);
    std::fs::write(&taken.idle_helper.socket, "precious").unwrap();
    assert!(Helper::open(&taken).is_err());
    assert_eq!(
        std::fs::read_to_string(&taken.idle_helper.socket).unwrap(),
        "precious"
    );
    remove(&again.idle_helper.cgroup);
    remove(&taken.idle_helper.cgroup);
}

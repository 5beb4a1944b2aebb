//! Process ids reused by the real kernel, in a PID namespace of the test.
//!
//! There the next id can be chosen (`ns_last_pid`), so that a reuse, which takes an attacker a few seconds of forking,
//! happens each time. A test runs itself as process 1 of a new namespace; the outer process checks its result.

use std::cell::{Cell, RefCell};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use priority::cgroup::{CgroupError, Group, Hierarchy};
use priority::io_class::{IoClass, IoClassError};
use priority::process::Proc;

use super::Helper;
use super::config::{Account, HelperConfig, HelperTable};
use super::handle::ProcessHandle;
use super::host::{Host, RealHost};
use super::peer::PeerIdentification;
use super::relocate::{Target, relocate};

const INSIDE: &str = "SLACKTIDE_TEST_NAMESPACE";
/// A user that owns nothing here.
const AGENT: u32 = 54_321;
const OTHER_USER: u32 = 54_322;

/// Runs `inside` in a new PID namespace, with a control group name of its own.
fn in_namespace(test: &str, inside: impl FnOnce(&str)) {
    if let Ok(group) = std::env::var(INSIDE)
        && std::process::id() == 1
    {
        return inside(&group);
    }
    if !rustix::process::geteuid().is_root() {
        return harness::skip("root");
    }
    let ended = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"])
        .arg(std::env::current_exe().expect("a test knows its own path"))
        .args(["--exact", "--nocapture", &format!("reuse::{test}")])
        .env(INSIDE, format!("/slacktide-test-{test}-{}", std::process::id()))
        .output()
        .expect("unshare runs");
    let output = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && output.contains("1 passed"),
        "{}: {output}{errors}",
        ended.status
    );
}

/// Starts a process of the agent's user with this id; 0 for any.
fn sleeper(pid: u32) -> Child {
    if pid != 0 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("this namespace is ours");
    }
    let child = Command::new("sleep")
        .arg("600")
        .uid(AGENT)
        .spawn()
        .expect("sleep runs");
    assert!(pid == 0 || child.id() == pid, "{} got {pid}", child.id());
    child
}

fn end(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("reaped");
}

/// The real host, on which the target ends before one of the steps and its id is reused.
struct Interrupted {
    real: RealHost,
    steps: Cell<usize>,
    at: usize,
    target: RefCell<Option<Child>>,
    stranger: RefCell<Option<Child>>,
}

impl Interrupted {
    fn step(&self) {
        let now = self.steps.get();
        self.steps.set(now + 1);
        if now != self.at {
            return;
        }
        let target = self.target.borrow_mut().take().expect("it happens once");
        let pid = target.id();
        end(target);
        self.stranger.replace(Some(sleeper(pid)));
    }
}

impl Host for Interrupted {
    type Handle = ProcessHandle;

    fn open(&self, pid: u32) -> Option<ProcessHandle> {
        self.step();
        self.real.open(pid)
    }

    fn is_running(&self, handle: &ProcessHandle) -> bool {
        self.step();
        self.real.is_running(handle)
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        self.step();
        self.real.parent(pid)
    }

    fn group(&self, pid: u32) -> Option<String> {
        self.step();
        self.real.group(pid)
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        self.step();
        self.real.children(pid)
    }

    fn put(&self, group: &str, pid: u32) -> Result<(), CgroupError> {
        self.step();
        self.real.put(group, pid)
    }

    fn io_class(&self, pid: u32) -> Option<IoClass> {
        self.step();
        self.real.io_class(pid)
    }

    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), IoClassError> {
        self.step();
        self.real.set_io_class(class, pid)
    }
}

/// Trap: an id is reused between the check and the move.
#[test]
fn kernel_reused_id_at_any_step_moves_no_other_process() {
    in_namespace("kernel_reused_id_at_any_step_moves_no_other_process", |group| {
        let hierarchy = Hierarchy::of_host().expect("the CPU has control groups");
        let idle = Group::prepare(hierarchy.clone(), group).expect("root may do it");
        // The target is from another group than the reusing process, to distinguish them.
        let origin = format!("{group}-origin");
        fs::create_dir(hierarchy.directory(&origin)).expect("made");
        let mut at = 0;
        loop {
            let target = sleeper(0);
            let pid = target.id();
            let host = Interrupted {
                real: RealHost {
                    proc: Proc::default(),
                    hierarchy: hierarchy.clone(),
                },
                steps: Cell::new(0),
                at,
                target: RefCell::new(Some(target)),
                stranger: RefCell::new(None),
            };
            host.real.put(&origin, pid).expect("moved");
            let handle = ProcessHandle::open(pid).expect("it runs");
            let examine = || {
                host.step();
                let identity = host.real.proc.identity(pid);
                host.step();
                Ok(identity.map_err(|error| error.to_string())?)
            };
            let request = Target {
                pid,
                handle: &handle,
                requester: &handle,
            };
            let answer = relocate(&host, idle.path(), &request, examine);
            let Some(stranger) = host.stranger.take() else {
                // The move took fewer steps than this.
                assert!(answer.is_ok(), "{answer:?}");
                assert_eq!(host.real.group(pid).as_deref(), Some(idle.path()));
                end(host.target.take().expect("it runs"));
                break;
            };
            assert!(answer.is_err(), "at step {at}: {answer:?}");
            let home = host.real.group(1);
            assert_eq!(host.real.group(pid), home, "at step {at}: {answer:?}");
            assert_ne!(
                host.real.io_class(pid),
                Some(IoClass::IDLE),
                "at step {at}: {answer:?}"
            );
            end(stranger);
            at += 1;
        }
        assert!(at > 8, "{at} steps");
        for path in [idle.path(), &origin] {
            fs::remove_dir(hierarchy.directory(path)).expect("its members ended");
        }
    });
}

/// The requester connects, leaves the connection to a child and ends; its id is reused.
const ATTACK: &str = r#"
import os, socket, sys
path, agent, stranger, when = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def become(uid):
    os.setgroups([]); os.setgid(uid); os.setuid(uid)

connected, leave, ask, answered, hold = (os.pipe() for _ in range(5))
requester = os.fork()
if requester == 0:
    become(agent)
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    if os.fork() == 0:
        os.read(ask[0], 1)
        try:
            s.sendall(b'{"ask":"own"}\n')
        except OSError:
            pass
        os.write(answered[1], s.recv(4096) or b"closed")
        os._exit(0)
    os.write(connected[1], b".")
    os.read(leave[0], 1)
    os._exit(0)
os.read(connected[0], 1)
if when == "accepted":
    # Connections are accepted in their order, and root is refused at once: then the first was accepted.
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    assert b"may not ask" in s.recv(4096)
os.write(leave[1], b".")
os.waitpid(requester, 0)
open("/proc/sys/kernel/ns_last_pid", "w").write(str(requester - 1))
pid = os.fork()
if pid == 0:
    become(stranger)
    os.write(connected[1], b".")
    os.read(hold[0], 1)
    os._exit(0)
assert pid == requester, (pid, requester)
os.read(connected[0], 1)
print("reused", flush=True)
os.write(ask[1], b".")
print(os.read(answered[0], 4096).decode().strip(), flush=True)
print(open(f"/proc/{pid}/cgroup").read().replace("\n", " "), flush=True)
os.write(hold[1], b".")
os.waitpid(pid, 0)
"#;

fn helper(folder: &std::path::Path, group: &str, peer_identification: PeerIdentification) -> Helper {
    let mut helper = Helper::open(&HelperConfig {
        idle_helper: HelperTable {
            socket: folder.join("idle.sock"),
            group: Some(Account::Number(AGENT)),
            allow: vec![Account::Number(AGENT)],
            owner: Account::Number(0),
            executables: Vec::new(),
            cgroup: group.to_owned(),
        },
    })
    .expect("root may do it");
    helper.peer_identification = peer_identification;
    // No request times out on a slow machine.
    helper.limits.within = std::time::Duration::from_secs(3600);
    helper
}

fn python(script: &str, arguments: &[&str]) -> Child {
    Command::new("python3")
        .args(["-c", script])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs")
}

fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("set");
    folder
}

#[test]
fn requester_whose_id_was_reused_is_refused() {
    in_namespace("requester_whose_id_was_reused_is_refused", |group| {
        let (agent, other) = (AGENT.to_string(), OTHER_USER.to_string());
        for peer_identification in [PeerIdentification::ByHandle, PeerIdentification::ByPid] {
            // Of another user, and of the same, where only the proof of the peer distinguishes them.
            for stranger in [&other, &agent] {
                for when in ["waiting", "accepted"] {
                    if peer_identification == PeerIdentification::ByHandle
                        && PeerIdentification::of_host().expect("handles") != peer_identification
                    {
                        continue;
                    }
                    let case = format!("{peer_identification:?}, {when}, user {stranger}");
                    let folder = open_folder();
                    let helper = helper(folder.path(), group, peer_identification);
                    let socket = folder.path().join("idle.sock").display().to_string();
                    let (stop, wait) = UnixStream::pair().expect("a pair");
                    let mut helper = Some((helper, wait));
                    let mut serve = || {
                        helper
                            .take()
                            .map(|(helper, wait)| std::thread::spawn(move || helper.serve(wait)))
                    };
                    let mut serving = if when == "accepted" { serve() } else { None };
                    let mut script = python(ATTACK, &[&socket, &agent, stranger, when]);
                    let mut lines = BufReader::new(script.stdout.take().expect("piped")).lines();
                    let mut line = || lines.next().expect("a line").expect("text");
                    assert_eq!(line(), "reused", "{case}");
                    serving = serving.or_else(serve);
                    let answer = line();
                    let groups = line();
                    assert!(answer.contains(r#""answer":"refused""#), "{case}: {answer}");
                    assert!(!groups.contains(group), "{case}: {groups}");
                    assert!(script.wait().expect("it ends").success(), "{case}");
                    drop(stop);
                    serving.expect("it serves").join().expect("it ends");
                }
            }
        }
        let hierarchy = Hierarchy::of_host().expect("the CPU has control groups");
        fs::remove_dir(hierarchy.directory(group)).expect("nothing is in it");
    });
}

/// On a kernel without peer handles, a process that has just started must retry, and is then moved.
#[test]
fn requester_on_an_older_kernel_is_moved_by_a_retry() {
    const ASK: &str = r#"
import os, socket, sys, time
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
for n in range(50):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(b'{"ask":"own"}\n')
    answer = s.recv(4096).decode().strip()
    print(answer, flush=True)
    if "done" in answer:
        break
    time.sleep(0.02)
"#;
    in_namespace("requester_on_an_older_kernel_is_moved_by_a_retry", |group| {
        let folder = open_folder();
        let helper = helper(folder.path(), group, PeerIdentification::ByPid);
        let (stop, wait) = UnixStream::pair().expect("a pair");
        let serving = std::thread::spawn(move || helper.serve(wait));
        let socket = folder.path().join("idle.sock").display().to_string();
        let ended = python(ASK, &[&socket, &AGENT.to_string()])
            .wait_with_output()
            .expect("it ends");
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        let lines: Vec<&str> = output.lines().collect();
        assert!(lines[0].contains("ask again"), "{output}");
        assert!(lines.last().expect("lines").contains("done"), "{output}");
        drop(stop);
        serving.join().expect("it ends");
        let hierarchy = Hierarchy::of_host().expect("the CPU has control groups");
        fs::remove_dir(hierarchy.directory(group)).expect("its member ended");
    });
}

//! Start, restart after a kill, stop, wrong configuration.

use std::fs;

use harness::{http_get, run, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::Machine;
use crate::pipeline::site::DEADLINE;

/// Prints the status of a request with a token.
const PING: &str = "import sys, urllib.request as r
print(r.urlopen(r.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})).status)";

/// Returns the process id of the child with this name, of a process.
fn child(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok();
    // Threads of the runtime start it: all tasks are searched.
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let all: Vec<String> = children.into_iter().chain(lists).collect();
    all.iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| pid.parse().ok())
        .find(|pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
        })
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

#[tokio::test]
async fn front_restarts_a_killed_server_and_stops_in_order() {
    let machine = Machine::create("127.0.0.1").await;
    let token = machine.token().await;
    let mut front = machine.start();
    machine.apply().await;
    machine.wait_page(&front, "healthz", 200).await;

    let server = child(front.pid(), "nats-server").expect("nats-server is its child");
    kill(pid(server), Signal::SIGKILL).unwrap();
    until("another server", DEADLINE, async || {
        match child(front.pid(), "nats-server") {
            Some(other) if other != server => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
    let status = machine.wait_page(&front, "healthz", 200).await;
    assert_eq!(status["server"]["failures"], 1, "{status}");
    assert_eq!(status["server"]["last_end"], "by signal 9", "{status}");
    let metrics = http_get(&format!("http://127.0.0.1:{}/metrics", machine.health)).await;
    let metrics = metrics.unwrap().body;
    let page = std::fs::read_to_string(harness::workspace().join("docs/metrics.md")).unwrap();
    for line in [
        "slacktide_front_server_up 1",
        "slacktide_front_server_failures_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
        let name = line.split(" ").next().unwrap();
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{name} is not on the page"
        );
    }
    let url = format!("http://127.0.0.1:{}/v1/ping", machine.gateway);
    until("the gateway to answer a ping again", DEADLINE, async || {
        let mut command = std::process::Command::new("python3");
        command.args(["-c", PING, &url, &token]);
        let ping = run("ping", &mut command, DEADLINE).await;
        if ping.stdout.trim() == "200" {
            Ok(())
        } else {
            Err(format!("{}{}", ping.stdout, ping.stderr))
        }
    })
    .await;

    let server = child(front.pid(), "nats-server").expect("nats-server is its child");
    front.sigterm();
    let ended = front.wait_exit(DEADLINE).await;
    let log = front.stderr();
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(!is_running(server), "the server outlived the front:\n{log}");
    let position = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in:\n{log}"));
    assert!(position("nats-server stopped") > position("stopping"));
    assert!(
        log.contains("nats_server"),
        "the server's log is part of it:\n{log}"
    );
}

#[tokio::test]
async fn front_second_signal_kills_the_server_and_ends() {
    let machine = Machine::create("127.0.0.1").await;
    machine.token().await;
    let mut front = machine.start();
    machine.apply().await;
    machine.wait_page(&front, "healthz", 200).await;
    let server = child(front.pid(), "nats-server").expect("nats-server is its child");
    // A suspended server cannot end on SIGTERM.
    kill(pid(server), Signal::SIGSTOP).unwrap();
    front.sigterm();
    until("the order to stop", DEADLINE, async || {
        let log = front.stderr();
        log.contains("stopping").then_some(()).ok_or(log)
    })
    .await;
    front.sigterm();
    let ended = front.wait_exit(DEADLINE).await;
    assert_eq!(ended.code(), Some(9), "{}", front.stderr());
    assert!(!is_running(server), "{}", front.stderr());
}

#[tokio::test]
async fn front_wrong_server_configuration_ends_with_its_words() {
    let machine = Machine::create("127.0.0.1").await;
    machine.token().await;
    let config = machine.read("exchange/server.conf");
    machine.write(
        "exchange/server.conf",
        &config.replace("jetstream {", "jetstream { no_such_key: 1"),
    );
    let done = run(
        "front",
        &mut machine.command(&["front", "run", "--config", "front.toml"]),
        DEADLINE,
    )
    .await;
    assert_eq!(done.status.code(), Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("right after its start"), "{}", done.stderr);
    assert!(done.stderr.contains("no_such_key"), "{}", done.stderr);

    let check = machine
        .run_ok(&["front", "check", "--config", "front.toml"])
        .await;
    assert!(check.contains("ready"), "{check}");
    machine.write("exchange/server.env", "SECRET-TEXT\n");
    let words = ["front", "check", "--config", "front.toml"];
    let refused = run("front check", &mut machine.command(&words), DEADLINE).await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("line 1"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("SECRET-TEXT"), "{}", refused.stderr);
    let gateway = ["gateway", "run", "--config", "front.toml"];
    let refused = run("gateway run", &mut machine.command(&gateway), DEADLINE).await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("slacktide front run"),
        "{}",
        refused.stderr
    );
}

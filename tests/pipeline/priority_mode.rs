//! The idle helper with the real binary: the agent's backend is in the idle cgroup, checked in `/proc`.
//!
//! Without root or delegation the helper refuses to start, and the agent shows that it runs without it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use harness::{Postgres, Process, idle_helper, until};
use priority::cgroup::Hierarchy;
use serde_json::Value;

use super::site::{DEADLINE, Site, with_long_lease};

/// Open without samples: on a busy machine the idle class gets no processor in time, as intended.
const GATE: &str = "mode = \"open\"\n[priority]\nown = true\nhelper = \"idle.sock\"";

fn is_helper_missing(why: &Value) -> bool {
    why.as_str().is_some_and(|why| why.contains("does not answer"))
}

async fn helper(site: &Site, group: &str) -> Process {
    let owner = fs::metadata(format!("/proc/{}", Postgres::shared().await.pid()))
        .unwrap()
        .uid();
    let me = nix::unistd::getuid();
    let file = site.file("helper.toml");
    let socket = site.file("idle.sock");
    let text = format!(
        "[idle_helper]\nsocket = {socket:?}\nallow = [{me}]\nowner = {owner}\ncgroup = \"{group}\"\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = idle_helper();
    command.arg("--config").arg(file);
    Process::spawn("helper", &mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_mode_is_kernel_while_the_backend_is_in_the_group() {
    let site = Site::start("kernel", 50, GATE).await;
    let group = format!("/slacktide-test-flow-{}", std::process::id());
    let mut helper_process = helper(&site, &group).await;
    if !nix::unistd::geteuid().is_root() {
        let status = helper_process.wait_exit(DEADLINE).await;
        assert_eq!(status.code(), Some(3), "{}", helper_process.stderr());
        assert!(
            helper_process.stderr().contains("needs root or delegation"),
            "{}",
            helper_process.stderr()
        );
        let social = site.social_with("social", with_long_lease);
        social
            .wait_status("the missing helper", "/gate/priority_mode/why", is_helper_missing)
            .await;
        social.stop().await;
        return harness::skip("root");
    }
    let socket = site.file("idle.sock");
    let listens = async || socket.exists();
    helper_process
        .until("the helper to listen", DEADLINE, listens)
        .await;
    let social = site.social_with("social", with_long_lease);
    let kernel = async || {
        social
            .wait_status_by_cpu_time("the kernel mode", "/gate/priority_mode/mode", |mode| {
                mode == "kernel_idle"
            })
            .await;
    };
    kernel().await;
    let serving = format!(
        "SELECT pid FROM pg_stat_activity WHERE usename = '{}'",
        site.reader
    );
    let backends: Vec<i32> = site
        .core
        .query(&serving)
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(!backends.is_empty());
    let agent = i32::try_from(social.process.pid()).unwrap();
    for pid in backends.iter().chain([&agent]) {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(groups.contains(&format!(":{group}\n")), "{pid}: {groups}");
    }
    let postmaster = Postgres::shared().await.pid();
    let groups = fs::read_to_string(format!("/proc/{postmaster}/cgroup")).unwrap();
    assert!(!groups.contains(&group), "{groups}");
    let log = helper_process.stderr();
    assert!(log.contains("process moved into the idle group"), "{log}");
    assert!(log.contains(&backends[0].to_string()), "{log}");

    // No helper for the next backend.
    helper_process.sigterm();
    assert!(
        helper_process.wait_exit(DEADLINE).await.success(),
        "{}",
        helper_process.stderr()
    );
    site.core
        .query(&format!("SELECT pg_terminate_backend(pid) FROM ({serving}) s"))
        .await;
    social
        .wait_status_by_cpu_time("the missing helper", "/gate/priority_mode/why", is_helper_missing)
        .await;
    let mut helper_process = helper(&site, &group).await;
    helper_process
        .until("the helper to listen", DEADLINE, listens)
        .await;
    kernel().await;

    social.stop().await;
    helper_process.sigterm();
    assert!(helper_process.wait_exit(DEADLINE).await.success());
    let directory = Hierarchy::of_host().unwrap().directory(&group);
    until("the group to be empty", DEADLINE, async || {
        fs::remove_dir(&directory).map_err(|error| error.to_string())
    })
    .await;
}

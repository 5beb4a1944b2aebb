//! The kernel's help with the real binary: the agent's backend in the idle class, seen in `/proc`.
//!
//! Without the right to, the helper refuses to start and the agent says that it goes without.

use std::fs;
use std::os::unix::fs::MetadataExt;

use harness::{Postgres, Process, slacktide, until};
use priority::cgroup::Hierarchy;
use serde_json::Value;

use super::site::{PATIENCE, Site, with_long_lease};

/// Open without a sample: in the idle class nothing comes in time on a machine that is busy with other work, and that is
/// the point of it.
const GATE: &str = "mode = \"open\"\n[priority]\nown = true\nhelper = \"idle.sock\"";

fn goes_without(why: &Value) -> bool {
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
    let mut command = slacktide();
    command.args(["idle-helper", "run", "--config"]).arg(file);
    Process::spawn("helper", &mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_regime_is_the_kernels_while_our_backend_is_seen_in_the_idle_group() {
    let site = Site::start("kernel", 50, GATE).await;
    let group = format!("/slacktide-test-flow-{}", std::process::id());
    let mut helping = helper(&site, &group).await;
    if !nix::unistd::geteuid().is_root() {
        let status = helping.wait_exit(PATIENCE).await;
        assert_eq!(status.code(), Some(3), "{}", helping.stderr());
        assert!(
            helping.stderr().contains("needs root or delegation"),
            "{}",
            helping.stderr()
        );
        let social = site.social_with("social", with_long_lease);
        social
            .shows("that it goes without", "/gate/regime/why", goes_without)
            .await;
        social.stop().await;
        return harness::skip("root");
    }
    let socket = site.file("idle.sock");
    let listens = async || socket.exists();
    helping.until("it to listen", PATIENCE, listens).await;
    let social = site.social_with("social", with_long_lease);
    let kernel = async || {
        social
            .shows_in_its_own_time("the kernel's help", "/gate/regime/regime", |regime| {
                regime == "kernel"
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
    let log = helping.stderr();
    assert!(log.contains("moved a process into the idle group"), "{log}");
    assert!(log.contains(&backends[0].to_string()), "{log}");

    // Nobody to ask for the next backend.
    helping.sigterm();
    assert!(
        helping.wait_exit(PATIENCE).await.success(),
        "{}",
        helping.stderr()
    );
    site.core
        .query(&format!("SELECT pg_terminate_backend(pid) FROM ({serving}) s"))
        .await;
    social
        .shows_in_its_own_time("that it goes without", "/gate/regime/why", goes_without)
        .await;
    let mut helping = helper(&site, &group).await;
    helping.until("it to listen", PATIENCE, listens).await;
    kernel().await;

    social.stop().await;
    helping.sigterm();
    assert!(helping.wait_exit(PATIENCE).await.success());
    let directory = Hierarchy::of_host().unwrap().directory(&group);
    until("the group to be empty", PATIENCE, async || {
        fs::remove_dir(&directory).map_err(|error| error.to_string())
    })
    .await;
}

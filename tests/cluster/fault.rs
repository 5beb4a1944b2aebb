//! Faults of the servers of a cluster.

use std::fs;
use std::time::Duration;

use harness::{NatsCluster, until};
use nats::topology::{self, Admin};

/// Deadline of an election and of a copy: machines are small and shared.
const DEADLINE: Duration = Duration::from_secs(120);

/// A fault of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is killed with SIGKILL.
    Kill,
    /// It is suspended with SIGSTOP: its connections stay open and nothing answers.
    Freeze,
    /// Its routes are cut. Its clients stay connected, and it answers reads from its own copy.
    CutOff,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Freeze, Self::CutOff];

    pub(super) fn begin(self, cluster: &mut NatsCluster, index: usize) {
        match self {
            Self::Kill => cluster.server_mut(index).kill9(),
            Self::Freeze => cluster.server(index).suspend(),
            Self::CutOff => cluster.cut_off(index),
        }
    }

    pub(super) async fn end(self, cluster: &mut NatsCluster, index: usize) {
        match self {
            Self::Kill => cluster.server_mut(index).restart().await,
            Self::Freeze => cluster.server(index).resume(),
            Self::CutOff => cluster.reconnect(index),
        }
    }
}

/// Waits until every copy of every stream is current.
pub(super) async fn wait_until_current(admin: &Admin) {
    until("every copy of every stream to be current", DEADLINE, async || {
        let status = topology::status(admin).await.map_err(|error| error.to_string())?;
        let is_behind = |stream: &&topology::status::StreamStatus| {
            let current = stream
                .replicas
                .iter()
                .filter(|one| one.is_current && !one.is_offline);
            stream.leader.is_none() || current.count() != 2
        };
        match status.streams.iter().find(is_behind) {
            None => Ok(()),
            Some(stream) => Err(format!(
                "{}: {:?} {:?}",
                stream.name, stream.leader, stream.replicas
            )),
        }
    })
    .await;
}

/// Returns the index of the server that leads a stream.
pub(super) async fn leader_of(admin: &Admin, cluster: &NatsCluster, stream: &str) -> usize {
    let leader = until("a leader", DEADLINE, async || {
        let status = topology::status(admin).await.ok()?;
        let stream = status.streams.into_iter().find(|one| one.name == stream)?;
        stream.leader
    })
    .await;
    cluster.index_of(&leader)
}

/// Loses the disk of a server, and starts it with an empty one.
pub(super) async fn lose_disk(cluster: &mut NatsCluster, index: usize) {
    let server = cluster.server_mut(index);
    server.kill9();
    fs::remove_dir_all(server.store()).expect("the store can be removed");
    server.restart().await;
}

/// Restarts one server after the other, each when the one before has everything again: an upgrade.
pub(super) async fn restart_one_by_one(admin: &Admin, cluster: &mut NatsCluster) {
    for index in 0..3 {
        let server = cluster.server_mut(index);
        server.stop().await;
        server.restart().await;
        wait_until_current(admin).await;
    }
}

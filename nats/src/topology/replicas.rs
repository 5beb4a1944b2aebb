//! The copies of the streams: one on a stand-alone server, three in a cluster.
//!
//! Adding a `cluster` section to a stand-alone server deletes its streams 30 s after its start: the cluster does not know them. So
//! a plan is refused where that is about to happen, and where the files ask a stand-alone server for more than one copy.

use std::time::Duration;

use exchange::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::admin::Admin;
use super::spec::Topology;
use crate::stream_state::{copies, number};

/// The copies of a stream in a cluster: one server may be lost.
const IN_A_CLUSTER: u8 = 3;

/// How long a new copy may take until it has everything.
const COPIED_WITHIN: Duration = Duration::from_secs(600);

/// Delay between two checks of a new copy.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Returns the topology with the number of copies of each stream, for the exchange that is connected.
///
/// # Errors
/// `Topology` where the files, or the state of the servers, would lose the streams. Those of the exchange's operations.
pub(super) async fn resolve(admin: &Admin, topology: &Topology) -> Result<Topology> {
    let is_cluster = admin.is_cluster();
    if is_cluster {
        refuse_orphans(&admin.api("INFO", &Value::Null).await?)?;
    }
    with_copies(topology, is_cluster)
}

/// PURE: the number of copies where the files leave it open.
fn with_copies(topology: &Topology, is_cluster: bool) -> Result<Topology> {
    let mut resolved = topology.clone();
    for stream in &mut resolved.streams {
        let copies = *stream
            .num_replicas
            .get_or_insert(if is_cluster { IN_A_CLUSTER } else { 1 });
        if copies > 1 && !is_cluster {
            let text = format!(
                "stream {} is to have {copies} copies (num_replicas), but the exchange is a stand-alone server; nothing was \
                 changed. Do not add a cluster section to its server.conf: it would delete its streams 30 s after its start. \
                 Remove num_replicas from the file, or move to a new cluster as docs/cluster.md describes",
                stream.name
            );
            return Err(Error::new(ErrorKind::Topology, text));
        }
    }
    Ok(resolved)
}

/// PURE: refuses a cluster that knows no stream while its servers keep bytes of some. `info` is the server's account of the account
/// of the streams.
fn refuse_orphans(info: &Map<String, Value>) -> Result<()> {
    let (streams, bytes) = (number(info, "streams"), number(info, "storage"));
    if streams > 0 || bytes == 0 {
        return Ok(());
    }
    let text = format!(
        "a server of this cluster keeps {bytes} bytes of streams that the cluster does not know: it ran stand-alone before, and \
         deletes them 30 s after its start; nothing was changed. Stop that server at once, remove the cluster section from its \
         server.conf and start it again: its streams are then as before. Move them to a new cluster as docs/cluster.md \
         describes"
    );
    Err(Error::new(ErrorKind::Topology, text))
}

/// Waits until every copy of a stream has everything, and until each of its consumers has a leader and as many copies.
///
/// # Errors
/// `NoLeader` if that takes too long. Those of the exchange's operations.
pub(super) async fn wait_until_current(admin: &Admin, stream: &str, wanted: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let missing = missing_copies(admin, stream, wanted).await?;
        let Some(missing) = missing else { return Ok(()) };
        if begun.elapsed() >= COPIED_WITHIN {
            let text = format!(
                "{missing} after {} s; the streams after it were not changed",
                COPIED_WITHIN.as_secs()
            );
            return Err(Error::new(ErrorKind::NoLeader, text));
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

/// Describes what is not copied yet; `None` if everything is.
async fn missing_copies(admin: &Admin, stream: &str, wanted: u64) -> Result<Option<String>> {
    let info = admin.api(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
    if !has_copies(&info, wanted) {
        return Ok(Some(format!(
            "stream {stream} does not have {wanted} current copies"
        )));
    }
    let consumers = admin.consumers(stream).await?;
    let without = consumers.iter().find(|consumer| !has_copies(consumer, wanted));
    Ok(without.map(|consumer| {
        let name = consumer.get("name").and_then(Value::as_str).unwrap_or_default();
        format!("consumer {name} of {stream} does not have {wanted} current copies")
    }))
}

/// PURE: whether a stream or consumer has a leader and all of its copies are current.
fn has_copies(info: &Map<String, Value>, wanted: u64) -> bool {
    let (leader, replicas) = copies(info.get("cluster"));
    let current = replicas.iter().filter(|one| one.is_current && !one.is_offline);
    wanted <= 1 || (leader.is_some() && current.count() as u64 + 1 >= wanted)
}

/// Returns the number of copies of a changed stream, if the change is one of copies.
pub(super) fn changed_copies(change: &super::diff::Change) -> Option<u64> {
    let field = change.fields.iter().find(|field| field.name == "num_replicas")?;
    field.to.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::admin::object;
    use crate::topology::embedded;
    use serde_json::json;

    #[test]
    fn replicas_of_a_cluster_are_three_and_of_one_server_one() {
        let shipped = embedded(&["insurer-a".parse().unwrap()]).unwrap();
        for (is_cluster, copies) in [(false, 1), (true, 3)] {
            let resolved = with_copies(&shipped, is_cluster).unwrap();
            assert!(
                resolved
                    .streams
                    .iter()
                    .all(|stream| stream.num_replicas == Some(copies))
            );
        }
    }

    #[test]
    fn replicas_asked_of_one_server_are_refused_with_reason() {
        let mut files = embedded(&["insurer-a".parse().unwrap()]).unwrap();
        files.streams[0].num_replicas = Some(3);
        let error = with_copies(&files, false).unwrap_err().to_string();
        for part in [
            "would delete its streams",
            "docs/cluster.md",
            &files.streams[0].name,
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(
            with_copies(&files, true).unwrap().streams[0].num_replicas,
            Some(3)
        );
    }

    #[test]
    fn replicas_streams_unknown_to_the_cluster_are_refused() {
        let info = |streams: u64, storage: u64| object(Some(json!({"streams": streams, "storage": storage})));
        assert!(refuse_orphans(&info(0, 0)).is_ok(), "a new cluster");
        assert!(refuse_orphans(&info(9, 175)).is_ok());
        let error = refuse_orphans(&info(0, 175)).unwrap_err().to_string();
        assert!(
            error.contains("175 bytes") && error.contains("Stop that server at once"),
            "{error}"
        );
    }

    #[test]
    fn replicas_are_complete_when_all_are_current() {
        let info = |current: bool, offline: bool| {
            object(Some(json!({"cluster": {"leader": "n1", "replicas": [
                {"name": "n2", "current": true, "active": 1},
                {"name": "n3", "current": current, "offline": offline, "active": 1}]}})))
        };
        assert!(has_copies(&info(true, false), 3));
        assert!(!has_copies(&info(false, false), 3));
        assert!(!has_copies(&info(true, true), 3));
        assert!(!has_copies(&object(None), 3), "a consumer without a group");
        assert!(has_copies(&object(None), 1));
    }
}

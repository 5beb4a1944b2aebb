//! The state of a stream, as its leader reports it.

use bytes::Bytes;
use exchange::Result;
use exchange::port::Stream;
use exchange::stream_state::{Replica, StreamState};
use schemas::name::PartyName;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::refusal::Refusal;
use crate::streams::{self, own};
use crate::wire::{Wire, read};

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    state: State,
    #[serde(default)]
    config: Config,
    cluster: Option<Cluster>,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
struct State {
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    first_seq: u64,
    #[serde(default)]
    last_seq: u64,
    #[serde(default)]
    first_ts: String,
    #[serde(default)]
    last_ts: String,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    max_bytes: i64,
}

#[derive(Debug, Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
    /// Nanoseconds since the leader heard from it.
    #[serde(default)]
    active: u64,
}

impl Wire {
    /// Returns the state of the stream of a party.
    pub(crate) async fn state_of(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        self.state_of_named(&own(streams::kind(stream), party)).await
    }

    /// Returns the state of the stream of this name.
    pub(crate) async fn state_of_named(&self, name: &str) -> Result<StreamState> {
        let question = self.api(&format!("STREAM.INFO.{name}"));
        let info: Info = read(&question, &self.ask(&question, None, Bytes::new()).await?)?;
        match info.error {
            Some(refusal) => Err(refusal.error(&question)),
            None => Ok(state(name, info)),
        }
    }
}

/// PURE: the state in an answer without an error.
fn state(name: &str, info: Info) -> StreamState {
    let Info {
        state,
        config,
        cluster,
        ..
    } = info;
    // An empty stream has the time of the year 1.
    let time = |text: &str| text.parse().ok().filter(|_| state.messages > 0);
    let (leader, replicas) = cluster.map_or((None, Vec::new()), Cluster::copies);
    StreamState {
        name: name.to_owned(),
        messages: state.messages,
        bytes: state.bytes,
        max_bytes: u64::try_from(config.max_bytes).ok().filter(|limit| *limit > 0),
        first_sequence: state.first_seq,
        last_sequence: state.last_seq,
        first_stored_at: time(&state.first_ts),
        last_stored_at: time(&state.last_ts),
        leader,
        replicas,
    }
}

impl Cluster {
    /// Returns the leader and the other copies. A stand-alone server reports itself as leader of one copy.
    fn copies(self) -> (Option<String>, Vec<Replica>) {
        let replicas: Vec<Replica> = self.replicas.into_iter().map(replica).collect();
        let leader = self
            .leader
            .filter(|name| !name.is_empty() && !replicas.is_empty());
        (leader, replicas)
    }
}

/// PURE: the leader and the other copies in the `cluster` of a stream or consumer.
pub(crate) fn copies(cluster: Option<&Value>) -> (Option<String>, Vec<Replica>) {
    let cluster = cluster.and_then(|cluster| Cluster::deserialize(cluster).ok());
    cluster.map_or((None, Vec::new()), Cluster::copies)
}

/// PURE: a number of an answer; 0 if it is missing.
pub(crate) fn number(answer: &Map<String, Value>, key: &str) -> u64 {
    answer.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn replica(peer: Peer) -> Replica {
    Replica {
        server: peer.name,
        is_current: peer.current,
        is_offline: peer.offline,
        lag: peer.lag,
        active_ms: peer.active / 1_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_state_of_a_cluster_lists_the_other_copies() {
        let info = serde_json::from_str(
            r#"{"config":{"max_bytes":1000},
                "state":{"messages":2,"bytes":30,"first_seq":4,"last_seq":5,
                         "first_ts":"2026-01-31T08:00:00Z","last_ts":"2026-01-31T09:00:00Z"},
                "cluster":{"name":"c","leader":"n1","replicas":[
                    {"name":"n2","current":true,"active":2000000},
                    {"name":"n3","current":false,"offline":true,"active":9000000,"lag":7}]}}"#,
        )
        .unwrap();
        let state = state("DATA_insurer-a", info);
        assert_eq!(
            (state.max_bytes, state.first_sequence, state.leader.as_deref()),
            (Some(1_000), 4, Some("n1"))
        );
        assert_eq!(state.fullness().map(|fullness| fullness.percent()), Some(3));
        let lags: Vec<(bool, bool, u64, u64)> = state
            .replicas
            .iter()
            .map(|one| (one.is_current, one.is_offline, one.lag, one.active_ms))
            .collect();
        assert_eq!(lags, [(true, false, 0, 2), (false, true, 7, 9)]);
    }

    #[test]
    fn stream_state_of_one_server_has_no_leader_and_no_times() {
        let info = serde_json::from_str(
            r#"{"config":{"max_bytes":-1},"state":{"messages":0,"first_ts":"0001-01-01T00:00:00Z"},
                "cluster":{"leader":"NDX"}}"#,
        )
        .unwrap();
        let state = state("AUDIT_bureau", info);
        assert_eq!((state.max_bytes, state.leader), (None, None));
        assert_eq!(state.first_stored_at, None);
    }
}

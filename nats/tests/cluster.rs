//! Three servers: replicas that lag, leaders that are gone or replaced, and the copies of the streams. `make test-cluster` runs these
//! tests; a run of all tests reports them as skipped, since three servers that sync each message use a small machine whole.
#![allow(clippy::print_stderr, reason = "tests print what they found with --nocapture")]

use std::time::Duration;

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, ErrorKind, FeedExchange, Published, Settlement};
use harness::{NatsCluster, until};
use nats::topology::{self, Admin, Topology, status::StreamStatus};
use nats::{JetStream, Options};
use schemas::name::Lane;
use tokio::time::Instant;

use crate::exchange_server::{ExchangeServer, recipients};

/// Deadline of every wait: elections on a busy machine take a while.
const DEADLINE: Duration = Duration::from_secs(90);

/// How long a connection waits for an answer, as agents do.
const TIMEOUT: Duration = Duration::from_secs(10);

type Cluster = ExchangeServer<NatsCluster>;

/// Returns whether these tests are to run. Reports the calling one as skipped if not.
fn is_wanted() -> bool {
    harness::is_wanted("SLACKTIDE_TEST_CLUSTER", "make test-cluster")
}

fn lane() -> Lane {
    Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: "claims".parse().unwrap(),
    }
}

fn bytes(number: u64) -> Bytes {
    format!("chunk {number}").into()
}

async fn connect(options: Options) -> JetStream {
    JetStream::connect(Options {
        timeout: TIMEOUT,
        connect_timeout: TIMEOUT,
        wait: true,
        ..options
    })
    .await
    .unwrap()
}

async fn data_stream(cluster: &Cluster) -> StreamStatus {
    let status = topology::status(&cluster.admin().await).await.unwrap();
    status
        .streams
        .into_iter()
        .find(|stream| stream.name == "DATA_insurer-a")
        .expect("the stream of the lane")
}

/// Publishes until it is decided that the message is stored: after any doubt it reads back up to the leader's sequence. Returns its
/// sequence.
async fn publish_until_stored(exchange: &JetStream, body: &Bytes, mut expected: u64) -> u64 {
    until("a chunk to be stored", DEADLINE, async || {
        match exchange.publish_chunk(&lane(), body.clone(), expected).await {
            Ok(Published::Done { sequence }) => return Ok(sequence),
            Ok(Published::Conflict) => {}
            Err(error) if error.kind.is_transient() => {}
            Err(error) => panic!("{error}"),
        }
        let leader = exchange
            .leader_sequence(&lane())
            .await
            .map_err(|error| error.to_string())?;
        let all = messages(exchange).await?;
        let read = all.last().map_or(0, |(sequence, _)| *sequence);
        if read != leader {
            return Err(format!("the leader is at {leader}, the replica at {read}"));
        }
        expected = leader;
        let own = all.into_iter().find(|(_, stored)| stored == body);
        own.map(|(sequence, _)| sequence)
            .ok_or_else(|| "it is not stored".to_owned())
    })
    .await
}

/// The messages of the lane, as some replica has them.
async fn messages(exchange: &JetStream) -> Result<Vec<(u64, Bytes)>, String> {
    let read = exchange
        .read(
            Stream::Data,
            ReadFrom::Sequence(0),
            "data.insurer-a.claims",
            1_000,
        )
        .await;
    let read = read.map_err(|error| error.to_string())?;
    Ok(read
        .into_iter()
        .map(|stored| (stored.sequence, stored.bytes))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_streams_get_three_copies_and_a_leader() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::bare_cluster().await;
    // One copy each, as before a stand-alone exchange was moved here.
    let one = |topology: &mut Topology| {
        topology.streams.retain(|stream| stream.name.starts_with("DATA_"));
        topology
            .consumers
            .retain(|consumer| consumer.stream.starts_with("DATA_"));
        topology
            .streams
            .iter_mut()
            .for_each(|stream| stream.num_replicas = Some(1));
    };
    cluster.apply(one).await;
    assert!(data_stream(&cluster).await.replicas.is_empty());
    let admin = cluster.admin().await;
    let shipped = topology::embedded(&recipients()).unwrap();
    let plan = topology::plan(&admin, &shipped).await.unwrap();
    assert!(plan.to_string().contains("num_replicas = 1 -> 3"), "{plan}");
    topology::apply(&admin, &plan, false).await.unwrap();
    let again = topology::plan(&admin, &shipped).await.unwrap();
    assert!(again.is_empty(), "{again}");
    let stream = data_stream(&cluster).await;
    assert!(stream.leader.is_some(), "{stream:?}");
    assert_eq!(stream.replicas.len(), 2, "{stream:?}");
    assert!(
        stream
            .replicas
            .iter()
            .all(|one| one.is_current && !one.is_offline),
        "{stream:?}"
    );
}

/// A follower that is cut off keeps its client, and answers reads from its own old copy.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_cut_off_replica_is_no_proof_of_a_restore() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::cluster().await;
    let bureau = connect(cluster.options("bureau")).await;
    let mut last = 0;
    for number in 1..=5 {
        last = publish_until_stored(&bureau, &bytes(number), last).await;
    }
    let leader = data_stream(&cluster).await.leader.unwrap();
    let leader = cluster.server.index_of(&leader);
    let follower = (leader + 1) % 3;
    let isolated = connect(cluster.options_at(follower, "bureau")).await;
    let before = last;
    until("the follower to have every chunk", DEADLINE, async || {
        let read = isolated.last_chunk(&lane()).await.unwrap();
        read.is_some_and(|read| read.sequence == before)
    })
    .await;
    cluster.server.cut_off(follower);
    let bureau = connect(cluster.options_at(leader, "bureau")).await;
    for number in 6..=10 {
        last = publish_until_stored(&bureau, &bytes(number), last).await;
    }
    let error = until("the follower to notice that it is alone", DEADLINE, async || {
        // It answers from its own copy, or not at all.
        match isolated.last_chunk(&lane()).await {
            Ok(old) => assert_eq!(old.map(|old| old.sequence), Some(before)),
            Err(error) => assert!(error.kind.is_transient(), "{error}"),
        }
        match isolated.leader_sequence(&lane()).await {
            Err(error) if error.kind != ErrorKind::Unknown => Some(error),
            other => panic_if_old(other.ok(), before),
        }
    })
    .await;
    assert_eq!(error.kind, ErrorKind::NoLeader, "{error}");
    cluster.server.reconnect(follower);
    until("the follower to have caught up", DEADLINE, async || {
        let asked = isolated.leader_sequence(&lane()).await.ok();
        let read = isolated.last_chunk(&lane()).await.ok().flatten();
        asked == Some(last) && read.is_some_and(|read| read.sequence == last)
    })
    .await;
}

/// A follower never answers for the leader.
fn panic_if_old<T>(asked: Option<u64>, before: u64) -> Option<T> {
    assert_ne!(
        asked,
        Some(before),
        "a replica that is cut off answered as the leader"
    );
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_connection_leaves_a_server_that_is_cut_off() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::cluster().await;
    let first = connect(cluster.options("bureau")).await;
    let last = publish_until_stored(&first, &bytes(1), 0).await;
    let leader = data_stream(&cluster).await.leader.unwrap();
    let follower = (cluster.server.index_of(&leader) + 1) % 3;
    // Connected to the follower, and knowing the others.
    let bureau = connect_first(&cluster, follower).await;
    cluster.server.cut_off(follower);
    let begun = Instant::now();
    publish_until_stored(&bureau, &bytes(2), last).await;
    eprintln!("stored {} ms after the cut", begun.elapsed().as_millis());
}

/// Connects to a server, with all others in the list. The client begins with any of them.
async fn connect_first(cluster: &Cluster, index: usize) -> JetStream {
    until("a connection to the chosen server", DEADLINE, async || {
        let connected = connect(cluster.options("bureau")).await;
        (cluster.server.index_of(&connected.server_name()) == index).then_some(connected)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_connection_leaves_a_frozen_server() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::cluster().await;
    let first = connect(cluster.options("bureau")).await;
    let last = publish_until_stored(&first, &bytes(1), 0).await;
    let leader = data_stream(&cluster).await.leader.unwrap();
    let leader = cluster.server.index_of(&leader);
    let bureau = connect_first(&cluster, leader).await;
    cluster.server.server(leader).suspend();
    let begun = Instant::now();
    let last = publish_until_stored(&bureau, &bytes(2), last).await;
    eprintln!("stored {} ms after the leader froze", begun.elapsed().as_millis());
    cluster.server.server(leader).resume();
    publish_until_stored(&bureau, &bytes(3), last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_without_a_leader_is_waited_for() {
    if !is_wanted() {
        return;
    }
    let mut cluster = Cluster::cluster().await;
    let bureau = connect(cluster.options("bureau")).await;
    let last = publish_until_stored(&bureau, &bytes(1), 0).await;
    // Two of three servers: no stream has a leader.
    for index in [0, 1] {
        cluster.server.server_mut(index).kill9();
    }
    let error = until("the exchange to have no leader", DEADLINE, async || match bureau
        .leader_sequence(&lane())
        .await
    {
        Err(error) if error.kind == ErrorKind::NoLeader => Some(error),
        Err(error) => {
            assert!(error.kind.is_transient(), "{error}");
            None
        }
        Ok(_) => None,
    })
    .await;
    assert!(error.to_string().contains("elect a leader"), "{error}");
    cluster.server.restart_all().await;
    publish_until_stored(&bureau, &bytes(2), last).await;
}

/// Two writers race for each sequence while the leader steps down again and again: each sequence is won once.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_writers_race_while_leaders_step_down() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::cluster().await;
    let admin = cluster.admin().await;
    let stepping = tokio::spawn(step_down(admin));
    let race = async |writer: u64| {
        let exchange = connect(cluster.options("bureau")).await;
        let (mut won, mut expected) = (Vec::new(), 0);
        for number in 0..40 {
            let body = Bytes::from(format!("{writer}:{number}"));
            expected = publish_until_stored(&exchange, &body, expected).await;
            won.push((expected, body));
        }
        won
    };
    let (mut one, other) = tokio::join!(race(1), race(2));
    stepping.abort();
    one.extend(other);
    one.sort_unstable();
    let auditor = connect(cluster.options("auditor")).await;
    let stored = read_all(&auditor).await;
    assert_eq!(stored, one, "0 lost, 0 doubled, 0 differing");
}

async fn read_all(auditor: &JetStream) -> Vec<(u64, Bytes)> {
    let state = auditor
        .stream_state(Stream::Data, &"insurer-a".parse().unwrap())
        .await
        .unwrap();
    until("the replica to have every message", DEADLINE, async || {
        let read = messages(auditor).await?;
        match read.last() {
            Some((sequence, _)) if *sequence == state.last_sequence => Ok(read),
            _ => Err(format!("{} messages", read.len())),
        }
    })
    .await
}

/// The leader of the consumer sends a message only after a majority has recorded its delivery, and the status of a pull that
/// reached its limit at once.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_pull_up_to_its_limit_returns_each_message() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::cluster().await;
    let bureau = connect(cluster.options("bureau")).await;
    let insurer = connect(cluster.options("insurer-a")).await;
    let mut last = 0;
    // Limited by the number of messages, and by their bytes.
    for (count, size, max) in [(32, 100, 16), (7, 3_900_000, 100)] {
        let mut stored = Vec::new();
        for number in 0..count {
            last = publish_until_stored(&bureau, &Bytes::from(vec![number; size]), last).await;
            stored.push((last, 1));
        }
        let mut fetched = Vec::new();
        while fetched.len() < stored.len() {
            let some = insurer.fetch_chunks(&lane().recipient, max).await.unwrap();
            assert!(!some.is_empty(), "{} of {} messages", fetched.len(), stored.len());
            insurer.settle(&some, Settlement::Ack).await.unwrap();
            fetched.extend(some.iter().map(|delivery| (delivery.sequence, delivery.attempt)));
        }
        assert_eq!(
            fetched, stored,
            "sequence and attempt of messages of {size} bytes"
        );
    }
}

/// Makes the leader of the lane's stream step down every moment.
async fn step_down(admin: Admin) {
    let mut moments = tokio::time::interval(Duration::from_millis(700));
    loop {
        moments.tick().await;
        // An election may be under way.
        let _ = admin
            .api("STREAM.LEADER.STEPDOWN.DATA_insurer-a", &serde_json::Value::Null)
            .await;
    }
}

/// A missing stream looks like one without a leader, until the exchange's own answer distinguishes the two.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_missing_stream_is_topology_after_an_election() {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::bare_cluster().await;
    let bureau = connect(cluster.options("bureau")).await;
    let begun = Instant::now();
    let error = bureau.leader_sequence(&lane()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoLeader, "{error}");
    let error = until(
        "the exchange to report that the stream is missing",
        DEADLINE,
        async || {
            let error = bureau.leader_sequence(&lane()).await.unwrap_err();
            // It moves to other servers meanwhile, in vain.
            (!error.kind.is_transient()).then_some(error)
        },
    )
    .await;
    assert_eq!(error.kind, ErrorKind::Topology, "{error}");
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

use bytes::Bytes;
use schemas::chunk::SignedChunk;
use schemas::column::{ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::encryption::{DecryptionKeys, EncryptionKey, EncryptionPublicKey};
use schemas::origin::Origin;
use schemas::sign::SigningKey;
use schemas::value::Value;
use store::{SqliteStore, Store as _};
use store_testing::samples::{Chain, lane, schema};

use super::*;

/// A stream of one lane.
struct TestStream {
    chain: Chain,
    key: SigningKey,
    previous: Option<Digest>,
    messages: Vec<Stored>,
}

fn columns(names: &[(&str, ColumnType)]) -> RowSchema {
    schema(&["id"], names)
}

const ID: (&str, ColumnType) = ("id", ColumnType::Int8);

impl TestStream {
    fn new() -> Self {
        let text = ("name", ColumnType::Text { max: None });
        Self {
            chain: Chain::new(lane(), columns(&[ID, text]), 1),
            key: SigningKey::generate(),
            previous: None,
            messages: Vec::new(),
        }
    }

    fn publish(&mut self, row: Vec<Value<'_>>, to: Option<&EncryptionPublicKey>) {
        let arrival = self.chain.next(&[row]);
        let mut manifest = arrival.chunk.manifest;
        manifest.previous = self.previous;
        manifest.content.key = self.key.public().clone();
        let signed = SignedChunk::sign(manifest, &arrival.chunk.plain, &self.key, to).unwrap();
        self.previous = Some(signed.digest);
        let sequence = self.messages.len() as u64 + 1;
        self.messages.push(Stored {
            subject: format!("data.{}", lane()),
            sequence,
            stored_at: Timestamp::from_second(i64::try_from(sequence).unwrap()).unwrap(),
            bytes: Bytes::from(signed.bytes),
            trace: None,
        });
    }

    /// Rebuilds a store and returns its lane, with the ids that its table holds.
    async fn rebuild(&self, approved: &[ApprovedChange], end: RebuildEnd) -> (RebuiltLane, Vec<i64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rebuilt.db");
        let store = SqliteStore::new(&path);
        store.prepare().await.unwrap();
        let trust = ChunkTrust {
            trusted: vec![self.key.public().clone()],
            here: Origin::default(),
            decryption_keys: DecryptionKeys::default(),
        };
        let mut rebuild = Rebuild::new(&store, trust, approved, end);
        for message in &self.messages {
            if rebuild.push(vec![message.clone()]).await.unwrap().is_break() {
                break;
            }
        }
        let mut lanes = rebuild.finish().await.unwrap();
        store.close().await;
        let file = rusqlite::Connection::open(path).unwrap();
        let sql = format!("SELECT id FROM \"{}\" ORDER BY id", lane().feed);
        let mut ids = file.prepare(&sql).unwrap();
        let ids = ids.query_map([], |row| row.get(0)).unwrap();
        (lanes.remove(0), ids.map(Result::unwrap).collect())
    }
}

const fn at(number: u64) -> ChunkNumber {
    ChunkNumber { epoch: 1, number }
}

#[test]
fn rebuild_end_is_parsed() {
    assert_eq!("4711".parse(), Ok(RebuildEnd::Sequence(4711)));
    let chunk = ChunkNumber { epoch: 2, number: 17 };
    assert_eq!("2.17".parse(), Ok(RebuildEnd::Chunk(chunk)));
    let time = "2026-01-31T22:15:00.5Z";
    assert_eq!(time.parse(), Ok(RebuildEnd::Time(time.parse().unwrap())));
    for wrong in ["", "-1", "0.3", "2.x", "yesterday"] {
        assert!(wrong.parse::<RebuildEnd>().is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn rebuild_stores_up_to_its_end() {
    let mut stream = TestStream::new();
    for id in 1..=4 {
        stream.publish(vec![Value::Int(id), Value::Text("a")], None);
    }
    let second = Timestamp::from_second(2).unwrap();
    for (end, last) in [
        (RebuildEnd::Last, 4),
        (RebuildEnd::Sequence(3), 3),
        (RebuildEnd::Time(second), 2),
        (RebuildEnd::Chunk(at(1)), 1),
    ] {
        let (lane, ids) = stream.rebuild(&[], end).await;
        assert_eq!(
            (lane.frontier, lane.last),
            (Some(at(last)), Some(at(last))),
            "{end:?}"
        );
        assert_eq!(ids.len() as u64, last);
        assert!(lane.is_whole());
    }
}

#[tokio::test]
async fn rebuild_change_is_made_only_with_its_approval() {
    let mut stream = TestStream::new();
    stream.publish(vec![Value::Int(1), Value::Text("a")], None);
    stream.chain.columns(columns(&[ID]));
    stream.publish(vec![Value::Int(2)], None);
    stream.publish(vec![Value::Int(3)], None);
    let (waiting, ids) = stream.rebuild(&[], RebuildEnd::Last).await;
    let left = waiting.left.as_ref().unwrap();
    assert_eq!((left.sequence, left.chunks), (2, 2), "{left:?}");
    assert_eq!((waiting.frontier, ids), (Some(at(1)), vec![1]));
    let approved = |changes: &str| ApprovedChange {
        lane: lane().to_string(),
        changes: changes.to_owned(),
        approval: Approval {
            actor: "li.na".to_owned(),
            reason: "contract".to_owned(),
        },
    };
    let other = [approved("column \"id\" is no longer sent")];
    let (waiting, _) = stream.rebuild(&other, RebuildEnd::Last).await;
    assert!(!waiting.is_whole());
    let change = "column \"name\" is no longer sent";
    let (whole, ids) = stream.rebuild(&[approved(change)], RebuildEnd::Last).await;
    assert_eq!((whole.frontier, ids), (Some(at(3)), vec![1, 2, 3]));
    assert!(whole.is_whole() && whole.changes == [change]);
}

#[tokio::test]
async fn rebuild_encrypted_chunk_without_key_is_reported() {
    let mut stream = TestStream::new();
    let key = EncryptionKey::generate().unwrap();
    stream.publish(vec![Value::Int(1), Value::Text("a")], None);
    stream.publish(vec![Value::Int(2), Value::Text("b")], Some(key.public()));
    stream.publish(vec![Value::Int(3), Value::Text("c")], None);
    let (lane, ids) = stream.rebuild(&[], RebuildEnd::Last).await;
    assert_eq!((lane.encrypted, lane.pending, ids), (1, 1, vec![1, 3]));
    let left = lane.left.as_ref().unwrap();
    assert_eq!((left.sequence, lane.frontier), (2, Some(at(1))));
    assert!(left.reason.contains(&key.public().to_string()), "{}", left.reason);
    assert!(!lane.is_whole());
}

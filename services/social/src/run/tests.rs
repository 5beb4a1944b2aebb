//! The whole agent with an in-memory exchange and a source of numbers.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use exchange::port::Stream;
use exchange::{LeaseExchange, Published, Stored};
use exchange_testing::memory::Memory;
use gate::Permit;
use schemas::chunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::encryption::DecryptionKeys;
use schemas::name::{FeedName, Lane};
use schemas::origin::Origin;
use schemas::subject::Subject;
use schemas::value::Value;
use source::fence::Fence;
use source::port::DriverCounts;
use source::{CursorSetBy, End, FeedReader, FenceReading, Quantum, RowSink};

use super::*;

mod held;
mod idle;
mod lease_expired;
mod log_output;
mod masked;
mod source_replaced;
mod standby;
mod unordered_rows;

/// A source of rows 1 to `rows` that counts its reads.
struct Numbers {
    rows: i64,
    reads: Arc<Mutex<u64>>,
}

struct Reader {
    rows: i64,
    schema: RowSchema,
    reads: Arc<Mutex<u64>>,
}

#[async_trait]
impl Source for Numbers {
    async fn open_feed(&self, feed: &FeedDefinition, _: &Permit) -> source::Result<Box<dyn FeedReader>> {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
            nullable: false,
        };
        let schema = RowSchema {
            name: feed.name.to_string(),
            version: 1,
            columns: vec![
                column("id", ColumnType::Int8),
                column("text", ColumnType::Text { max: None }),
            ],
            key: vec!["id".into()],
            tombstone: None,
        };
        Ok(Box::new(Reader {
            rows: self.rows,
            schema,
            reads: Arc::clone(&self.reads),
        }))
    }
    fn own_backends(&self) -> Vec<u32> {
        Vec::new()
    }
    fn driver_counts(&self) -> DriverCounts {
        DriverCounts::default()
    }
    async fn close(&self) {}
}

#[async_trait]
impl FeedReader for Reader {
    fn schema(&self) -> &RowSchema {
        &self.schema
    }
    async fn fence(&mut self, _: &Permit) -> source::Result<FenceReading> {
        Ok(FenceReading {
            fence: Some(Fence::Open),
            ..FenceReading::default()
        })
    }
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        _: &Fence,
        limit: usize,
        _: &Permit,
        rows: &mut dyn RowSink,
    ) -> source::Result<Quantum> {
        *self.reads.lock().unwrap() += 1;
        let from = match after.map(|cursor| cursor.0.as_slice()) {
            Some([Scalar::Int(id)]) => *id,
            _ => 0,
        };
        let to = self.rows.min(from + i64::try_from(limit).unwrap());
        let text = "x".repeat(200);
        (from + 1..=to).for_each(|id| rows.row(&[Value::Int(id), Value::Text(&text)]));
        let read = u64::try_from(to - from).unwrap();
        let end = if to < self.rows || read == limit as u64 {
            End::Limit
        } else {
            End::Drained
        };
        Ok(Quantum {
            rows: read,
            end,
            took: Duration::from_millis(1),
        })
    }
}

/// What the tests ask of the exchange.
trait StoredMessages {
    /// Returns the messages of a lane.
    fn lane(&self, lane: &Lane) -> Vec<Stored>;
    /// Returns the record of the source's lease.
    fn lease_record(&self) -> Option<Stored>;

    /// Opens the chunks of a lane.
    fn chunks(&self, lane: &Lane, key: &PublicKey) -> Vec<chunk::VerifiedChunk> {
        let keys = DecryptionKeys::default();
        let open = |stored: &Stored| {
            chunk::VerifiedChunk::open(&stored.bytes, std::slice::from_ref(key), &keys).unwrap()
        };
        self.lane(lane).iter().map(open).collect()
    }

    /// Returns whether the last holder gave the lease back.
    fn is_released(&self) -> bool {
        let stored = self.lease_record().unwrap();
        let envelope = schemas::envelope::Envelope::decode(&stored.bytes).unwrap();
        envelope.read::<schemas::lease::Lease>().unwrap().released
    }
}

impl StoredMessages for Memory {
    fn lane(&self, lane: &Lane) -> Vec<Stored> {
        let subject = Subject::Data(lane.clone()).to_string();
        let mut messages = self.stored_messages(Stream::Data);
        messages.retain(|stored| stored.subject == subject);
        messages
    }

    fn lease_record(&self) -> Option<Stored> {
        self.stored_lease(&SourceName::new("core").unwrap())
    }
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory::new(&recipients()))
}

fn recipients() -> Vec<RecipientName> {
    ["insurer-a", "insurer-b"]
        .map(|name| RecipientName::new(name).unwrap())
        .to_vec()
}

fn parts(
    exchange: &Arc<Memory>,
    key: &Arc<SigningKey>,
    gate: Gate,
    rows: i64,
    reads: &Arc<Mutex<u64>>,
) -> SocialParts {
    let definition = FeedDefinition {
        name: FeedName::new("numbers").unwrap(),
        version: 1,
        sql: "select id, text from numbers".into(),
        cursor: vec!["id".into()],
        cursor_set_by: CursorSetBy::Sequence,
        lag: Duration::ZERO,
        key: vec!["id".into()],
        money: vec![],
        tombstone: None,
        types: BTreeMap::new(),
        clock: source::feed::CursorClock::default(),
    };
    let mut options = SocialOptions::default();
    options.publisher.idle_poll = Duration::from_millis(20);
    options.lease = crate::lease::Timing::of(Duration::from_millis(600));
    SocialParts {
        exchange: Arc::clone(exchange) as Arc<dyn Exchange>,
        source: Arc::new(Numbers {
            rows,
            reads: Arc::clone(reads),
        }),
        source_name: SourceName::new("core").unwrap(),
        origin: Origin::default(),
        gate,
        feeds: vec![FeedPlan {
            definition,
            recipients: recipients(),
        }],
        key: Arc::clone(key),
        trusted_publishers: vec![],
        trusted_receipts: BTreeMap::new(),
        instance: new_instance(),
        holder: "test".into(),
        options,
    }
}

fn lanes() -> Vec<Lane> {
    let feed = FeedName::new("numbers").unwrap();
    recipients()
        .into_iter()
        .map(|recipient| Lane {
            recipient,
            feed: feed.clone(),
        })
        .collect()
}

/// Waits until both lanes hold all rows.
async fn all_published(exchange: &Memory, key: &SigningKey, rows: u64) {
    let all = || {
        lanes().iter().all(|lane| {
            exchange
                .chunks(lane, key.public())
                .iter()
                .map(|c| c.manifest.content.totals.rows)
                .sum::<u64>()
                >= rows
        })
    };
    until(all).await;
}

async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("the condition was not met in time");
}

fn check_chain(chunks: &[chunk::VerifiedChunk], rows: i64) {
    let mut next = 1;
    for (at, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.manifest.number, at as u64 + 1);
        assert_eq!(
            chunk.manifest.previous,
            at.checked_sub(1).map(|before| chunks[before].digest)
        );
        let (mut reader, mut row) = (chunk.rows(), Vec::new());
        while reader.next_into(&mut row).unwrap() {
            assert_eq!(row[0], Value::Int(next));
            next += 1;
        }
    }
    assert_eq!(next, rows + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_lost_acks_publish_every_row_once_to_each_recipient() {
    let exchange = memory();
    exchange.lose_acknowledgements(3);
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 20_000, &reads)).unwrap();
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    all_published(&exchange, &key, 20_000).await;
    lanes()
        .iter()
        .for_each(|lane| check_chain(&exchange.chunks(lane, key.public()), 20_000));
    let status = view.status();
    assert!(status.lease.held);
    let read = status.feeds["numbers"].rows_read;
    assert!(
        read < 30_000,
        "recipients at equal cursors share one read, but {read} rows were read"
    );
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
    assert!(exchange.is_released(), "a regular stop releases the lease");
}

/// A restored exchange holds an older record of the agent that stops.
#[tokio::test]
async fn lease_restored_record_is_released_at_a_stop() {
    let exchange = memory();
    let core = SourceName::new("core").unwrap();
    let (keeper, _watch) = LeaseKeeper::new(
        Arc::clone(&exchange) as Arc<dyn Exchange>,
        core.clone(),
        new_instance(),
        "test".into(),
        Arc::new(SigningKey::generate()),
        // It does not renew during the test.
        crate::lease::Timing::of(Duration::from_secs(600)),
    );
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keeper.run(stop.clone()));
    until(|| exchange.lease_record().is_some()).await;
    let copy = exchange.lease_record().unwrap();
    let restored = exchange.write_lease(&core, copy.bytes, copy.sequence).await;
    assert!(matches!(restored, Ok(Published::Done { .. })));
    stop.cancel();
    keeping.await.unwrap();
    assert!(exchange.is_released());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_reads_nothing_and_takes_over_after_a_kill() {
    let exchange = memory();
    let key = Arc::new(SigningKey::generate());
    let (first_reads, second_reads) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let first = Social::new(parts(&exchange, &key, Gate::fixed_open(), 5_000, &first_reads)).unwrap();
    let first = tokio::spawn(first.run(CancellationToken::new()));
    all_published(&exchange, &key, 5_000).await;
    let second = Social::new(parts(&exchange, &key, Gate::fixed_open(), 9_000, &second_reads)).unwrap();
    let (view, stop) = (second.view(), CancellationToken::new());
    let second = tokio::spawn(second.run(stop.clone()));
    until(|| !view.status().lease.holder.is_empty()).await;
    // Killed: it does not release the lease.
    assert_eq!(*second_reads.lock().unwrap(), 0);
    first.abort();
    all_published(&exchange, &key, 9_000).await;
    lanes()
        .iter()
        .for_each(|lane| check_chain(&exchange.chunks(lane, key.public()), 9_000));
    stop.cancel();
    assert_eq!(second.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_closed_gate_reads_nothing_until_it_opens() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let (gate, script) = Gate::scripted();
    script.close("the core is busy");
    let social = Social::new(parts(&exchange, &key, gate, 3_000, &reads)).unwrap();
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    until(|| {
        view.status()
            .feeds
            .get("numbers")
            .is_some_and(|feed| feed.state == "waiting for the gate")
    })
    .await;
    assert_eq!(*reads.lock().unwrap(), 0);
    script.open();
    all_published(&exchange, &key, 3_000).await;
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

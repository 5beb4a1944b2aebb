//! Rows without a position in the order: shown, rejected once, and without effect on the cursor.

use schemas::manifest::Reject;
use source::Evidence;
use source::evidence::FUTURE_ROWS;

use super::*;

/// A source of numbers with one more row ahead of the clock.
struct Ahead(Numbers);

struct AheadReader {
    reader: Box<dyn FeedReader>,
    evidence: Evidence,
}

#[async_trait]
impl Source for Ahead {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> source::Result<Box<dyn FeedReader>> {
        let mut evidence = Evidence::default();
        evidence
            .unverified
            .set(FUTURE_ROWS, "1 row ahead of the clock", "correct it");
        evidence.future.push(Reject {
            key: vec![Some(Scalar::Int(i64::MAX))],
            column: Some("id".into()),
            reason: "ahead of the clock".into(),
        });
        Ok(Box::new(AheadReader {
            reader: self.0.open_feed(feed, permit).await?,
            evidence,
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
impl FeedReader for AheadReader {
    fn schema(&self) -> &RowSchema {
        self.reader.schema()
    }
    async fn fence(&mut self, permit: &Permit) -> source::Result<FenceReading> {
        self.reader.fence(permit).await
    }
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> source::Result<Quantum> {
        self.reader.read(after, fence, limit, permit, rows).await
    }
    fn evidence(&self) -> Option<&Evidence> {
        Some(&self.evidence)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publisher_row_ahead_is_shown_rejected_once_and_unread() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let mut parts = parts(&exchange, &key, Gate::fixed_open(), 3_000, &reads);
    parts.source = Arc::new(Ahead(Numbers {
        rows: 3_000,
        reads: Arc::clone(&reads),
    }));
    let social = Social::new(parts).unwrap();
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    all_published(&exchange, &key, 3_000).await;
    let notes = |lane: &Lane| -> usize {
        let chunks = exchange.chunks(lane, key.public());
        chunks
            .iter()
            .map(|chunk| chunk.manifest.content.rejects.len())
            .sum()
    };
    until(|| lanes().iter().all(|lane| notes(lane) == 1)).await;
    // Many rounds later it is still one note.
    let before = *reads.lock().unwrap();
    until(|| *reads.lock().unwrap() > before + 10).await;
    let feed = view.status().feeds["numbers"].clone();
    let codes: Vec<&str> = feed.unverified.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [FUTURE_ROWS]);
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
    for lane in &lanes() {
        assert_eq!(notes(lane), 1);
        let chunks = exchange.chunks(lane, key.public());
        check_chain(&chunks, 3_000);
        let last = chunks.last().unwrap().manifest.cursor_after.clone();
        assert_eq!(last, Some(Cursor(vec![Scalar::Int(3_000)])));
    }
}

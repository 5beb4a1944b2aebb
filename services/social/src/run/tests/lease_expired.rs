//! A lease that expires while the tasks have no reason to wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::*;

/// Longer than the lease of these tests is valid.
const LONGER_THAN_LEASE: Duration = Duration::from_millis(700);

/// A source whose first read blocks its thread until the lease has expired, and returns without a wait.
struct Stalling {
    numbers: Numbers,
    stalled: Arc<AtomicBool>,
}

struct StallingReader {
    reader: Box<dyn FeedReader>,
    stalled: Arc<AtomicBool>,
}

#[async_trait]
impl Source for Stalling {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> source::Result<Box<dyn FeedReader>> {
        Ok(Box::new(StallingReader {
            reader: self.numbers.open_feed(feed, permit).await?,
            stalled: Arc::clone(&self.stalled),
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
impl FeedReader for StallingReader {
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
        if !self.stalled.swap(true, Ordering::SeqCst) {
            // The input of the test: a machine that gives this process no time.
            std::thread::sleep(LONGER_THAN_LEASE);
        }
        self.reader.read(after, fence, limit, permit, rows).await
    }
}

/// Without a wait between its steps the publisher would take one permit after another, and the timers, sockets and signals of
/// the process would never be served. The test uses one thread, so that the result does not depend on thread scheduling.
#[test]
fn publisher_lease_expired_leaves_the_runtime_to_others() {
    let (ended, end) = mpsc::channel();
    let agent = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let exchange = memory();
            let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
            let mut parts = parts(&exchange, &key, Gate::fixed_open(), 3_000, &reads);
            parts.source = Arc::new(Stalling {
                numbers: Numbers {
                    rows: 3_000,
                    reads: Arc::clone(&reads),
                },
                stalled: Arc::default(),
            });
            assert!(parts.options.lease.ttl < LONGER_THAN_LEASE);
            let stop = CancellationToken::new();
            let agent = tokio::spawn(Social::new(parts).unwrap().run(stop.clone()));
            all_published(&exchange, &key, 3_000).await;
            stop.cancel();
            assert_eq!(agent.await.unwrap(), Ok(()));
            lanes()
                .iter()
                .for_each(|lane| check_chain(&exchange.chunks(lane, key.public()), 3_000));
        });
        ended.send(()).unwrap();
    });
    // A runtime that is not served does not notice any timeout of its own.
    if end.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("the runtime was not served for 60 s after the lease had expired");
    }
    agent.join().unwrap();
}

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use exchange::port::Sequence;
use exchange::{ErrorKind, StatusExchange, Stored};
use exchange_testing::memory::Memory;
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use schemas::status_report::StatusReport;
use serde_json::json;

use super::*;

/// An exchange whose stream may be missing. It counts what it is asked.
struct Site {
    memory: Memory,
    is_missing: AtomicBool,
    asked: AtomicU64,
}

impl Site {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(&[]),
            is_missing: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        })
    }

    fn check(&self) -> exchange::Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_missing.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Topology, "no stream STATUS_bureau"));
        }
        Ok(())
    }

    async fn report(&self, key: &SigningKey) -> StatusReport {
        let all = self.memory.statuses(&party()).await.unwrap();
        assert_eq!(all.len(), 1);
        let envelope = Envelope::decode(&all[0].bytes).unwrap();
        envelope.verify(&[key.public().clone()]).unwrap()
    }
}

#[async_trait]
impl StatusExchange for Site {
    async fn publish_status(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
    ) -> exchange::Result<Sequence> {
        self.check()?;
        self.memory.publish_status(party, writer, bytes).await
    }

    async fn statuses(&self, party: &PartyName) -> exchange::Result<Vec<Stored>> {
        self.check()?;
        self.memory.statuses(party).await
    }

    async fn last_watch(&self, party: &PartyName) -> exchange::Result<Option<Stored>> {
        self.check()?;
        self.memory.last_watch(party).await
    }
}

fn party() -> PartyName {
    PartyName::new("bureau").unwrap()
}

fn parts(site: &Arc<Site>, key: &Arc<SigningKey>) -> ReporterParts {
    ReporterParts {
        exchange: Arc::clone(site) as Arc<dyn StatusExchange>,
        party: party(),
        writer: PartyName::new("social-core").unwrap(),
        role: AgentRole::Social,
        instance: "00112233aabbccdd".into(),
        key: Arc::clone(key),
    }
}

fn sources() -> Sources {
    let open_ms = AtomicU64::new(0);
    Sources {
        page: Box::new(|| json!({"state": "flowing", "text": "a\u{202e}b"})),
        gate: Some(Box::new(move || GateReading {
            open_ms: open_ms.fetch_add(1_000, Ordering::Relaxed),
            rows: 5,
            ..GateReading::default()
        })),
    }
}

/// Waits until the reporter has published this often.
async fn reports(publication: &Publication, count: u64) {
    while publication.status().reports < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reporter_publishes_the_signed_page() {
    let (site, key) = (Site::new(), Arc::new(SigningKey::generate()));
    let (publication, stop) = (Publication::default(), CancellationToken::new());
    let reporter = Reporter::new(parts(&site, &key), sources(), publication.clone());
    let running = reporter.start(stop.clone());
    reports(&publication, 1).await;
    let report = site.report(&key).await;
    assert_eq!((report.next_within_s, report.role), (15, AgentRole::Social));
    // Escaped as on the agent's own page.
    assert_eq!(report.page, r#"{"state":"flowing","text":"a\u202eb"}"#);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(publication.status().error, None);
}

/// The clock of the note is the real one, and only the waiting is paused.
#[tokio::test(start_paused = true)]
async fn reporter_is_fast_while_watched() {
    let (site, key) = (Site::new(), Arc::new(SigningKey::generate()));
    let (publication, stop) = (Publication::default(), CancellationToken::new());
    let running = Reporter::new(parts(&site, &key), sources(), publication.clone()).start(stop.clone());
    reports(&publication, 1).await;
    let begun = Instant::now();
    reports(&publication, 2).await;
    assert!(begun.elapsed() > Duration::from_secs(14), "{:?}", begun.elapsed());
    let until = Timestamp::now() + Duration::from_secs(60);
    let note = WatchNote { until }.encode();
    site.memory.publish_watch(&party(), note.into()).await.unwrap();
    let begun = Instant::now();
    reports(&publication, 12).await;
    assert!(begun.elapsed() < Duration::from_secs(16), "{:?}", begun.elapsed());
    assert_eq!(site.report(&key).await.next_within_s, 3);
    assert!(publication.status().is_watched);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reporter_without_stream_shows_it_and_recovers() {
    let (site, key) = (Site::new(), Arc::new(SigningKey::generate()));
    site.is_missing.store(true, Ordering::Relaxed);
    let (publication, stop) = (Publication::default(), CancellationToken::new());
    let running = Reporter::new(parts(&site, &key), sources(), publication.clone()).start(stop.clone());
    while publication.status().failures < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let status = publication.status();
    assert!(status.error.unwrap().contains("slacktide exchange apply"));
    assert!(status.failing_since.is_some());
    // A note, a history and a report each minute.
    let asked = site.asked.load(Ordering::Relaxed);
    assert!(asked <= 10, "{asked}");
    site.is_missing.store(false, Ordering::Relaxed);
    reports(&publication, 1).await;
    assert_eq!(publication.status().error, None);
    assert!(!running.is_finished());
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reporter_continues_the_history_of_the_process_before() {
    let (site, key) = (Site::new(), Arc::new(SigningKey::generate()));
    let start = Timestamp::now().as_second() / 300 * 300 - 3_600;
    let earlier = schemas::status_report::HistoryBucket {
        start: Timestamp::from_second(start).unwrap(),
        open_ms: 123,
        limited_ms: 0,
        closed_ms: 0,
        rows: 9,
        load_permille: None,
    };
    let own = parts(&site, &key);
    let bytes = report::signed(&own, &json!({}), vec![earlier.clone()], 15, Timestamp::now()).unwrap();
    site.memory
        .publish_status(&party(), &own.writer, bytes)
        .await
        .unwrap();
    for (key, is_own) in [(Arc::new(SigningKey::generate()), false), (key, true)] {
        let (publication, stop) = (Publication::default(), CancellationToken::new());
        if !is_own {
            // Another key of the same name: not ours, so not believed.
            let all = site.memory.statuses(&party()).await.unwrap();
            assert!(report::earlier_history(&parts(&site, &key), &all).is_empty());
            continue;
        }
        let running = Reporter::new(parts(&site, &key), sources(), publication.clone()).start(stop.clone());
        reports(&publication, 1).await;
        assert_eq!(site.report(&key).await.history.first(), Some(&earlier));
        stop.cancel();
        running.await.unwrap();
    }
}

#[test]
fn report_too_large_has_no_history_or_is_refused() {
    let (site, key) = (Site::new(), Arc::new(SigningKey::generate()));
    let own = parts(&site, &key);
    let bucket = schemas::status_report::HistoryBucket {
        start: Timestamp::UNIX_EPOCH,
        open_ms: 1,
        limited_ms: 0,
        closed_ms: 0,
        rows: 0,
        load_permille: None,
    };
    let signed = |size: usize| {
        let page = json!({ "text": "x".repeat(size) });
        report::signed(&own, &page, vec![bucket.clone(); 289], 15, Timestamp::now())
    };
    let read = |bytes: Bytes| {
        let envelope = Envelope::decode(&bytes).unwrap();
        envelope.read::<StatusReport>().unwrap()
    };
    assert_eq!(read(signed(10).unwrap()).history.len(), 289);
    assert_eq!(read(signed(report::MAX_BYTES - 5_000).unwrap()).history.len(), 0);
    assert!(signed(report::MAX_BYTES).unwrap_err().contains("bytes"));
}

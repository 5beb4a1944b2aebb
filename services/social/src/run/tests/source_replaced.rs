//! A source that is replaced, rolled back, or has its clock set back under a running agent.

use exchange::FeedExchange;
use jiff::Timestamp;
use schemas::manifest::{Cause, Link, Manifest, Opening, Resync, Totals};
use schemas::source::SourceIdentity;
use source::LanePosition;
use source::fence::ClockProblem;

use super::*;

/// What readings report in addition to the fence.
#[derive(Debug, Clone, Default)]
struct SourceReport {
    source: SourceIdentity,
    clock: Option<ClockProblem>,
    /// Positions at or above it are moved back to the one before it.
    reread_from: Option<i64>,
    /// The greatest position; higher ones are beyond it.
    greatest: Option<i64>,
    /// Positions above it are lowered to it for a lane that begins at the fence.
    fence: Option<i64>,
    held: Option<source::FenceHolder>,
    stalled_for: Duration,
    /// How often the feed was opened.
    opened: usize,
}

struct Scripted {
    numbers: Numbers,
    report: Arc<Mutex<SourceReport>>,
}

struct ScriptedReader {
    reader: Box<dyn FeedReader>,
    report: Arc<Mutex<SourceReport>>,
    lane_positions: Vec<LanePosition>,
}

#[async_trait]
impl Source for Scripted {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> source::Result<Box<dyn FeedReader>> {
        self.report.lock().unwrap().opened += 1;
        Ok(Box::new(ScriptedReader {
            reader: self.numbers.open_feed(feed, permit).await?,
            report: Arc::clone(&self.report),
            lane_positions: Vec::new(),
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

fn number(position: &Cursor) -> i64 {
    match position.0.as_slice() {
        [Scalar::Int(number)] => *number,
        other => panic!("a position of another shape: {other:?}"),
    }
}

fn cursor(number: i64) -> Cursor {
    Cursor(vec![Scalar::Int(number)])
}

#[async_trait]
impl FeedReader for ScriptedReader {
    fn schema(&self) -> &RowSchema {
        self.reader.schema()
    }
    fn set_lane_positions(&mut self, lane_positions: Vec<LanePosition>) {
        self.lane_positions = lane_positions;
    }
    async fn fence(&mut self, _: &Permit) -> source::Result<FenceReading> {
        let report = self.report.lock().unwrap().clone();
        let positions = || self.lane_positions.iter().map(|one| one.position.clone());
        let is_again = |at: &Cursor| report.reread_from.is_some_and(|from| number(at) >= from);
        let is_beyond = |at: &Cursor| report.greatest.is_some_and(|greatest| number(at) > greatest);
        let is_behind = matches!(report.clock, Some(ClockProblem::Behind { .. }));
        Ok(FenceReading {
            fence: (!is_behind).then_some(Fence::Open),
            holder: report.held,
            stalled_for: report.stalled_for,
            has_new_rows: false,
            is_empty: false,
            source: report.source,
            clock: report.clock,
            reread_from: positions()
                .filter(is_again)
                .map(|at| (at, cursor(report.reread_from.unwrap() - 1)))
                .collect(),
            beyond: positions().filter(is_beyond).collect(),
            above: positions()
                .filter(|at| report.fence.is_some_and(|fence| number(at) > fence))
                .map(|at| (at, cursor(report.fence.unwrap())))
                .collect(),
        })
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
}

struct Site {
    exchange: Arc<Memory>,
    key: Arc<SigningKey>,
    report: Arc<Mutex<SourceReport>>,
    view: SocialView,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<std::result::Result<(), SocialError>>,
}

fn mark(system: &str, log: i64) -> SourceIdentity {
    SourceIdentity {
        system: Some(system.to_owned()),
        written: Some(cursor(log)),
        ..SourceIdentity::default()
    }
}

fn site(rows: i64) -> Site {
    let (exchange, key) = (memory(), Arc::new(SigningKey::generate()));
    let reads = Arc::new(Mutex::new(0));
    let report = Arc::new(Mutex::new(SourceReport {
        source: mark("one", 100),
        ..SourceReport::default()
    }));
    let mut parts = parts(&exchange, &key, Gate::fixed_open(), rows, &reads);
    parts.source = Arc::new(Scripted {
        numbers: Numbers { rows, reads },
        report: Arc::clone(&report),
    });
    parts.options.publisher.recheck = Duration::from_millis(20);
    let social = Social::new(parts).unwrap();
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    Site {
        exchange,
        key,
        report,
        view,
        stop,
        agent,
    }
}

impl Site {
    fn set_report(&self, change: impl FnOnce(&mut SourceReport)) {
        change(&mut self.report.lock().unwrap());
    }

    fn is_unverified(&self, code: &str) -> bool {
        let feeds = self.view.status().feeds;
        feeds["numbers"].unverified.iter().any(|(one, _)| one == code)
    }

    fn stopped_by(&self) -> Vec<Option<&'static str>> {
        let lanes = self.view.status().lanes;
        lanes.values().map(|lane| lane.stopped_by).collect()
    }

    /// The opening that `slacktide feed rewind --accept-source` publishes.
    async fn accept(&self, lane: &Lane, is_from_beginning: bool) {
        self.open(lane, Cause::SourceChanged, is_from_beginning).await;
    }

    async fn open(&self, lane: &Lane, cause: Cause, is_from_beginning: bool) {
        let last = self.exchange.chunks(lane, self.key.public()).pop().unwrap();
        let sequence = self.exchange.last_chunk(lane).await.unwrap().unwrap().sequence;
        let continues = Link {
            epoch: last.manifest.epoch,
            number: last.manifest.number,
            digest: last.digest,
        };
        let continues = (!is_from_beginning).then_some(continues);
        let cursor = continues.and(last.manifest.cursor_after.clone());
        let mut opening = Manifest {
            epoch: last.manifest.epoch + 1,
            number: 1,
            previous: continues.map(|link| link.digest),
            opening: Some(Opening {
                cause,
                actor: "li.na".into(),
                reason: "restored from backup".into(),
                continues,
            }),
            cursor_before: cursor.clone(),
            cursor_after: cursor,
            source: None,
            resync: (cause == Cause::Resync).then(Resync::default),
            ..last.manifest
        };
        opening.content.totals = Totals::default();
        let signed = chunk::SignedChunk::sign(opening, &[], &self.key, None).unwrap();
        let published = self
            .exchange
            .publish_chunk(lane, signed.bytes.into(), sequence)
            .await;
        assert!(matches!(published, Ok(Published::Done { .. })));
    }

    async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.agent.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_replaced_stops_lanes_until_an_operator_accepts_it() {
    let site = site(3_000);
    all_published(&site.exchange, &site.key, 3_000).await;
    let lane = &lanes()[0];
    let last = || {
        site.exchange
            .chunks(lane, site.key.public())
            .pop()
            .unwrap()
            .manifest
    };
    assert_eq!(last().source, Some(mark("one", 100)));
    site.set_report(|report| report.source = mark("one", 200));
    // Another server, which cannot show how much is missing.
    site.set_report(|report| report.source = mark("two", 900));
    until(|| site.stopped_by() == [Some("source_changed"); 2]).await;
    let published = last().number;
    let why = site.view.status().lanes[&lane.to_string()].state.clone();
    assert!(
        why.contains("another database server") && why.contains("--accept-source"),
        "{why}"
    );
    site.accept(lane, false).await;
    until(|| site.stopped_by().contains(&None)).await;
    assert_eq!(
        last().opening.map(|opening| opening.cause),
        Some(Cause::SourceChanged)
    );
    assert_eq!((last().source, last().number), (None, 1));
    assert!(published > 1);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_rolled_back_is_sent_again_from_the_start() {
    let site = site(2_000);
    all_published(&site.exchange, &site.key, 2_000).await;
    let lane = &lanes()[0];
    site.set_report(|report| report.greatest = Some(1_500));
    until(|| site.stopped_by() == [Some("source_changed"); 2]).await;
    assert!(
        site.view.status().lanes[&lane.to_string()]
            .state
            .contains("went backwards")
    );
    site.set_report(|report| report.greatest = None);
    // A number that is there again lifts nothing: what was between is not known.
    site.accept(lane, true).await;
    until(|| {
        let chunks = site.exchange.chunks(lane, site.key.public());
        let rows = chunks.iter().filter(|chunk| chunk.manifest.epoch == 2);
        rows.map(|chunk| chunk.manifest.content.totals.rows).sum::<u64>() == 2_000
    })
    .await;
    assert_eq!(
        site.stopped_by().iter().flatten().count(),
        1,
        "the other lane waits"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_replaced_is_accepted_by_a_resynchronisation() {
    let site = site(2_000);
    all_published(&site.exchange, &site.key, 2_000).await;
    let lane = &lanes()[0];
    let opened = || site.report.lock().unwrap().opened;
    assert_eq!(opened(), 1);
    site.set_report(|report| report.source = mark("two", 900));
    until(|| site.stopped_by() == [Some("source_changed"); 2]).await;
    let why = site.view.status().lanes[&lane.to_string()].state.clone();
    assert!(why.contains("slacktide feed resync"), "{why}");
    site.open(lane, Cause::Resync, true).await;
    until(|| {
        let chunks = site.exchange.chunks(lane, site.key.public());
        let resync = chunks.last().and_then(|chunk| chunk.manifest.resync);
        resync.is_some_and(|resync| resync.is_complete)
    })
    .await;
    let chunks = site.exchange.chunks(lane, site.key.public());
    let again = chunks.iter().filter(|chunk| chunk.manifest.epoch == 2);
    let rows: u64 = again.map(|chunk| chunk.manifest.content.totals.rows).sum();
    assert_eq!(rows, 2_000);
    assert!(
        opened() > 1,
        "what was proven of the feed was proven of another source"
    );
    assert_eq!(chunks.last().unwrap().manifest.source, Some(mark("two", 900)));
    site.end().await;
}

/// The receiver compares what is before the position that the first chunk states.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_replaced_continues_at_its_fence_for_a_comparison() {
    let site = site(2_000);
    all_published(&site.exchange, &site.key, 2_000).await;
    let lane = &lanes()[0];
    site.set_report(|report| (report.source, report.fence) = (mark("two", 900), Some(1_500)));
    until(|| site.stopped_by() == [Some("source_changed"); 2]).await;
    site.open(lane, Cause::Comparison, false).await;
    let of_epoch = || {
        let chunks = site.exchange.chunks(lane, site.key.public());
        let chunks = chunks.into_iter().map(|chunk| chunk.manifest);
        chunks.filter(|manifest| manifest.epoch == 2).collect::<Vec<_>>()
    };
    let sent = || {
        of_epoch()
            .iter()
            .map(|manifest| manifest.content.totals.rows)
            .sum::<u64>()
    };
    until(|| sent() == 500).await;
    let manifests = of_epoch();
    assert_eq!(manifests[0].cursor_after, Some(cursor(2_000)));
    assert_eq!(manifests[1].content.totals.rows, 0);
    assert_eq!(manifests[1].cursor_after, Some(cursor(1_500)));
    assert_eq!(manifests[1].source, Some(mark("two", 900)));
    assert_eq!(manifests.last().unwrap().cursor_after, Some(cursor(2_000)));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_set_back_moves_positions_back_and_reads_again() {
    let site = site(2_000);
    all_published(&site.exchange, &site.key, 2_000).await;
    site.set_report(|report| {
        report.reread_from = Some(1_801);
        report.clock = Some(ClockProblem::Behind {
            by: Duration::from_secs(20),
        });
    });
    let lane = &lanes()[0];
    // Published at once, so that a successor reads the rows again too.
    let position = || {
        let last = site
            .exchange
            .chunks(lane, site.key.public())
            .pop()
            .unwrap()
            .manifest;
        (last.content.totals.rows, last.cursor_after)
    };
    until(|| position() == (0, Some(cursor(1_800)))).await;
    assert!(site.is_unverified("source_clock_behind"));
    site.set_report(|report| (report.reread_from, report.clock) = (None, None));
    all_published(&site.exchange, &site.key, 2_200).await;
    until(|| !site.is_unverified("source_clock_behind")).await;
    let chunks = site.exchange.chunks(lane, site.key.public());
    let mut at = None;
    for chunk in &chunks {
        assert_eq!(
            chunk.manifest.cursor_before, at,
            "each begins where the one before ends"
        );
        at.clone_from(&chunk.manifest.cursor_after);
    }
    assert_eq!(at, Some(cursor(2_000)));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fence_stalled_is_shown_and_after_30_s_unverified() {
    let site = site(10);
    all_published(&site.exchange, &site.key, 10).await;
    let holder = || site.view.status().feeds["numbers"].fence_stalled_by.clone();
    site.set_report(|report| {
        report.held = Some(source::FenceHolder {
            what: "prepared transaction".into(),
            role: "xa".into(),
            application: "claims".into(),
            since: Timestamp::UNIX_EPOCH,
        });
        report.stalled_for = Duration::from_secs(29);
        report.clock = Some(ClockProblem::Ahead {
            by: Duration::from_secs(3_600),
        });
    });
    until(|| holder().is_some() && site.is_unverified("source_clock_ahead")).await;
    assert!(
        !site.is_unverified("fence_stalled"),
        "a transaction of some seconds needs no operator"
    );
    site.set_report(|report| report.stalled_for = Duration::from_secs(31));
    until(|| site.is_unverified("fence_stalled")).await;
    site.set_report(|report| (report.held, report.clock, report.stalled_for) = (None, None, Duration::ZERO));
    until(|| holder().is_none() && !site.is_unverified("source_clock_ahead")).await;
    assert!(!site.is_unverified("fence_stalled"));
    site.end().await;
}

//! Runs one feed: reads the source in quanta and sends blocks to the lanes.
//!
//! A quantum needs a permit of the gate, a held lease and a fence. No permit is held while a block waits for its lane, so a slow
//! exchange holds no resources of the source. An error stops or delays only its own feed.

mod collect;
mod errors;
mod evidence;
mod quantum;
mod source_state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::Gate;
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::source::SourceIdentity;
use source::fence::Fence;
use source::{FeedDefinition, FeedReader, Source};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chunker::Chunker;
use crate::conditions::Conditions;
use crate::gate_queue::{GateQueue, QueuedPermit};
use crate::group::{Batch, Group, Member, ResyncPhase, join, prune};
use crate::idle::{IdleFeed, IdleFeeds};
use crate::lane::{LaneHandle, Position, lane_changed};
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::options::PublisherOptions;
use crate::status::{StatusRegistry, WAITING_FOR_GATE};
use source_state::KnownSource;

use collect::Collector;

/// The dependencies of a publisher.
pub struct FeedParts {
    /// The feed.
    pub definition: FeedDefinition,
    /// The source.
    pub source: Arc<dyn Source>,
    /// The gate.
    pub gate: Gate,
    /// Shares the gate between requests and feeds.
    pub gate_queue: GateQueue,
    /// The lease.
    pub lease: LeaseWatch,
    /// The feed's lanes.
    pub lanes: Vec<LaneHandle>,
    /// The options of quanta, closing and idle polls.
    pub options: PublisherOptions,
    /// The idle feeds of the source.
    pub idle: IdleFeeds,
    /// Receives the status.
    pub registry: StatusRegistry,
    /// Takes the conditions that others decide by.
    pub conditions: Conditions,
    /// Takes the source's columns for the lanes.
    pub columns: watch::Sender<Option<RowSchema>>,
}

/// Runs one feed.
pub struct Publisher {
    parts: FeedParts,
    digest: Digest,
    schema: Option<Arc<RowSchema>>,
    reader: Option<Box<dyn FeedReader>>,
    groups: Vec<Group>,
    fence: Option<(Fence, Instant)>,
    /// Whether there is no fence because the source is empty.
    is_empty: bool,
    /// The database at the time of the fence.
    source: Option<SourceIdentity>,
    /// The known source of each lane, with the lane's generation.
    known: BTreeMap<usize, (u64, KnownSource)>,
    failures: u32,
    log_dedup: LogDedup,
    collector: Collector,
    /// For errors that stop reading for a lane, by lane.
    lane_log_dedups: BTreeMap<usize, LogDedup>,
    limit: usize,
    awaiting: Option<Instant>,
    idle: IdleFeed,
    /// Whether new rows were found since the last rest.
    has_new_rows: bool,
    /// The reader's source time at the last rest.
    spent: Duration,
}

/// The maximum age of a fence. An old fence stays valid; it is renewed so that new rows are read soon.
const MAX_FENCE_AGE: Duration = Duration::from_secs(1);

/// How long ready lanes wait for the others before they are read for separately.
const MAX_LANE_WAIT: Duration = Duration::from_secs(2);

enum NextStep {
    /// Run the next step at once.
    Continue,
    /// Rest for this time, or until a lane changes.
    Rest(Duration),
    /// The term of the lease has ended, so nothing more may be read.
    LeaseExpired,
}

impl Publisher {
    /// Creates a publisher of a feed that was not read yet.
    #[must_use]
    pub fn new(parts: FeedParts) -> Self {
        let (digest, limit) = (parts.definition.digest(), parts.options.sizing.first());
        let idle = parts.idle.join();
        Self {
            parts,
            digest,
            schema: None,
            reader: None,
            groups: Vec::new(),
            fence: None,
            is_empty: false,
            source: None,
            known: BTreeMap::new(),
            failures: 0,
            log_dedup: LogDedup::default(),
            collector: Collector::default(),
            lane_log_dedups: BTreeMap::new(),
            limit,
            awaiting: None,
            idle,
            has_new_rows: false,
            spent: Duration::ZERO,
        }
    }

    /// Reads until `stop`, then sends what was read to the lanes and drops their handles.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease = self.parts.lease.clone();
        while !stop.is_cancelled() {
            self.set_state("waiting for the lease");
            // Errors of the previous term are outdated.
            self.parts
                .registry
                .feed(&self.parts.definition.name, |feed| feed.last_error = None);
            let term = tokio::select! { () = stop.cancelled() => break, term = lease.acquired() => term };
            tokio::select! {
                biased;
                () = lease.ended(term) => {}
                () = self.read(&stop) => {}
            }
            if !stop.is_cancelled() {
                // A statement in flight was cancelled with its future, and its connection is not reused. The lanes drop what
                // was read.
                (self.reader, self.fence) = (None, None);
                self.idle.wake();
            }
        }
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        self.set_state("ended");
    }

    /// Reads until `stop` or until the term of the lease has ended.
    ///
    /// Each step spends the task's budget, so that steps without a wait cannot block the timers, sockets and signals of this
    /// worker thread.
    async fn read(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::task::coop::consume_budget().await;
            match self.run_step(stop).await {
                NextStep::Continue => {}
                NextStep::LeaseExpired => return,
                NextStep::Rest(pause) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                        () = lane_changed(&mut self.parts.lanes) => {}
                    }
                }
            }
        }
    }

    async fn run_step(&mut self, stop: &CancellationToken) -> NextStep {
        if self.await_lanes() {
            self.idle.wake();
            self.set_state("waiting for the exchange");
            return NextStep::Rest(MAX_LANE_WAIT);
        }
        if self.follow_lanes().is_none() {
            self.idle.wake();
            // The columns are needed to describe a changed definition.
            if self.schema.is_none() && self.has_changed_definition() {
                return self.open(stop).await;
            }
            self.set_state("waiting for the lanes");
            return NextStep::Rest(Duration::from_secs(1));
        }
        if self.reader.is_none() {
            return self.open(stop).await;
        }
        if self.groups.is_empty() {
            // There are lanes but no groups: the schema does not match the feed.
            self.reader = None;
            return NextStep::Rest(self.parts.options.recheck);
        }
        // Every group reads within the same fence, one quantum each in rotation.
        let Some(index) = self.groups.iter().position(|group| !group.drained) else {
            self.groups.iter_mut().for_each(|group| group.drained = false);
            if let Some(left) = self.collect_wait() {
                self.fence = None;
                self.set_state("collecting rows");
                return NextStep::Rest(self.parts.options.idle_poll.min(left));
            }
            if self.fence.take().is_some() || self.is_empty {
                let (name, now) = (&self.parts.definition.name, Some(Timestamp::now()));
                self.parts.conditions.feed(name, |feed| feed.caught_up_at = now);
                self.parts.registry.feed(name, |feed| feed.caught_up_at = now);
                self.set_state("caught up");
            } else {
                self.set_state("waiting for the fence");
            }
            return NextStep::Rest(self.rest());
        };
        let Some(permit) = self.permit(stop).await else {
            return NextStep::Continue;
        };
        if self.parts.lease.term().is_none() {
            return NextStep::LeaseExpired;
        }
        let next_step = self.run_quantum(index, &permit).await;
        drop(permit);
        for index in 0..self.groups.len() {
            self.send_blocks(index).await;
        }
        // The next group is read next.
        if !self.groups.is_empty() {
            self.groups.rotate_left(1);
        }
        next_step
    }

    /// Returns how long to rest after everything within the fence was read.
    fn rest(&mut self) -> Duration {
        let options = &self.parts.options;
        let spent = self
            .reader
            .as_ref()
            .map_or(Duration::ZERO, |reader| reader.spent());
        let poll = spent.saturating_sub(std::mem::replace(&mut self.spent, spent));
        let is_proving = self.reader.as_ref().is_some_and(|reader| reader.is_proving());
        let rest = if std::mem::take(&mut self.has_new_rows) || is_proving {
            self.idle.wake();
            options.idle_poll
        } else {
            self.idle.rest(options, poll, rand::random())
        };
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.parts
            .registry
            .feed(&self.parts.definition.name, |feed| feed.rest_ms = rest_ms);
        rest
    }

    /// Returns whether to wait for lanes that have not read the exchange yet, so that lanes at equal cursors begin together. The
    /// wait is bounded: one lane must not delay the others.
    fn await_lanes(&mut self) -> bool {
        let unknown = self.parts.lanes.iter().any(|lane| !lane.position.borrow().known);
        if !unknown || !self.groups.is_empty() {
            self.awaiting = None;
            return false;
        }
        self.awaiting.get_or_insert_with(Instant::now).elapsed() < MAX_LANE_WAIT
    }

    /// Updates the groups to the lanes' positions; `None` if no lane can take rows.
    fn follow_lanes(&mut self) -> Option<()> {
        let positions: Vec<Position> = self
            .parts
            .lanes
            .iter_mut()
            .map(|l| l.position.borrow_and_update().clone())
            .collect();
        prune(&mut self.groups, |lane| {
            positions
                .get(lane)
                .filter(|position| position.from.is_some())
                .map(|position| position.generation)
        });
        let mut any = false;
        for (lane, position) in positions.into_iter().enumerate() {
            let Some(from) = position.from else { continue };
            any = true;
            let known = self.groups.iter().any(|group| group.has(lane))
                || self.is_source_replaced(lane, position.generation);
            let (false, Some(schema)) = (known, self.schema.as_ref()) else {
                continue;
            };
            let feed = &self.parts.definition;
            let masks = self.parts.lanes.get(lane).and_then(|lane| lane.masks.clone());
            let masked = |masks: &Arc<Masks>| masks.definition(self.digest);
            let definition = masks.as_ref().map_or(self.digest, masked);
            let created = Chunker::with_masks(schema, &feed.cursor, &feed.money, from, masks)
                .and_then(|chunker| chunker.with_row_filter(position.withhold));
            if created.is_ok() {
                self.clear_lane_error(lane);
            }
            match created {
                Ok(chunker) => self.groups.push(Group {
                    batches: vec![Batch {
                        members: vec![Member {
                            lane,
                            generation: position.generation,
                        }],
                        chunker,
                        definition,
                        load: schemas::load::Load::default(),
                    }],
                    limit: self.limit,
                    drained: false,
                    resync: ResyncPhase::first(position.is_resync, position.begins_at_fence),
                    unordered: Vec::new(),
                }),
                Err(error) => self.report_lane_error(lane, &error.to_string()),
            }
        }
        match join(std::mem::take(&mut self.groups)) {
            Ok(groups) => self.groups = groups,
            Err(error) => self.report_error(error.to_string(), false),
        }
        any.then_some(())
    }

    /// Returns whether a lane is stopped because the feed's definition changed.
    fn has_changed_definition(&self) -> bool {
        let lanes = &self.parts.lanes;
        lanes
            .iter()
            .any(|lane| lane.position.borrow().has_changed_definition)
    }

    /// Waits for a permit. Meanwhile open blocks are closed when they reach the maximum age.
    async fn permit(&mut self, stop: &CancellationToken) -> Option<QueuedPermit> {
        let (gate, gate_queue) = (self.parts.gate.clone(), self.parts.gate_queue.clone());
        if gate.verdict().duty >= 1.0
            && let Some(permit) = gate_queue.try_feed(&gate)
        {
            return Some(permit);
        }
        let mut pending_permit = std::pin::pin!(gate_queue.feed(&gate));
        // While the gate only paces the feed, open blocks wait for more rows up to their maximum age.
        while gate.verdict().permits_work()
            && let Some(since) = self.groups.iter().filter_map(Group::open_since).min()
        {
            let by_age = self.parts.options.close_after.saturating_sub(age(since));
            let collect = self.parts.options.collect;
            let left = by_age.max(self.collector.wait(collect, age(since), Instant::now()));
            if left.is_zero() {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = lane_changed(&mut self.parts.lanes) => return None,
                permit = &mut pending_permit => return Some(permit),
                () = tokio::time::sleep(left) => {}
                () = gate.until_closed() => {}
            }
        }
        // Closed, or paced for long: blocks do not wait for the gate.
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        if !gate.verdict().permits_work() {
            self.set_state(WAITING_FOR_GATE);
        }
        tokio::select! {
            () = stop.cancelled() => None,
            () = lane_changed(&mut self.parts.lanes) => None,
            permit = pending_permit => Some(permit),
        }
    }

    /// Returns how long open blocks still wait for more rows; `None` if none is open. Afterwards the next drained quantum closes
    /// them.
    fn collect_wait(&self) -> Option<Duration> {
        let oldest = self.groups.iter().filter_map(Group::open_since).min()?;
        let collect = self.parts.options.collect;
        Some(self.collector.wait(collect, age(oldest), Instant::now()))
    }

    async fn open(&mut self, stop: &CancellationToken) -> NextStep {
        let Some(permit) = self.permit(stop).await else {
            return NextStep::Continue;
        };
        self.set_state("opening the feed");
        let opened = self.parts.source.open_feed(&self.parts.definition, &permit).await;
        match opened {
            Ok(reader) => {
                drop(permit);
                let columns = reader.schema().clone();
                if self.schema.as_deref().is_some_and(|before| *before != columns) {
                    self.reshape(&columns).await;
                }
                self.schema = Some(Arc::new(columns.clone()));
                self.parts.columns.send_replace(Some(columns.clone()));
                self.parts
                    .registry
                    .feed(&self.parts.definition.name, |feed| feed.columns = Some(columns));
                self.reader = Some(reader);
                self.idle.wake();
                (self.has_new_rows, self.spent) = (false, Duration::ZERO);
                self.show_evidence();
                self.failures = 0;
                NextStep::Continue
            }
            Err(_) if permit.is_revoked() => NextStep::Continue,
            Err(error) => self.source_failed(&error),
        }
    }

    /// Handles changed columns of the source: blocks that were read keep the old columns, and the groups continue with the new.
    async fn reshape(&mut self, columns: &RowSchema) {
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        for mut group in std::mem::take(&mut self.groups) {
            let feed = &self.parts.definition;
            for error in group.reshape(columns, &feed.cursor, &feed.money) {
                self.report_error(error.to_string(), false);
            }
            if !group.batches.is_empty() {
                self.groups.push(group);
            }
        }
        tracing::info!(feed = %self.parts.definition.name, "source columns changed, continuing with the new ones");
    }
}

fn age(since: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or(Duration::ZERO)
}

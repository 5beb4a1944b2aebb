//! One feed's executor: reads the source in quanta and hands blocks to the lanes.
//!
//! A quantum is: a permit of the gate, the lease still ours, the fence, the read. No permit is
//! held while a block waits for its lane, so a slow exchange holds nothing of the source. A
//! feed's trouble is its own: it backs off, or rests until somebody acts, and the others go on.

mod collect;
mod evidence;
mod quantum;
mod source_state;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::Gate;
use jiff::Timestamp;
use runtime::said::Said;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::source::SourceMark;
use source::fence::Fence;
use source::{FeedDefinition, FeedReader, Source};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chunker::Chunker;
use crate::group::{Group, Member, Pack, Phase, join, prune};
use crate::idle::{IdleFeed, IdleFeeds};
use crate::lane::Position;
use crate::lane_end::{LaneEnd, moved};
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::options::PublisherOptions;
use crate::status::{Board, WAITING_FOR_GATE};
use crate::turn::{Turned, Turns};
use source_state::KnownSource;

use collect::Collector;

/// What a feed's executor is made of.
pub struct FeedParts {
    /// The feed.
    pub definition: FeedDefinition,
    /// The source.
    pub source: Arc<dyn Source>,
    /// The gate.
    pub gate: Gate,
    /// Whose turn it is there.
    pub turns: Turns,
    /// The lease.
    pub lease: LeaseWatch,
    /// Its lanes.
    pub lanes: Vec<LaneEnd>,
    /// Quanta, closing, idle polls.
    pub options: PublisherOptions,
    /// The idle feeds of the source.
    pub idle: IdleFeeds,
    /// Where it shows what it does.
    pub board: Board,
}

/// The executor.
pub struct Publisher {
    parts: FeedParts,
    digest: Digest,
    schema: Option<Arc<RowSchema>>,
    reader: Option<Box<dyn FeedReader>>,
    groups: Vec<Group>,
    fence: Option<(Fence, Instant)>,
    /// There is no fence because there is no row.
    is_empty: bool,
    /// The database, as it was when the fence was taken.
    source: Option<SourceMark>,
    /// By lane: the generation, and what is known of its source.
    known: BTreeMap<usize, (u64, KnownSource)>,
    failures: u32,
    said: Said,
    collector: Collector,
    /// By lane: why nothing is read for it.
    lanes_said: BTreeMap<usize, Said>,
    limit: usize,
    awaiting: Option<Instant>,
    idle: IdleFeed,
    /// Since the last rest something new was found.
    has_news: bool,
    /// How long the reader had used the source at the last rest.
    spent: Duration,
}

/// A fence is a lower bound for ever; it is only taken anew so that rows do not get old.
const FENCE_AGE: Duration = Duration::from_secs(1);

/// How long lanes that are ready wait for the others before they are read for alone.
const LANES_TOGETHER: Duration = Duration::from_secs(2);

enum Turn {
    /// Look again at once.
    Go,
    /// Nothing to do until something changes or this time has passed.
    Rest(Duration),
    /// The term of the lease has ended: nothing may be read under it any more.
    LeaseExpired,
}

impl Publisher {
    /// A feed that was not read yet.
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
            said: Said::default(),
            collector: Collector::default(),
            lanes_said: BTreeMap::new(),
            limit,
            awaiting: None,
            idle,
            has_news: false,
            spent: Duration::ZERO,
        }
    }

    /// Reads until `stop`. What was read by then is handed to the lanes, whose ends it drops.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease = self.parts.lease.clone();
        while !stop.is_cancelled() {
            self.state("waiting for the lease");
            // Whatever troubled this process is another's to meet, or to be met again.
            self.parts
                .board
                .feed(&self.parts.definition.name, |feed| feed.last_error = None);
            let term = tokio::select! { () = stop.cancelled() => break, term = lease.held() => term };
            tokio::select! {
                biased;
                () = lease.over(term) => {}
                () = self.read(&stop) => {}
            }
            if !stop.is_cancelled() {
                // A statement in flight was cancelled with the future that held it; the
                // connection it ran on is not used again. The lanes void what was read.
                (self.reader, self.fence) = (None, None);
                self.idle.wake();
            }
        }
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        self.state("ended");
    }

    /// Reads until `stop` or until the term of the lease has ended.
    ///
    /// Each turn spends the task's budget, so that turns which complete without a wait cannot keep this worker thread
    /// from the timers, the sockets and the signals of the process.
    async fn read(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::task::coop::consume_budget().await;
            match self.turn(stop).await {
                Turn::Go => {}
                Turn::LeaseExpired => return,
                Turn::Rest(pause) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                        () = moved(&mut self.parts.lanes) => {}
                    }
                }
            }
        }
    }

    async fn turn(&mut self, stop: &CancellationToken) -> Turn {
        if self.await_lanes() {
            self.idle.wake();
            self.state("waiting for the exchange");
            return Turn::Rest(LANES_TOGETHER);
        }
        if self.follow_lanes().is_none() {
            self.idle.wake();
            // What a changed definition changed is told by the columns, too.
            if self.schema.is_none() && self.parts.board.is_changed(&self.parts.definition.name) {
                return self.open(stop).await;
            }
            self.state("waiting for the lanes");
            return Turn::Rest(Duration::from_secs(1));
        }
        if self.reader.is_none() {
            return self.open(stop).await;
        }
        if self.groups.is_empty() {
            // Lanes are there, but no group could be made: the schema does not fit the feed.
            self.reader = None;
            return Turn::Rest(self.parts.options.recheck);
        }
        // Every group reads within the same fence, one quantum each in turn.
        let Some(index) = self.groups.iter().position(|group| !group.drained) else {
            self.groups.iter_mut().for_each(|group| group.drained = false);
            if let Some(left) = self.collects() {
                self.fence = None;
                self.state("collecting rows");
                return Turn::Rest(self.parts.options.idle_poll.min(left));
            }
            if self.fence.take().is_some() || self.is_empty {
                let now = Timestamp::now();
                self.parts
                    .board
                    .feed(&self.parts.definition.name, |feed| feed.caught_up_at = Some(now));
                self.state("caught up");
            } else {
                self.state("waiting for the fence");
            }
            return Turn::Rest(self.rest());
        };
        let Some(permit) = self.permit(stop).await else {
            return Turn::Go;
        };
        if self.parts.lease.term().is_none() {
            return Turn::LeaseExpired;
        }
        let turn = self.quantum(index, &permit).await;
        drop(permit);
        for index in 0..self.groups.len() {
            self.hand_over(index).await;
        }
        // The next one's turn.
        if !self.groups.is_empty() {
            self.groups.rotate_left(1);
        }
        turn
    }

    /// How long to rest now that everything within the fence was read.
    fn rest(&mut self) -> Duration {
        let options = &self.parts.options;
        let spent = self
            .reader
            .as_ref()
            .map_or(Duration::ZERO, |reader| reader.spent());
        let poll = spent.saturating_sub(std::mem::replace(&mut self.spent, spent));
        let is_proving = self.reader.as_ref().is_some_and(|reader| reader.is_proving());
        let rest = if std::mem::take(&mut self.has_news) || is_proving {
            self.idle.wake();
            options.idle_poll
        } else {
            self.idle.rest(options, poll, rand::random())
        };
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.parts
            .board
            .feed(&self.parts.definition.name, |feed| feed.rest_ms = rest_ms);
        rest
    }

    /// Whether to wait for lanes that have not read the exchange yet, so that lanes at equal
    /// cursors begin together; not for long, for one lane must not keep the others.
    fn await_lanes(&mut self) -> bool {
        let unknown = self.parts.lanes.iter().any(|lane| !lane.position.borrow().known);
        if !unknown || !self.groups.is_empty() {
            self.awaiting = None;
            return false;
        }
        self.awaiting.get_or_insert_with(Instant::now).elapsed() < LANES_TOGETHER
    }

    /// Takes the lanes as they stand now; none: no lane can take rows.
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
                || self.is_other_source(lane, position.generation);
            let (false, Some(schema)) = (known, self.schema.as_ref()) else {
                continue;
            };
            let feed = &self.parts.definition;
            let masks = self.parts.lanes.get(lane).and_then(|lane| lane.masks.clone());
            let own = |masks: &Arc<Masks>| masks.definition(self.digest);
            let definition = masks.as_ref().map_or(self.digest, own);
            let made = Chunker::masking(schema, &feed.cursor, &feed.money, from, masks)
                .and_then(|chunker| chunker.withholding(position.withhold));
            if made.is_ok() {
                self.well_for(lane);
            }
            match made {
                Ok(chunker) => self.groups.push(Group {
                    packs: vec![Pack {
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
                    resync: position.is_resync.then_some(Phase::Within),
                    unplaced: Vec::new(),
                }),
                Err(error) => self.not_for(lane, &error.to_string()),
            }
        }
        match join(std::mem::take(&mut self.groups)) {
            Ok(groups) => self.groups = groups,
            Err(error) => self.trouble(error.to_string()),
        }
        any.then_some(())
    }

    /// Waits for a permit; meanwhile the open blocks are closed when they get too old.
    async fn permit(&mut self, stop: &CancellationToken) -> Option<Turned> {
        let (gate, turns) = (self.parts.gate.clone(), self.parts.turns.clone());
        if gate.verdict().duty >= 1.0
            && let Some(permit) = turns.try_feed(&gate)
        {
            return Some(permit);
        }
        let mut asking = std::pin::pin!(turns.feed(&gate));
        // While the gate only paces us, what was read waits for more, until it is too old.
        while gate.verdict().lets_work()
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
                () = moved(&mut self.parts.lanes) => return None,
                permit = &mut asking => return Some(permit),
                () = tokio::time::sleep(left) => {}
                () = gate.shuts() => {}
            }
        }
        // Shut, or paced for long: nothing that was read waits for the gate.
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        if !gate.verdict().lets_work() {
            self.state(WAITING_FOR_GATE);
        }
        tokio::select! {
            () = stop.cancelled() => None,
            () = moved(&mut self.parts.lanes) => None,
            permit = asking => Some(permit),
        }
    }

    /// How long open blocks still wait for more rows; `None` where none is open. The quantum that finds nothing more after
    /// that closes them.
    fn collects(&self) -> Option<Duration> {
        let oldest = self.groups.iter().filter_map(Group::open_since).min()?;
        let collect = self.parts.options.collect;
        Some(self.collector.wait(collect, age(oldest), Instant::now()))
    }

    async fn open(&mut self, stop: &CancellationToken) -> Turn {
        let Some(permit) = self.permit(stop).await else {
            return Turn::Go;
        };
        self.state("opening the feed");
        let opened = self.parts.source.open_feed(&self.parts.definition, &permit).await;
        match opened {
            Ok(reader) => {
                drop(permit);
                let columns = reader.schema().clone();
                if self.schema.as_deref().is_some_and(|before| *before != columns) {
                    self.reshape(&columns).await;
                }
                self.schema = Some(Arc::new(columns.clone()));
                self.parts
                    .board
                    .feed(&self.parts.definition.name, |feed| feed.columns = Some(columns));
                self.reader = Some(reader);
                self.idle.wake();
                (self.has_news, self.spent) = (false, Duration::ZERO);
                self.show_evidence();
                self.failures = 0;
                Turn::Go
            }
            Err(_) if permit.is_revoked() => Turn::Go,
            Err(error) => self.failed(&error),
        }
    }

    /// The core's columns changed under a running agent: what was read goes out under the old ones, and
    /// the groups go on from there under the new.
    async fn reshape(&mut self, columns: &RowSchema) {
        for index in 0..self.groups.len() {
            self.flush(index).await;
        }
        for mut group in std::mem::take(&mut self.groups) {
            let feed = &self.parts.definition;
            for error in group.reshape(columns, &feed.cursor, &feed.money) {
                self.trouble(error.to_string());
            }
            if !group.packs.is_empty() {
                self.groups.push(group);
            }
        }
        tracing::info!(feed = %self.parts.definition.name, "the source's columns changed; reading on under the new ones");
    }
}

fn age(since: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or(Duration::ZERO)
}

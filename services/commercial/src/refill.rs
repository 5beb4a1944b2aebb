//! Refill: reads and stores chunks again that were acknowledged and are no longer stored.
//!
//! Chunks are read from the recipient's own stream without the durable consumer that pollers share, so other feeds
//! and pollers are not affected. They are stored by the same operation that pollers use: the ledger decides which
//! chunks are new, and the newest version of a row wins. Chunks that the ledger knows are first marked as awaited. So
//! an interrupted refill stays visible, and repeating it is safe.

mod begin;
mod gap;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use exchange::port::{ReadFrom as Begin, Sequence, Stream};
use exchange::seek::{FoundChunk, find_chunk, first_chunk};
use exchange::{Exchange, Stored};
use runtime::backoff::Backoff;
use schemas::encryption::DecryptionKeys;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use store::merge::ChunkNumber;
use store::{LaneReport, Outcome, Refill};
use tokio_util::sync::CancellationToken;

pub use begin::{From, InvalidFrom, needed};
pub use gap::{Gap, GapFinder};

use crate::direct::{ChunkTrust, OpeningEnded, open_all, store_all};
use crate::evidence::other_store;
use crate::open::Opened;
use crate::receipts::last;

/// The number of messages in one read; the exchange bounds their bytes.
const READ_BATCH: usize = 16;

/// The maximum number of awaited chunks listed at the end.
const MAX_LISTED: u32 = 20;

/// How often a read is repeated that a replica answered which lags: some two minutes.
const MAX_LAGGING: u32 = 60;
const LAGGING_BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));

/// The parts of a refill.
pub struct RefillParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The receiver.
    pub store: Arc<dyn Refill>,
    /// The lane.
    pub lane: Lane,
    /// Public keys whose chunks are stored.
    pub trusted: Vec<PublicKey>,
    /// The origin that chunks must have.
    pub here: Origin,
    /// The keys that open encrypted chunks.
    pub decryption_keys: DecryptionKeys,
}

/// Why a refill did not start or finish.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefillError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The process ends.
    #[error(transparent)]
    Opening(#[from] OpeningEnded),
    /// Nothing was done. Contains the cause and the remedy.
    #[error("{0}")]
    Refused(String),
}

/// The progress of a refill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chunks read.
    pub read: u64,
    /// Of these, chunks stored.
    pub stored: u64,
    /// Rows of the stored chunks.
    pub rows: u64,
    /// Of these, rows that constraints refused.
    pub quarantined: u64,
    /// The sequence of the last message read.
    pub sequence: Sequence,
    /// The sequence of the lane's last chunk.
    pub last: Sequence,
}

/// The result of a refill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refilled {
    /// Chunks and rows.
    pub progress: Progress,
    /// Chunks missing at the exchange. Only the bureau can send them again.
    pub gaps: Vec<Gap>,
    /// Chunks that could not be stored, with the reason.
    pub left: Vec<(ChunkNumber, String)>,
    /// Chunks still awaited.
    pub awaited: Vec<ChunkNumber>,
    /// The lane afterwards.
    pub report: Option<LaneReport>,
    /// Whether everything was read to the end.
    pub is_finished: bool,
    /// Set if the refill began at the start instead of a later chunk, because the ledger keeps no entry up to this
    /// chunk.
    pub widened: Option<ChunkNumber>,
}

impl Refilled {
    /// Returns whether nothing is left to do.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_owed = |report: &LaneReport| report.refill_until.is_some();
        self.is_finished
            && self.gaps.is_empty()
            && self.left.is_empty()
            && self.awaited.is_empty()
            && !self.report.as_ref().is_some_and(is_owed)
    }
}

/// Reads a lane's chunks again and stores those that are not stored.
///
/// # Errors
/// [`RefillError`]. Chunks stored until then stay, and a repetition continues.
pub async fn refill(
    parts: &RefillParts,
    from: From,
    stop: &CancellationToken,
    mut show: impl FnMut(&Progress),
) -> Result<Refilled, RefillError> {
    let (exchange, lane) = (parts.exchange.as_ref(), &parts.lane);
    let refused = |what: String| Err(RefillError::Refused(what));
    let identity = parts.store.identity().await?;
    if let Some((receipt, _)) = last(exchange, lane).await?
        && let Some(other) = receipt.store.filter(|store| !identity.owns(store))
    {
        return refused(other_store(lane, &identity.id, &other));
    }
    let Some(tail) = exchange.last_chunk(lane).await? else {
        return refused(format!(
            "the exchange keeps no chunk of lane {lane}: ask the bureau to send the feed again: \
             slacktide feed rewind {} --recipient {} --from beginning",
            lane.feed, lane.recipient
        ));
    };
    let before = report(parts).await?;
    if let Some(why) = before.as_ref().and_then(|report| report.stopped.clone()) {
        return refused(format!("lane {lane} is stopped: {why}; nothing was stored again"));
    }
    let Some(first) = first_chunk(exchange, lane, Begin::Sequence(0)).await? else {
        return refused(format!(
            "the exchange keeps nothing of lane {lane} that reads as a chunk"
        ));
    };
    let widened = folded_from(parts, from, before.as_ref()).await?;
    let from = if widened.is_some() { From::Start } else { from };
    let Some((begin, needed)) = begin(parts, from, before.as_ref(), &first).await? else {
        let report = report(parts).await?;
        let awaited = parts.store.awaited(lane, MAX_LISTED).await?;
        return Ok(Refilled {
            progress: Progress::default(),
            gaps: Vec::new(),
            left: Vec::new(),
            awaited,
            report,
            is_finished: true,
            widened: None,
        });
    };
    let awaited_before = parts.store.awaited(lane, u32::MAX).await?;
    if from != From::Receipt {
        let until = schemas::chunk::read_untrusted(&tail.bytes)
            .map_or(ChunkNumber::BEGINNING, |(manifest, _)| {
                ChunkNumber::from_manifest(&manifest)
            });
        parts
            .store
            .mark_awaited(lane, chunk_number(&begin), until)
            .await?;
    }
    let mut run = Run {
        parts,
        trust: ChunkTrust {
            trusted: parts.trusted.clone(),
            here: parts.here.clone(),
            decryption_keys: parts.decryption_keys.clone(),
        },
        progress: Progress {
            last: tail.sequence,
            ..Progress::default()
        },
        left: Vec::new(),
        gaps: GapFinder::new(needed),
        awaited_before,
    };
    let is_finished = run.read(begin.stored.sequence, stop, &mut show).await?;
    let refilled = finish(run, from, is_finished).await?;
    Ok(Refilled { widened, ..refilled })
}

/// Returns up to which chunk ledger entries are folded, if the refill begins at or before it. Folded chunks can only
/// be stored again all together, from the start.
async fn folded_from(
    parts: &RefillParts,
    from: From,
    report: Option<&LaneReport>,
) -> Result<Option<ChunkNumber>, RefillError> {
    let Some(compacted) = report.and_then(|report| report.compacted) else {
        return Ok(None);
    };
    let begin = match from {
        From::Receipt | From::Start => return Ok(None),
        From::Chunk(chunk_number) => Some(chunk_number),
        From::Time(time) => first_chunk(parts.exchange.as_ref(), &parts.lane, Begin::Time(time))
            .await?
            .as_ref()
            .map(chunk_number),
    };
    Ok(begin.filter(|begin| *begin <= compacted).map(|_| compacted))
}

async fn finish(run: Run<'_>, from: From, is_finished: bool) -> Result<Refilled, RefillError> {
    let Run {
        parts,
        progress,
        left,
        mut gaps,
        awaited_before,
        ..
    } = run;
    let lane = &parts.lane;
    let read = report(parts).await?;
    let lineage_start = read
        .as_ref()
        .map_or(ChunkNumber::BEGINNING, |report| report.lineage_start);
    if read.is_none_or(|report| report.stopped.is_none()) {
        let awaited = parts.store.awaited(lane, u32::MAX).await?;
        if is_finished {
            gaps.observe_awaited(&awaited);
        }
        let failed: Vec<ChunkNumber> = left.iter().map(|(chunk_number, _)| *chunk_number).collect();
        for chunk_number in gaps.given_up(&awaited, &awaited_before, &failed) {
            parts.store.mark_stored(lane, chunk_number).await?;
        }
    }
    let (awaited, report) = (parts.store.awaited(lane, MAX_LISTED).await?, report(parts).await?);
    if let Some(report) = report.as_ref().filter(|_| is_finished)
        && left.is_empty()
        && awaited.is_empty()
    {
        gaps.observe_frontier(report.chunk_number(), lineage_start);
    }
    let refilled = Refilled {
        progress,
        gaps: gaps.relevant(lineage_start),
        left,
        awaited,
        report,
        is_finished,
        widened: None,
    };
    if from == From::Start && refilled.is_whole() {
        // While rows were lost, their updates were counted as new rows.
        parts.store.accept_row_count(lane, None).await?;
    }
    Ok(refilled)
}

fn chunk_number(sought: &FoundChunk) -> ChunkNumber {
    ChunkNumber {
        epoch: sought.epoch,
        number: sought.number,
    }
}

async fn report(parts: &RefillParts) -> Result<Option<LaneReport>, RefillError> {
    let reports = parts.store.reports().await?;
    Ok(reports.into_iter().find(|report| report.lane == parts.lane))
}

/// Returns the chunk to begin at and the first one that is needed; `None` if the exchange has no chunk from there on.
async fn begin(
    parts: &RefillParts,
    from: From,
    report: Option<&LaneReport>,
    first: &FoundChunk,
) -> Result<Option<(FoundChunk, ChunkNumber)>, RefillError> {
    let (exchange, lane) = (parts.exchange.as_ref(), &parts.lane);
    match (from, needed(from, report)) {
        (From::Time(time), _) => {
            let begin = first_chunk(exchange, lane, Begin::Time(time)).await?;
            Ok(begin.map(|begin| {
                let at = chunk_number(&begin);
                (begin, at)
            }))
        }
        (_, Some(needed)) => {
            let begin = find_chunk(exchange, lane, (needed.epoch, needed.number)).await?;
            Ok(begin.map(|begin| (begin, needed)))
        }
        (_, None) => Ok(Some((first.clone(), ChunkNumber { epoch: 1, number: 1 }))),
    }
}

/// The state of a running refill.
struct Run<'a> {
    parts: &'a RefillParts,
    trust: ChunkTrust,
    progress: Progress,
    left: Vec<(ChunkNumber, String)>,
    gaps: GapFinder,
    /// Chunks that were awaited before this refill began.
    awaited_before: Vec<ChunkNumber>,
}

impl Run<'_> {
    /// Reads to the end; returns `false` if it was stopped before.
    async fn read(
        &mut self,
        begin: Sequence,
        stop: &CancellationToken,
        show: &mut impl FnMut(&Progress),
    ) -> Result<bool, RefillError> {
        let (mut next, filter) = (begin, format!("data.{}", self.parts.lane));
        let mut lagging = 0;
        while !stop.is_cancelled() {
            let from = Begin::Sequence(next);
            let some = self
                .parts
                .exchange
                .read(Stream::Data, from, &filter, READ_BATCH)
                .await?;
            let Some(last) = some.last() else {
                if next > self.progress.last {
                    return Ok(true);
                }
                // The lane's last chunk was read, so the server that answers now lags behind another one.
                lagging = self.wait_for_replica(lagging).await?;
                continue;
            };
            lagging = 0;
            next = last.sequence + 1;
            self.progress.sequence = last.sequence;
            self.progress.read += some.len() as u64;
            for (manifest, _) in some
                .iter()
                .filter_map(|stored| schemas::chunk::read_untrusted(&stored.bytes))
            {
                let opening = manifest.opening.as_ref().map(|opening| opening.continues);
                self.gaps.observe(ChunkNumber::from_manifest(&manifest), opening);
            }
            self.store(some).await?;
            show(&self.progress);
        }
        Ok(false)
    }

    /// Waits before a read is repeated that a replica answered which lags.
    ///
    /// # Errors
    /// `Lagging` if it was repeated too often.
    async fn wait_for_replica(&self, waited: u32) -> Result<u32, RefillError> {
        let Progress { sequence, last, .. } = self.progress;
        let what = format!(
            "replica lags: the chunks of lane {} were read up to sequence {sequence}, and the last one is at {last}",
            self.parts.lane
        );
        if waited >= MAX_LAGGING {
            return Err(exchange::Error::new(exchange::ErrorKind::Lagging, what).into());
        }
        tracing::info!(lane = %self.parts.lane, sequence, last, "replica lags, reading again");
        tokio::time::sleep(LAGGING_BACKOFF.delay(waited + 1, rand::random())).await;
        Ok(waited + 1)
    }

    async fn store(&mut self, some: Vec<Stored>) -> Result<(), RefillError> {
        let mut arrivals = Vec::new();
        for opened in open_all(some, &self.trust).await? {
            match opened {
                Opened::Chunk(_, arrival) => arrivals.push(*arrival),
                Opened::Unreadable(message) => {
                    let at = message
                        .claims
                        .as_ref()
                        .map(|claims| ChunkNumber::from_manifest(&claims.0));
                    // An awaited chunk could be opened before and keeps its state. Any other chunk is quarantined, as
                    // a poller would do.
                    let awaited: BTreeSet<ChunkNumber> = self
                        .parts
                        .store
                        .awaited(&self.parts.lane, u32::MAX)
                        .await?
                        .into_iter()
                        .collect();
                    match at.filter(|at| awaited.contains(at)) {
                        Some(at) => self.left.push((at, message.reason.clone())),
                        None => self.parts.store.quarantine(&message).await?,
                    }
                }
                Opened::Closed(_, why) | Opened::Foreign(why) => {
                    self.left.push((ChunkNumber::BEGINNING, why));
                }
            }
        }
        if arrivals.is_empty() {
            return Ok(());
        }
        let outcomes = store_all(self.parts.store.as_ref(), &self.parts.lane, &arrivals).await?;
        for (arrival, outcome) in arrivals.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { rows, quarantined } => {
                    self.progress.stored += 1;
                    self.progress.rows += rows;
                    self.progress.quarantined += quarantined;
                }
                Outcome::AlreadyStored | Outcome::Superseded => {}
                Outcome::Stopped { reason } | Outcome::Deferred { reason } => {
                    self.left.push((ChunkNumber::of(arrival), reason));
                }
            }
        }
        Ok(())
    }
}

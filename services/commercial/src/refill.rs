//! Refill: chunks that were acknowledged and are not stored any more are read and stored again.
//!
//! They are read from the recipient's own stream, which changes nothing there: the durable consumer that all pollers share
//! stays where it is, and other feeds and other pollers notice nothing. They are stored by the verb that pollers use, so the ledger
//! decides what is new, and the newest version of a row wins. Chunks that the ledger knows are awaited again first, so a
//! refill that ends early stays visible, and repeating it is harmless.

mod gap;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use exchange::port::{From as Begin, Sequence, Stream};
use exchange::seek::{Sought, first_chunk, seek_chunk};
use exchange::{Delivery, Exchange, Stored};
use jiff::Timestamp;
use runtime::backoff::Backoff;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::seal::SealRing;
use schemas::sign::PublicKey;
use store::merge::Place;
use store::{Arrival, ErrorKind, LaneReport, Outcome, Refill};
use tokio_util::sync::CancellationToken;

pub use gap::{Gap, gap};

use crate::evidence::other_store;
use crate::open::{Opened, open};
use crate::receipts::last;

/// Messages that are read at once; the exchange bounds their bytes.
const AT_ONCE: usize = 16;

/// Awaited chunks that are listed at the end.
const LISTED: u32 = 20;

/// How often a transaction is tried again while a poller holds a lock that it needs.
const MOST_CONTENDED: u32 = 8;
const CONTENDED: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Where a refill begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Behind what the ledger holds without a gap.
    Receipt,
    /// At the first chunk that the exchange keeps.
    Start,
    /// At this chunk.
    Chunk(Place),
    /// At the first chunk that the exchange stored at this time or later.
    Time(Timestamp),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let chunk = |rest: &str| {
            let (epoch, number) = rest.split_once('.')?;
            Some(Self::Chunk(Place {
                epoch: epoch.parse().ok().filter(|epoch| *epoch > 0)?,
                number: number.parse().ok().filter(|number| *number > 0)?,
            }))
        };
        let read = match (text, text.split_once(':')) {
            ("receipt", _) => Some(Self::Receipt),
            ("start", _) => Some(Self::Start),
            (_, Some(("chunk", rest))) => chunk(rest),
            (_, Some(("time", rest))) => rest.parse().ok().map(Self::Time),
            _ => None,
        };
        read.ok_or_else(|| "give receipt, start, chunk:EPOCH.NUMBER, or time:2026-01-31T22:15:00Z".to_owned())
    }
}

/// What a refill is made of.
pub struct RefillParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The receiver.
    pub store: Arc<dyn Refill>,
    /// The lane.
    pub lane: Lane,
    /// Keys whose chunks are stored.
    pub trusted: Vec<PublicKey>,
    /// Where chunks have to belong.
    pub here: Origin,
    /// What opens sealed chunks.
    pub seals: SealRing,
}

/// Why a refill was not begun, or not finished.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefillError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Nothing was done: why, and what to do.
    #[error("{0}")]
    Refused(String),
}

/// How far a refill is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that were read.
    pub read: u64,
    /// Of these, chunks that were stored now.
    pub stored: u64,
    /// Rows of them.
    pub rows: u64,
    /// Of these, rows that constraints refused.
    pub quarantined: u64,
    /// The sequence that was read last.
    pub sequence: Sequence,
    /// The sequence of the lane's last chunk.
    pub last: Sequence,
}

/// What a refill came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refilled {
    /// Chunks and rows.
    pub progress: Progress,
    /// What the exchange does not keep any more: only the bureau can send it again.
    pub gap: Option<Gap>,
    /// Chunks that could not be stored, with the reason.
    pub left: Vec<(Place, String)>,
    /// Chunks that are awaited still.
    pub awaited: Vec<Place>,
    /// The lane afterwards.
    pub report: Option<LaneReport>,
    /// Whether everything was read to the end.
    pub is_finished: bool,
    /// It began at the start in place of a later chunk, because the ledger keeps no entry up to here.
    pub widened: Option<Place>,
}

impl Refilled {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_owed = |report: &LaneReport| report.owed.is_some();
        self.is_finished
            && self.gap.is_none()
            && self.left.is_empty()
            && self.awaited.is_empty()
            && !self.report.as_ref().is_some_and(is_owed)
    }
}

/// Reads a lane's chunks again and stores what is not stored.
///
/// # Errors
/// [`RefillError`]. What was stored until then stays, and a repetition goes on.
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
        let awaited = parts.store.awaited(lane, LISTED).await?;
        return Ok(Refilled {
            progress: Progress::default(),
            gap: None,
            left: Vec::new(),
            awaited,
            report,
            is_finished: true,
            widened: None,
        });
    };
    let found_gap = gap(needed, place(&first), opens_all(&first));
    if from != From::Receipt {
        let until = schemas::chunk::place(&tail.bytes)
            .map_or(Place::BEGINNING, |(manifest, _)| Place::of_manifest(&manifest));
        parts.store.await_again(lane, place(&begin), until).await?;
    }
    let mut run = Run {
        parts,
        progress: Progress {
            last: tail.sequence,
            ..Progress::default()
        },
        left: Vec::new(),
    };
    let is_finished = run.read(begin.stored.sequence, stop, &mut show).await?;
    let Run { progress, left, .. } = run;
    let refilled = finish(parts, from, (progress, left), found_gap, is_finished).await?;
    Ok(Refilled { widened, ..refilled })
}

/// Up to where the ledger keeps no entry, where a refill is to begin at or before that: folded chunks are stored again all
/// together, from the start.
async fn folded_from(
    parts: &RefillParts,
    from: From,
    report: Option<&LaneReport>,
) -> Result<Option<Place>, RefillError> {
    let Some(compacted) = report.and_then(|report| report.compacted) else {
        return Ok(None);
    };
    let begin = match from {
        From::Receipt | From::Start => return Ok(None),
        From::Chunk(place) => Some(place),
        From::Time(time) => first_chunk(parts.exchange.as_ref(), &parts.lane, Begin::Time(time))
            .await?
            .as_ref()
            .map(place),
    };
    Ok(begin.filter(|begin| *begin <= compacted).map(|_| compacted))
}

async fn finish(
    parts: &RefillParts,
    from: From,
    (progress, left): (Progress, Vec<(Place, String)>),
    gap: Option<Gap>,
    is_finished: bool,
) -> Result<Refilled, RefillError> {
    let lane = &parts.lane;
    let stopped = report(parts).await?.and_then(|report| report.stopped);
    if stopped.is_none() {
        // What cannot be stored again is as it was before; it is shown, and the rows that are missing stay visible.
        for (place, _) in &left {
            parts.store.as_before(lane, *place).await?;
        }
    }
    let refilled = Refilled {
        progress,
        gap,
        left,
        awaited: parts.store.awaited(lane, LISTED).await?,
        report: report(parts).await?,
        is_finished,
        widened: None,
    };
    if from == From::Start && refilled.is_whole() {
        // Updates of rows that were lost counted as new ones meanwhile.
        parts.store.trust_rows(lane, None).await?;
    }
    Ok(refilled)
}

fn place(sought: &Sought) -> Place {
    Place {
        epoch: sought.epoch,
        number: sought.number,
    }
}

/// Whether a chunk opens an epoch that goes on from nothing: everything is sent again behind it.
fn opens_all(sought: &Sought) -> bool {
    schemas::chunk::place(&sought.stored.bytes)
        .and_then(|(manifest, _)| manifest.opening)
        .is_some_and(|opening| opening.continues.is_none())
}

async fn report(parts: &RefillParts) -> Result<Option<LaneReport>, RefillError> {
    let reports = parts.store.reports().await?;
    Ok(reports.into_iter().find(|report| report.lane == parts.lane))
}

/// The chunk to begin at, and the first one that is needed; `None` where nothing is kept behind it.
async fn begin(
    parts: &RefillParts,
    from: From,
    report: Option<&LaneReport>,
    first: &Sought,
) -> Result<Option<(Sought, Option<Place>)>, RefillError> {
    let (exchange, lane) = (parts.exchange.as_ref(), &parts.lane);
    let Some(needed) = needed(from, report) else {
        let From::Time(time) = from else {
            return Ok(Some((first.clone(), None)));
        };
        let begin = first_chunk(exchange, lane, Begin::Time(time)).await?;
        return Ok(begin.map(|begin| {
            let at = place(&begin);
            (begin, Some(at))
        }));
    };
    let begin = seek_chunk(exchange, lane, (needed.epoch, needed.number)).await?;
    // Behind the last chunk of an epoch comes the next one: nothing lies between.
    let needed = if from == From::Receipt && begin.as_ref().is_some_and(|begin| begin.epoch > needed.epoch) {
        begin.as_ref().map(place)
    } else {
        Some(needed)
    };
    Ok(begin.map(|begin| (begin, needed)))
}

/// PURE: the first chunk that is needed; `None` where the exchange has to be asked what it keeps.
#[must_use]
pub fn needed(from: From, report: Option<&LaneReport>) -> Option<Place> {
    match from {
        From::Receipt => Some(report.map_or(Place { epoch: 1, number: 1 }, |report| Place {
            epoch: report.epoch,
            number: report.to + 1,
        })),
        From::Chunk(place) => Some(place),
        From::Start | From::Time(_) => None,
    }
}

/// What a refill does.
struct Run<'a> {
    parts: &'a RefillParts,
    progress: Progress,
    left: Vec<(Place, String)>,
}

impl Run<'_> {
    /// Reads to the end; `false` where it was stopped before.
    async fn read(
        &mut self,
        begin: Sequence,
        stop: &CancellationToken,
        show: &mut impl FnMut(&Progress),
    ) -> Result<bool, RefillError> {
        let (mut next, filter) = (begin, format!("data.{}", self.parts.lane));
        while !stop.is_cancelled() {
            let from = Begin::Sequence(next);
            let some = self
                .parts
                .exchange
                .read(Stream::Data, from, &filter, AT_ONCE)
                .await?;
            let Some(last) = some.last() else { return Ok(true) };
            next = last.sequence + 1;
            self.progress.sequence = last.sequence;
            self.progress.read += some.len() as u64;
            self.store(some).await?;
            show(&self.progress);
        }
        Ok(false)
    }

    async fn store(&mut self, some: Vec<Stored>) -> Result<(), RefillError> {
        let mut arrivals = Vec::new();
        for opened in self.open(some).await? {
            match opened {
                Opened::Chunk(_, arrival) => arrivals.push(*arrival),
                Opened::Unreadable(message) => {
                    let at = message
                        .claims
                        .as_ref()
                        .map(|claims| Place::of_manifest(&claims.0));
                    // One that is awaited could be opened before, and stays as it was; any other is kept as a poller keeps it.
                    let awaited: BTreeSet<Place> = self
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
                    self.left.push((Place::BEGINNING, why));
                }
            }
        }
        if arrivals.is_empty() {
            return Ok(());
        }
        let outcomes = self.commit(&arrivals).await?;
        for (arrival, outcome) in arrivals.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { rows, quarantined } => {
                    self.progress.stored += 1;
                    self.progress.rows += rows;
                    self.progress.quarantined += quarantined;
                }
                Outcome::Already | Outcome::Superseded => {}
                Outcome::Stopped { reason } | Outcome::Later { reason } => {
                    self.left.push((Place::of(arrival), reason));
                }
            }
        }
        Ok(())
    }

    /// Stores arrivals; what waits for the frontier is stored once the frontier has moved.
    async fn commit(&self, arrivals: &[Arrival]) -> store::Result<Vec<Outcome>> {
        let mut outcomes = self.put(arrivals).await?;
        let waits = |outcome: &Outcome| matches!(outcome, Outcome::Later { .. });
        if outcomes.iter().any(waits) {
            self.parts.store.reports().await?;
            for (outcome, again) in outcomes.iter_mut().zip(self.put(arrivals).await?) {
                if waits(outcome) {
                    *outcome = again;
                }
            }
        }
        Ok(outcomes)
    }

    async fn put(&self, arrivals: &[Arrival]) -> store::Result<Vec<Outcome>> {
        let mut failures = 0;
        loop {
            match self.parts.store.store(&self.parts.lane, arrivals).await {
                Err(error) if error.kind == ErrorKind::Contended && failures < MOST_CONTENDED => {
                    failures += 1;
                    tokio::time::sleep(CONTENDED.delay(failures, rand::random())).await;
                }
                done => return done,
            }
        }
    }

    /// Costs CPU.
    async fn open(&self, some: Vec<Stored>) -> Result<Vec<Opened>, RefillError> {
        let (trusted, here, seals) = (
            self.parts.trusted.clone(),
            self.parts.here.clone(),
            self.parts.seals.clone(),
        );
        let opening = tokio::task::spawn_blocking(move || {
            let delivery = |stored: Stored| Delivery {
                subject: stored.subject,
                sequence: stored.sequence,
                stored_at: stored.stored_at,
                attempt: 1,
                bytes: stored.bytes,
                token: String::new(),
            };
            some.into_iter()
                .map(|stored| open(&delivery(stored), &trusted, &here, &seals))
                .collect()
        });
        opening
            .await
            .map_err(|error| RefillError::Refused(format!("opening chunks ended early: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u32, number: u64) -> Place {
        Place { epoch, number }
    }

    #[test]
    fn refill_needs_what_lies_behind_the_frontier() {
        let report = store::samples::report(store::samples::lane(), 2, 9);
        assert_eq!(needed(From::Receipt, Some(&report)), Some(at(2, 10)));
        assert_eq!(needed(From::Receipt, None), Some(at(1, 1)));
        assert_eq!(needed(From::Chunk(at(1, 4)), Some(&report)), Some(at(1, 4)));
        assert_eq!(needed(From::Start, Some(&report)), None);
    }

    #[test]
    fn refill_begins_at_a_receipt_a_start_a_chunk_or_a_time() {
        assert_eq!("receipt".parse(), Ok(From::Receipt));
        assert_eq!("start".parse(), Ok(From::Start));
        assert_eq!("chunk:2.17".parse(), Ok(From::Chunk(at(2, 17))));
        let time = "2026-01-31T22:15:00Z";
        assert_eq!(
            format!("time:{time}").parse(),
            Ok(From::Time(time.parse().unwrap()))
        );
        for wrong in ["", "chunk:2", "chunk:0.1", "chunk:1.0", "time:yesterday", "2.17"] {
            assert!(wrong.parse::<From>().is_err(), "{wrong:?}");
        }
    }
}

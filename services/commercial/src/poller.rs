//! The poller: at each tick it fetches until nothing is left, then sleeps to the next tick.
//!
//! Fetching and opening of a batch run while the store commits the one before. A delivery is
//! settled after its transaction has committed, never earlier; what is left unsettled by a
//! crash comes again. Lanes are stored side by side, and a lane whose transactions fail rests
//! by itself.

mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Delivery, Exchange, Settlement};
use futures_util::future::join_all;
use jiff::Timestamp;
use runtime::backoff::Backoff;
use runtime::said::Said;
use runtime::supervise::describe_end;
use schemas::name::{Lane, RecipientName};
use schemas::origin::Origin;
use schemas::seal::SealRing;
use schemas::sign::{PublicKey, SigningKey};
use store::port::Unreadable;
use store::{Arrival, Keep, Store};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compare::Comparison;
use crate::open::{Opened, open};
use crate::receipts::Receipts;
use crate::status::Board;
use crate::step::{STOPPED_REST, batches, next_tick};
use crate::transaction::{Attempt, settle, store_lane};

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollOptions {
    /// The first fixed interval: how long from tick to tick.
    pub interval: Duration,
    /// Most messages of a fetch. With chunks of 250 KB this bounds memory too.
    pub max_messages: usize,
    /// Most packed bytes of a transaction.
    pub most_bytes: usize,
    /// How long a stop may take before what is left is dropped; it is delivered again.
    pub grace: Duration,
    /// Which ledger entries are kept.
    pub keep: Keep,
}

impl Default for PollOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            max_messages: 32,
            most_bytes: 4_000_000,
            grace: Duration::from_secs(10),
            keep: Keep::default(),
        }
    }
}

/// Everything that the agent is made of.
pub struct CommercialParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The receiver.
    pub store: Arc<dyn Store>,
    /// Who it receives for.
    pub recipient: RecipientName,
    /// Keys whose chunks are stored.
    pub trusted: Vec<PublicKey>,
    /// Where chunks have to belong, and receipts do.
    pub here: Origin,
    /// What opens sealed chunks.
    pub seals: SealRing,
    /// Signs receipts.
    pub key: Arc<SigningKey>,
    /// What an operator may set.
    pub options: PollOptions,
    /// Where it shows what it does.
    pub board: Board,
}

/// Why the agent ended other than by a stop.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommercialError {
    /// The store's own tables could not be made, and only an operator can help.
    #[error("the store is not ready: {0}")]
    Store(#[from] store::Error),
    /// The exchange refused for good.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A stop was ordered, and what was in hand was not finished within the grace.
    #[error(
        "the grace was over before what was in hand was stored and settled; it is delivered again at the next start"
    )]
    Unfinished,
}

type Fetched = JoinHandle<exchange::Result<Vec<(Delivery, Opened)>>>;

/// The poller.
pub struct Poller {
    parts: CommercialParts,
    receipts: Receipts,
    failures: BTreeMap<Lane, u32>,
    resting: BTreeMap<Lane, Instant>,
    /// Whether this round met trouble that was no lane's; how many rounds in a row did.
    troubled: bool,
    troubles: u32,
    said: Said,
    said_of: BTreeMap<Lane, Said>,
    /// What was logged of lanes that wait for an operator.
    held_up: BTreeMap<Lane, Said>,
    /// What was said of receipts: a lane that stores has nothing to do with whether its receipts are taken.
    receipts_said: BTreeMap<Lane, Said>,
    /// The store against its own receipts.
    comparison: Comparison,
    /// When old ledger entries are looked for again; `None`: at the next opportunity.
    compacts_at: Option<Instant>,
}

/// How long to wait beyond the next tick after rounds that met trouble.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// How long a chunk waits before it is looked at again when the key that opens it is not here.
const FOR_A_KEY: Duration = Duration::from_secs(10);

/// Old ledger entries are looked for this often.
const COMPACT_EVERY: Duration = Duration::from_secs(3_600);

/// Receipts are written at least this often during a long drain.
const RECEIPT_EVERY: Duration = Duration::from_secs(1);

impl Poller {
    /// Over these parts; touches nothing yet.
    #[must_use]
    pub fn new(parts: CommercialParts) -> Self {
        Self {
            parts,
            receipts: Receipts::default(),
            failures: BTreeMap::new(),
            resting: BTreeMap::new(),
            troubled: false,
            troubles: 0,
            said: Said::default(),
            said_of: BTreeMap::new(),
            held_up: BTreeMap::new(),
            receipts_said: BTreeMap::new(),
            comparison: Comparison::default(),
            compacts_at: None,
        }
    }

    /// Polls until `stop`. A transaction in flight is finished and settled first. Closes nothing.
    ///
    /// # Errors
    /// [`CommercialError`] where only an operator can help. Everything else is waited out.
    pub async fn poll(&mut self, stop: CancellationToken) -> Result<(), CommercialError> {
        let recipient = self.parts.recipient.to_string();
        self.parts.board.note(|status| {
            status.recipient = recipient;
            status.is_compared_first = true;
        });
        let born = Instant::now();
        let (mut prepared, mut was_prepared) = (false, false);
        let mut tick = Duration::ZERO;
        while !stop.is_cancelled() {
            self.parts.board.note(|status| {
                status.ticks += 1;
                status.ticked_at = Some(Timestamp::now());
            });
            if !prepared {
                match self.parts.store.prepare().await {
                    Ok(()) => {
                        (prepared, was_prepared) = (true, true);
                        self.parts.board.note(|status| status.is_prepared = true);
                    }
                    // A store that is being put back is waited for.
                    Err(error)
                        if !was_prepared
                            && matches!(error.kind, store::ErrorKind::Denied | store::ErrorKind::Refused) =>
                    {
                        return Err(error.into());
                    }
                    Err(error) => self.trouble(&error.to_string()),
                }
            }
            if prepared && self.may_fetch().await && self.drain(&stop).await && !stop.is_cancelled() {
                self.compact().await;
            }
            // A store that was replaced has to be prepared, too.
            prepared &= self.comparison.identity().is_some();
            let rested = Instant::now() + self.end_round();
            tick = next_tick(tick, self.parts.options.interval, born.elapsed());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(rested.max(born + tick)) => {}
            }
        }
        Ok(())
    }

    /// What a round came to: how long to wait at least.
    fn end_round(&mut self) -> Duration {
        if std::mem::take(&mut self.troubled) {
            self.troubles = self.troubles.saturating_add(1);
            self.state("waiting to try again");
            return BACKOFF.delay(self.troubles, rand::random());
        }
        self.troubles = 0;
        if let Some(met) = self.said.over() {
            tracing::info!(met, "the trouble is over");
        }
        self.parts.board.note(|status| status.last_error = None);
        self.state("waiting for the next tick");
        Duration::ZERO
    }

    /// Fetches and stores until nothing is left, or something fails that time has to mend. Returns whether nothing is left.
    async fn drain(&mut self, stop: &CancellationToken) -> bool {
        self.state("polling");
        let mut is_drained = false;
        let mut receipted = Instant::now();
        let mut next = Some(self.fetch());
        while let Some(fetched) = next.take() {
            let batch = match fetched.await {
                Ok(Ok(batch)) => batch,
                Ok(Err(error)) => {
                    self.trouble(&error.to_string());
                    break;
                }
                Err(error) => {
                    self.trouble(&format!("opening a batch ended early: {}", describe_end(&error)));
                    break;
                }
            };
            if batch.is_empty() {
                // An empty answer alone is not the end.
                match self.parts.exchange.drained(&self.parts.recipient).await {
                    Ok(true) => {
                        self.parts
                            .board
                            .note(|status| status.drained_at = Some(Timestamp::now()));
                        is_drained = true;
                        break;
                    }
                    Ok(false) if stop.is_cancelled() => break,
                    Ok(false) => {}
                    Err(error) => {
                        self.trouble(&error.to_string());
                        break;
                    }
                }
            }
            // What was fetched is stored and settled even while stopping; nothing new is.
            if !stop.is_cancelled() {
                next = Some(self.fetch());
            }
            if !batch.is_empty() {
                self.store(batch).await;
            }
            if !self.may_fetch().await {
                // What was fetched and not stored is delivered again.
                return false;
            }
            if receipted.elapsed() >= RECEIPT_EVERY {
                self.write_receipts().await;
                receipted = Instant::now();
            }
        }
        self.write_receipts().await;
        is_drained && !self.troubled
    }

    /// Folds some of the oldest ledger entries, while there are any; then looks for more an hour later. An agent with nothing
    /// to do does it, so that no chunk waits for it.
    async fn compact(&mut self) {
        if self.compacts_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let covered = self.comparison.covered();
        let again = match self.parts.store.compact(&self.parts.options.keep, &covered).await {
            Ok(0) => COMPACT_EVERY,
            Ok(entries) => {
                tracing::debug!(entries, "old ledger entries folded");
                Duration::ZERO
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = COMPACT_EVERY.as_secs(), "old ledger entries are not folded");
                COMPACT_EVERY
            }
        };
        self.compacts_at = Some(Instant::now() + again);
    }

    /// Whether the store is known to be the one that its receipts were signed for: compared at the start, after
    /// trouble and every some seconds.
    async fn may_fetch(&mut self) -> bool {
        if let Err(error) = self.comparison.renew(&self.parts).await {
            self.trouble(&error);
            return false;
        }
        if !self.parts.board.may_fetch() {
            self.state("stopped: the receipts are another store's");
            return false;
        }
        true
    }

    fn fetch(&self) -> Fetched {
        let exchange = Arc::clone(&self.parts.exchange);
        let (recipient, trusted) = (self.parts.recipient.clone(), self.parts.trusted.clone());
        let (here, seals) = (self.parts.here.clone(), self.parts.seals.clone());
        let (max, board) = (self.parts.options.max_messages, self.parts.board.clone());
        tokio::spawn(async move {
            let deliveries = exchange.fetch_chunks(&recipient, max).await?;
            board.note(|status| status.fetched += deliveries.len() as u64);
            if deliveries.is_empty() {
                return Ok(Vec::new());
            }
            let opening = tokio::task::spawn_blocking(move || {
                let open_one = |delivery: Delivery| {
                    let opened = open(&delivery, &trusted, &here, &seals);
                    (delivery, opened)
                };
                deliveries.into_iter().map(open_one).collect::<Vec<_>>()
            });
            opening.await.map_err(|error| {
                exchange::Error::new(
                    exchange::ErrorKind::Protocol,
                    format!("opening a batch ended early: {}", describe_end(&error)),
                )
            })
        })
    }

    async fn store(&mut self, batch: Vec<(Delivery, Opened)>) {
        let mut chunks: Vec<(Lane, Delivery, Box<Arrival>)> = Vec::new();
        for (delivery, opened) in batch {
            match opened {
                Opened::Chunk(lane, arrival) => chunks.push((lane, delivery, arrival)),
                Opened::Closed(lane, why) => {
                    if self.said_of.entry(lane.clone()).or_default().is_news(&why) {
                        tracing::error!(%lane, why, "chunks wait at the exchange for their key");
                    }
                    self.parts
                        .board
                        .lane(&lane, |status| status.waits_for_key = Some(why));
                    self.settle(&[delivery], Settlement::Later(FOR_A_KEY)).await;
                }
                Opened::Unreadable(message) => self.quarantine(&delivery, &message).await,
                Opened::Foreign(what) => {
                    tracing::error!(
                        sequence = delivery.sequence,
                        error = what,
                        "a message that is no chunk was put off"
                    );
                    self.settle(&[delivery], Settlement::Later(Duration::from_secs(3_600)))
                        .await;
                }
            }
        }
        let sizes: Vec<(Lane, usize)> = chunks
            .iter()
            .map(|(lane, _, arrival)| (lane.clone(), arrival.chunk.plain.len()))
            .collect();
        // Lanes side by side; the transactions of one lane one after the other.
        let mut lanes: BTreeMap<Lane, Vec<Vec<usize>>> = BTreeMap::new();
        for batch in batches(&sizes, self.parts.options.most_bytes) {
            lanes.entry(batch.lane).or_default().push(batch.members);
        }
        let mut slots: Vec<Option<(Delivery, Box<Arrival>)>> = chunks
            .into_iter()
            .map(|(_, delivery, arrival)| Some((delivery, arrival)))
            .collect();
        let mut work = Vec::new();
        for (lane, transactions) in lanes {
            let transactions: Vec<Vec<(Delivery, Arrival)>> = transactions
                .into_iter()
                .map(|members| {
                    let take = |at: usize| slots.get_mut(at).and_then(Option::take);
                    members
                        .into_iter()
                        .filter_map(take)
                        .map(|(delivery, arrival)| (delivery, *arrival))
                        .collect()
                })
                .collect();
            work.push((lane, transactions));
        }
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let lanes = work.into_iter().map(|(lane, transactions)| {
            let rest = self.resting.get(&lane).map(|until| until.duration_since(now));
            let failures = self.failures.get(&lane).copied().unwrap_or(0);
            store_lane(&self.parts, lane, transactions, rest, failures)
        });
        for (lane, attempt) in join_all(lanes).await {
            match attempt {
                Attempt::Stored => {
                    self.failures.remove(&lane);
                    if let Some(met) = self.said_of.get_mut(&lane).and_then(Said::over) {
                        tracing::info!(%lane, met, "the lane's trouble is over");
                    }
                }
                Attempt::Rested => {}
                Attempt::Failed(rest, error) => {
                    if self.said_of.entry(lane.clone()).or_default().is_news(&error) {
                        tracing::warn!(%lane, error, "the lane rests, and is tried again and again");
                    }
                    self.comparison.doubt();
                    *self.failures.entry(lane.clone()).or_default() += 1;
                    self.resting.insert(lane, Instant::now() + rest);
                }
            }
        }
    }

    async fn quarantine(&mut self, delivery: &Delivery, message: &Unreadable) {
        tracing::error!(
            lane = %message.lane, sequence = message.sequence, reason = message.reason,
            "a message that cannot be opened goes to quarantine"
        );
        match self.parts.store.quarantine(message).await {
            Ok(()) => {
                self.parts.board.note(|status| {
                    status.quarantined += 1;
                    // Where the lane is stopped for another reason, its report says so in the same round.
                    if let Some(lane) = status.lanes.get_mut(&message.lane.to_string()) {
                        (lane.stopped, lane.refused) = (None, None);
                    }
                });
                self.settle(std::slice::from_ref(delivery), Settlement::Done)
                    .await;
            }
            // Nothing of the lane is stored here, and its message waits as its chunks do.
            Err(error) if error.kind == store::ErrorKind::Refused => {
                self.parts.board.lane(&message.lane, |status| {
                    status.stopped = Some(error.to_string());
                    status.refused = Some(error.to_string());
                });
                self.settle(std::slice::from_ref(delivery), Settlement::Later(STOPPED_REST))
                    .await;
            }
            // Not kept, so not settled: it comes again.
            Err(error) => self.trouble(&error.to_string()),
        }
    }

    async fn settle(&self, deliveries: &[Delivery], how: Settlement) {
        settle(&self.parts, deliveries, how).await;
    }

    fn trouble(&mut self, what: &str) {
        self.troubled = true;
        self.comparison.doubt();
        if self.said.is_news(what) {
            tracing::warn!(error = what, "polling is tried again and again");
        }
        self.parts
            .board
            .note(|status| status.last_error = Some(what.to_owned()));
    }

    fn state(&self, text: &str) {
        self.parts.board.note(|status| text.clone_into(&mut status.state));
    }
}

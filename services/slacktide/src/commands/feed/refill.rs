//! `slacktide feed refill`: reads lost chunks from the exchange and stores them again.

use std::sync::Arc;

use ::commercial::refill::{Progress as RefillProgress, RefillError, RefillParts, Refilled};
use ::exchange::Exchange;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::Serialize;
use store::merge::ChunkNumber;

use crate::cli::feed::RefillArgs;
use crate::commands::agent;
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Progress, Report, View};
use crate::settings::{CommercialFile, load};

/// The maximum number of chunks listed.
const MAX_LISTED: usize = 20;

/// Refills one lane.
pub(crate) async fn refill(args: RefillArgs) -> Outcome {
    let stop = agent::stop_on_signals()?;
    let loaded: Loaded<CommercialFile> = load(&args.config.config)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let lane = Lane {
        recipient: file.commercial.recipient.clone(),
        feed: FeedName::new(&args.name).map_err(|error| Failure::usage(error.to_string()))?,
    };
    let store = compose::refill(&loaded)?;
    store.prepare().await?;
    let exchange = Arc::new(ExchangeClient::connect(file.exchange.command_options(folder)?).await?);
    let parts = RefillParts {
        exchange: Arc::<ExchangeClient>::clone(&exchange),
        store: Arc::clone(&store),
        lane,
        trusted: file.trust.chunks.clone(),
        here: file.origin(),
        decryption_keys: file.encryption.decryption_keys(folder)?,
    };
    let mut shown = Progress::new("chunks read", None);
    let show = |progress: &RefillProgress| {
        let details = format!(
            "{} stored again with {} rows, at sequence {} of {}",
            progress.stored, progress.rows, progress.sequence, progress.last
        );
        shown.set(progress.read, &details);
    };
    let done = ::commercial::refill::refill(&parts, args.from, stop.token(), show).await;
    store.close().await;
    exchange.close().await;
    drop(shown);
    let refilled = done.map_err(failed)?;
    output::report(&RefillReport::new(&parts.lane, &refilled), args.json)?;
    Ok(if refilled.is_whole() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

/// Returns a refill's error as the failure of a command.
pub(crate) fn failed(error: RefillError) -> Failure {
    match error {
        RefillError::Exchange(error) => error.into(),
        RefillError::Store(error) => error.into(),
        RefillError::Opening(error) => Failure::new(Exit::Unfinished, error.to_string()),
        RefillError::Refused(what) => Failure::new(Exit::Unfinished, what),
    }
}

fn format_chunk(chunk_number: ChunkNumber) -> String {
    format!("{}.{}", chunk_number.epoch, chunk_number.number)
}

/// A chunk that was not stored.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftItem {
    /// `EPOCH.NUMBER`.
    chunk: String,
    /// Why.
    reason: String,
}

/// The result of a refill of a lane.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "feed refill")]
pub(in crate::commands) struct RefillReport {
    /// `RECIPIENT.FEED`.
    lane: String,
    recipient: RecipientName,
    feed: FeedName,
    /// Chunks read.
    chunks_read: u64,
    /// Chunks stored again.
    chunks_stored: u64,
    /// Their rows.
    rows: u64,
    /// Rows of them that constraints refused.
    rows_quarantined: u64,
    /// The epoch of the lane's frontier; `null` if the store knows no chunk of it.
    epoch: Option<u32>,
    /// The number up to which the store holds everything.
    frontier: Option<u64>,
    /// Ranges of chunks that the exchange no longer keeps.
    missing_at_exchange: Vec<String>,
    /// Chunks that were not stored, with the reason.
    left: Vec<LeftItem>,
    /// Chunks that are still awaited, as `EPOCH.NUMBER`.
    awaited: Vec<String>,
    /// The chunk up to which the ledger keeps no entry of single chunks; `null` unless the refill began at the start therefore.
    folded_to: Option<String>,
    /// The chunk up to which a repeated command has to store chunks again, as `EPOCH.NUMBER`.
    refill_until: Option<String>,
    /// Whether nothing is left to do.
    is_whole: bool,
    #[serde(skip)]
    rewind: String,
}

impl RefillReport {
    fn new(lane: &Lane, refilled: &Refilled) -> Self {
        let Refilled { progress, report, .. } = refilled;
        let left = refilled.left.iter().map(|(chunk_number, why)| LeftItem {
            chunk: format_chunk(*chunk_number),
            reason: why.clone(),
        });
        Self {
            lane: lane.to_string(),
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            chunks_read: progress.read,
            chunks_stored: progress.stored,
            rows: progress.rows,
            rows_quarantined: progress.quarantined,
            epoch: report.as_ref().map(|report| report.epoch),
            frontier: report.as_ref().map(|report| report.to),
            missing_at_exchange: refilled.gaps.iter().map(ToString::to_string).collect(),
            left: left.collect(),
            awaited: refilled.awaited.iter().copied().map(format_chunk).collect(),
            folded_to: refilled.widened.map(format_chunk),
            refill_until: report
                .as_ref()
                .and_then(|report| report.refill_until)
                .map(format_chunk),
            is_whole: refilled.is_whole(),
            rewind: format!(
                "slacktide feed rewind {} --recipient {} --from beginning --actor NAME --reason TEXT --config FILE",
                lane.feed, lane.recipient
            ),
        }
    }
}

impl Report for RefillReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{}: {} chunks read, {} stored again with {} rows",
            self.lane, self.chunks_read, self.chunks_stored, self.rows
        ));
        if let Some(folded) = &self.folded_to {
            view.line(format!(
                "  from the start, because the ledger keeps no entry of single chunks up to {folded}"
            ));
        }
        if self.rows_quarantined > 0 {
            view.line(format!(
                "  {} of the rows were refused by constraints: see `slacktide quarantine list`",
                self.rows_quarantined
            ));
        }
        if let (Some(epoch), Some(frontier)) = (self.epoch, self.frontier) {
            view.line(format!(
                "  the store holds everything up to chunk {epoch}.{frontier}"
            ));
        }
        if !self.missing_at_exchange.is_empty() {
            view.line(format!(
                "  missing at the exchange: {}",
                self.missing_at_exchange.join(", ")
            ));
            view.line("  ask the bureau to send the feed again:");
            view.command(4, self.rewind.clone());
        }
        for left in self.left.iter().take(MAX_LISTED) {
            view.line(format!(
                "  chunk {} was not stored again: {}",
                left.chunk, left.reason
            ));
        }
        if self.left.len() > MAX_LISTED {
            view.line(format!("  and {} more", self.left.len() - MAX_LISTED));
        }
        if let Some(until) = &self.refill_until {
            view.line(format!(
                "  chunks up to {until} are not all stored again: repeat the command"
            ));
        }
        // Only the bureau can send what is missing: repeating the command would change nothing.
        if let Some(first) = self
            .awaited
            .first()
            .filter(|_| self.missing_at_exchange.is_empty())
        {
            view.line(format!(
                "  chunk {first} and later ones are still missing: repeat the command"
            ));
        }
        view
    }
}

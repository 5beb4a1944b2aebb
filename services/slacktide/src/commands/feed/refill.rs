//! `slacktide feed refill`: reads lost chunks from the exchange and stores them again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::commercial::refill::{From, Progress, RefillError, RefillParts, Refilled};
use ::exchange::Exchange;
use clap::Args;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane};
use store::merge::ChunkNumber;

use crate::cli::Config;
use crate::commands::agent;
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// The minimum time between lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// The maximum number of chunks listed.
const MAX_LISTED: usize = 20;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct RefillArgs {
    /// The feed.
    name: String,
    /// Where to start: `receipt`, after what the store holds without a gap; `start`, at the first chunk that the exchange
    /// keeps; `chunk:EPOCH.NUMBER`; or `time:2026-01-31T22:15:00Z`, when the exchange stored it.
    #[arg(long, value_name = "WHERE", default_value = "receipt")]
    from: From,
    #[command(flatten)]
    config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

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
    let mut shown = Instant::now();
    let is_quiet = args.json;
    let show = |progress: &Progress| {
        if !is_quiet && shown.elapsed() >= PROGRESS_INTERVAL {
            shown = Instant::now();
            output::note(&format!(
                "{} chunks read, {} stored again with {} rows; at {} of {}",
                progress.read, progress.stored, progress.rows, progress.sequence, progress.last
            ));
        }
    };
    let done = ::commercial::refill::refill(&parts, args.from, stop.token(), show).await;
    store.close().await;
    exchange.close().await;
    let refilled = done.map_err(failed)?;
    print(&parts.lane, &refilled, args.json)?;
    Ok(if refilled.is_whole() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

fn failed(error: RefillError) -> Failure {
    match error {
        RefillError::Exchange(error) => error.into(),
        RefillError::Store(error) => error.into(),
        RefillError::Refused(what) => Failure::new(Exit::Unfinished, what),
    }
}

fn format_chunk(chunk_number: ChunkNumber) -> String {
    format!("{}.{}", chunk_number.epoch, chunk_number.number)
}

fn print(lane: &Lane, refilled: &Refilled, json: bool) -> Result<(), Failure> {
    let Refilled { progress, report, .. } = refilled;
    let gaps: Vec<String> = refilled.gaps.iter().map(ToString::to_string).collect();
    let rewind = (!gaps.is_empty()).then(|| {
        (
            gaps.join(", "),
            format!(
                "slacktide feed rewind {} --recipient {} --from beginning --actor NAME --reason TEXT --config FILE",
                lane.feed, lane.recipient
            ),
        )
    });
    if json {
        let left: Vec<_> = refilled
            .left
            .iter()
            .map(|(chunk_number, why)| serde_json::json!({ "chunk": format_chunk(*chunk_number), "reason": why }))
            .collect();
        return output::json(&serde_json::json!({
            "lane": lane.to_string(), "chunks_read": progress.read, "chunks_stored": progress.stored, "rows": progress.rows,
            "rows_quarantined": progress.quarantined, "epoch": report.as_ref().map(|report| report.epoch),
            "frontier": report.as_ref().map(|report| report.to),
            "missing_at_the_exchange": rewind.map(|(gaps, _)| gaps), "left": left,
            "folded_to": refilled.widened.map(format_chunk),
            "awaited": refilled.awaited.iter().copied().map(format_chunk).collect::<Vec<_>>(), "is_whole": refilled.is_whole(),
        }));
    }
    output::line(&format!(
        "{lane}: {} chunks read, {} stored again with {} rows",
        progress.read, progress.stored, progress.rows
    ));
    if let Some(folded) = refilled.widened {
        output::line(&format!(
            "  from the start, because the ledger keeps no entry of single chunks up to {}",
            format_chunk(folded)
        ));
    }
    if progress.quarantined > 0 {
        output::line(&format!(
            "  {} of the rows were refused by constraints: see `slacktide quarantine list`",
            progress.quarantined
        ));
    }
    if let Some(report) = report {
        output::line(&format!(
            "  the store holds everything up to chunk {}.{}",
            report.epoch, report.to
        ));
    }
    if let Some((gaps, command)) = rewind {
        output::line(&format!("  missing at the exchange: {gaps}"));
        output::line(&format!("  ask the bureau to send the feed again: {command}"));
    }
    for (chunk_number, why) in refilled.left.iter().take(MAX_LISTED) {
        output::line(&format!(
            "  chunk {} was not stored again: {why}",
            format_chunk(*chunk_number)
        ));
    }
    if refilled.left.len() > MAX_LISTED {
        output::line(&format!("  and {} more", refilled.left.len() - MAX_LISTED));
    }
    if let Some(refill_until) = report.as_ref().and_then(|report| report.refill_until) {
        output::line(&format!(
            "  chunks up to {} are not all stored again: repeat the command",
            format_chunk(refill_until)
        ));
    }
    // Only the bureau can send what is missing: repeating the command would change nothing.
    if let Some(first) = refilled.awaited.first().filter(|_| gaps.is_empty()) {
        output::line(&format!(
            "  chunk {} and later ones are still missing: repeat the command",
            format_chunk(*first)
        ));
    }
    Ok(())
}

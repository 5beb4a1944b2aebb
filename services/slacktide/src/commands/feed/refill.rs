//! `slacktide feed refill`: what the store lost is read from the exchange and stored again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::commercial::refill::{From, Progress, RefillError, RefillParts, Refilled};
use ::exchange::Exchange;
use clap::Args;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane};
use store::merge::Place;

use crate::cli::Config;
use crate::commands::agent;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// A line of progress at most this often.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// Chunks that are listed, at most.
const LISTED: usize = 20;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct RefillArgs {
    /// The feed.
    name: String,
    /// Where it begins: `receipt`, behind what the store holds without a gap; `start`, at the first chunk that the exchange
    /// keeps; `chunk:EPOCH.NUMBER`; or `time:2026-01-31T22:15:00Z`, when the exchange stored it.
    #[arg(long, value_name = "WHERE", default_value = "receipt")]
    from: From,
    #[command(flatten)]
    config: Config,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Refills one lane.
pub(crate) async fn refill(args: RefillArgs) -> Outcome {
    let stop = agent::stop()?;
    let loaded: Loaded<CommercialFile> = load(&args.config.config)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let lane = Lane {
        recipient: file.commercial.recipient.clone(),
        feed: FeedName::new(&args.name).map_err(|error| Failure::usage(error.to_string()))?,
    };
    let store = compose::refill(&loaded)?;
    store.prepare().await?;
    let exchange = Arc::new(JetStream::connect(file.exchange.command(folder)?).await?);
    let parts = RefillParts {
        exchange: Arc::<JetStream>::clone(&exchange),
        store: Arc::clone(&store),
        lane,
        trusted: file.trust.chunks.clone(),
        here: file.origin(),
        seals: file.sealing.ring(folder)?,
    };
    let mut shown = Instant::now();
    let is_quiet = args.json;
    let show = |progress: &Progress| {
        if !is_quiet && shown.elapsed() >= SHOWN_EVERY {
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
    tell(&parts.lane, &refilled, args.json)?;
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

fn named(place: Place) -> String {
    format!("{}.{}", place.epoch, place.number)
}

fn tell(lane: &Lane, refilled: &Refilled, json: bool) -> Result<(), Failure> {
    let Refilled { progress, report, .. } = refilled;
    let gaps: Vec<String> = refilled.gaps.iter().map(ToString::to_string).collect();
    let ask = (!gaps.is_empty()).then(|| {
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
            .map(|(place, why)| serde_json::json!({ "chunk": named(*place), "reason": why }))
            .collect();
        return output::json(&serde_json::json!({
            "lane": lane.to_string(), "chunks_read": progress.read, "chunks_stored": progress.stored, "rows": progress.rows,
            "rows_quarantined": progress.quarantined, "epoch": report.as_ref().map(|report| report.epoch),
            "frontier": report.as_ref().map(|report| report.to),
            "missing_at_the_exchange": ask.map(|(gaps, _)| gaps), "left": left,
            "folded_to": refilled.widened.map(named),
            "awaited": refilled.awaited.iter().copied().map(named).collect::<Vec<_>>(), "is_whole": refilled.is_whole(),
        }));
    }
    output::line(&format!(
        "{lane}: {} chunks read, {} stored again with {} rows",
        progress.read, progress.stored, progress.rows
    ));
    if let Some(folded) = refilled.widened {
        output::line(&format!(
            "  from the start, because the ledger keeps no entry of single chunks up to {}",
            named(folded)
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
    if let Some((gaps, ask)) = ask {
        output::line(&format!("  missing at the exchange: {gaps}"));
        output::line(&format!("  ask the bureau to send the feed again: {ask}"));
    }
    for (place, why) in refilled.left.iter().take(LISTED) {
        output::line(&format!("  chunk {} was not stored again: {why}", named(*place)));
    }
    if refilled.left.len() > LISTED {
        output::line(&format!("  and {} more", refilled.left.len() - LISTED));
    }
    if let Some(owed) = report.as_ref().and_then(|report| report.owed) {
        output::line(&format!(
            "  chunks up to {} are not all stored again: repeat the command",
            named(owed)
        ));
    }
    // Only the bureau can send what is missing: repeating the command would change nothing.
    if let Some(first) = refilled.awaited.first().filter(|_| gaps.is_empty()) {
        output::line(&format!(
            "  chunk {} and later ones are awaited still: repeat the command",
            named(*first)
        ));
    }
    Ok(())
}

//! `slacktide feed rewind`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::manifest::{Cause, Link};
use schemas::name::{FeedName, Lane, RecipientName};
use serde::Serialize;
use social::epoch::{EpochOrder, OpenedEpoch, StartPoint};

use crate::cli::Config;
use crate::commands::reopen::{describe_start, reopen};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

/// The start of a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RewindFrom {
    /// The receiver's last receipt.
    Receipt,
    /// The beginning: everything is sent again.
    Beginning,
    /// The position before a chunk.
    Chunk {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        number: u64,
    },
}

/// An invalid start of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give receipt, beginning, or chunk:EPOCH.NUMBER")]
pub(crate) struct BadStart;

impl FromStr for RewindFrom {
    type Err = BadStart;

    fn from_str(text: &str) -> Result<Self, BadStart> {
        let chunk = || {
            let (epoch, number) = text.strip_prefix("chunk:")?.split_once('.')?;
            Some(Self::Chunk {
                epoch: epoch.parse().ok().filter(|epoch| *epoch > 0)?,
                number: number.parse().ok().filter(|number| *number > 0)?,
            })
        };
        match text {
            "receipt" => Ok(Self::Receipt),
            "beginning" => Ok(Self::Beginning),
            _ => chunk().ok_or(BadStart),
        }
    }
}

/// The arguments.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("where").required(true).multiple(true).args(["from", "accept", "accept_source"])))]
pub(crate) struct RewindArgs {
    /// The feed.
    name: String,
    /// The recipient.
    #[arg(long, value_name = "NAME")]
    recipient: String,
    /// Where to continue: `receipt`, the receiver's last; `beginning`, to send everything again; or
    /// `chunk:EPOCH.NUMBER`, the position before that chunk.
    #[arg(long, value_name = "WHERE")]
    from: Option<RewindFrom>,
    /// Accept the changed definition of the feed, and continue from the lane's position.
    #[arg(long, conflicts_with_all = ["from", "accept_source"])]
    accept: bool,
    /// Accept the source as it is, although it is another database than the lane's, or was rolled back. Continue from the
    /// lane's position, or from `--from`.
    #[arg(long)]
    accept_source: bool,
    /// The deciding operator.
    #[arg(long)]
    actor: String,
    /// The reason.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl RewindArgs {
    fn start_point(&self) -> (StartPoint, Cause) {
        let (from, cause) = match self.from {
            None if self.accept_source => (StartPoint::Tail, Cause::SourceChanged),
            None => (StartPoint::Tail, Cause::DefinitionAccepted),
            Some(RewindFrom::Receipt) => (StartPoint::Receipt, Cause::ExchangeRestored),
            Some(RewindFrom::Beginning) => (StartPoint::Beginning, Cause::Rewind),
            Some(RewindFrom::Chunk { epoch, number }) => (StartPoint::Chunk { epoch, number }, Cause::Rewind),
        };
        (
            from,
            if self.accept_source {
                Cause::SourceChanged
            } else {
                cause
            },
        )
    }
}

/// A request for a new epoch.
pub(super) struct EpochRequest {
    pub(super) feed: String,
    pub(super) recipient: String,
    pub(super) from: StartPoint,
    pub(super) cause: Cause,
    pub(super) actor: String,
    pub(super) reason: String,
    pub(super) config: PathBuf,
    pub(super) json: bool,
}

/// Opens a new epoch.
pub(crate) async fn rewind(args: RewindArgs) -> Outcome {
    let (from, cause) = args.start_point();
    open(EpochRequest {
        feed: args.name,
        recipient: args.recipient,
        from,
        cause,
        actor: args.actor,
        reason: args.reason,
        config: args.config.config,
        json: args.json,
    })
    .await
}

/// Opens the epoch and prints the result.
pub(super) async fn open(request: EpochRequest) -> Outcome {
    let path = request.config.clone();
    let loaded: Loaded<SocialFile> = load(&path)?;
    let file = &loaded.value;
    let recipient =
        RecipientName::new(request.recipient).map_err(|error| Failure::usage(error.to_string()))?;
    let feed = file.feeds.iter().find(|feed| feed.name.as_str() == request.feed);
    let feed = feed
        .filter(|feed| feed.recipients.contains(&recipient))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{}: there is no feed {} for {recipient}; correct the name, or describe it there",
                path.display(),
                request.feed
            ))
        })?;
    if request.actor.trim().is_empty() || request.reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept permanently and must not be empty",
        ));
    }
    let key = file.signing.key(loaded.folder())?;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let mut order = EpochOrder {
        lane: Lane {
            recipient: recipient.clone(),
            feed: feed.name.clone(),
        },
        cause: request.cause,
        actor: request.actor,
        reason: request.reason,
        definition: feed.digest_for(&recipient),
        schema: None,
        from: request.from,
        named: Vec::new(),
        gives_up: None,
    };
    let opened = reopen(&loaded, &exchange, (feed, &key), &mut order).await?;
    output::report(&EpochReport::new(&order.lane, &opened), request.json)?;
    Ok(Exit::Done)
}

/// A new epoch of a lane.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "feed rewind, feed resync")]
pub(in crate::commands) struct EpochReport {
    /// `RECIPIENT.FEED`.
    lane: String,
    recipient: RecipientName,
    feed: FeedName,
    /// The new epoch.
    epoch: u32,
    /// The exchange's sequence of its opening.
    sequence: u64,
    /// The chunk that it continues; `null` if it begins at the start of the feed.
    continues: Option<Link>,
    /// The start, for people.
    #[serde(skip)]
    start: String,
}

impl EpochReport {
    fn new(lane: &Lane, opened: &OpenedEpoch) -> Self {
        Self {
            lane: lane.to_string(),
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            epoch: opened.epoch,
            sequence: opened.sequence,
            continues: opened.continues,
            start: describe_start(opened),
        }
    }
}

impl Report for EpochReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{}: epoch {} is open and continues from {}; a running publisher adopts it automatically",
            self.lane, self.epoch, self.start
        ));
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewind_start_is_receipt_beginning_or_chunk() {
        assert_eq!("receipt".parse(), Ok(RewindFrom::Receipt));
        assert_eq!(
            "chunk:2.17".parse(),
            Ok(RewindFrom::Chunk { epoch: 2, number: 17 })
        );
        for wrong in ["chunk:2", "chunk:0.1", "chunk:1.0", "chunk:a.b", "2.17", ""] {
            assert!(wrong.parse::<RewindFrom>().is_err(), "{wrong:?}");
        }
    }
}

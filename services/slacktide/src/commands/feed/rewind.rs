//! `slacktide feed rewind`.

use std::path::PathBuf;

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::manifest::{Cause, Link};
use schemas::name::{FeedName, Lane, RecipientName};
use serde::Serialize;
use social::epoch::{EpochOrder, OpenedEpoch, StartPoint};

use crate::cli::decision::NamedDecision;
use crate::cli::feed::{RewindArgs, RewindFrom};
use crate::commands::reopen::{describe_start, reopen};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

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
    pub(super) decision: NamedDecision,
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
        decision: args.decision,
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
    request.decision.check()?;
    let key = file.signing.key(loaded.folder())?;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let mut order = EpochOrder {
        lane: Lane {
            recipient: recipient.clone(),
            feed: feed.name.clone(),
        },
        cause: request.cause,
        actor: request.decision.actor,
        reason: request.decision.reason,
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

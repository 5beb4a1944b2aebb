//! `slacktide feed rewind`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::manifest::Cause;
use schemas::name::{Lane, RecipientName};
use social::epoch::{From, Order};

use crate::cli::Config;
use crate::commands::reopen::{goes_on_from, reopen};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// Where a new epoch goes on from.
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

impl FromStr for RewindFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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
            _ => chunk().ok_or_else(|| "give receipt, beginning, or chunk:EPOCH.NUMBER".to_owned()),
        }
    }
}

/// Its words.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("where").required(true).multiple(true).args(["from", "accept", "accept_source"])))]
pub(crate) struct RewindArgs {
    /// The feed.
    name: String,
    /// For whom.
    #[arg(long, value_name = "NAME")]
    recipient: String,
    /// Where it goes on from: `receipt`, the receiver's last; `beginning`, everything is sent again; or
    /// `chunk:EPOCH.NUMBER`, the position before it.
    #[arg(long, value_name = "WHERE")]
    from: Option<RewindFrom>,
    /// Accepts the changed definition of the feed: it goes on where the lane stands.
    #[arg(long, conflicts_with_all = ["from", "accept_source"])]
    accept: bool,
    /// Accepts the source as it is, although it is another database than the lane's, or went back: it goes on where the
    /// lane stands, or where `--from` says.
    #[arg(long)]
    accept_source: bool,
    /// Who decides.
    #[arg(long)]
    actor: String,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

impl RewindArgs {
    fn place(&self) -> (From, Cause) {
        let (from, cause) = match self.from {
            None if self.accept_source => (From::Tail, Cause::SourceChanged),
            None => (From::Tail, Cause::DefinitionAccepted),
            Some(RewindFrom::Receipt) => (From::Receipt, Cause::ExchangeRestored),
            Some(RewindFrom::Beginning) => (From::Beginning, Cause::Rewind),
            Some(RewindFrom::Chunk { epoch, number }) => (From::Chunk { epoch, number }, Cause::Rewind),
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

/// A new epoch that is asked for.
pub(super) struct EpochRequest {
    pub(super) feed: String,
    pub(super) recipient: String,
    pub(super) from: From,
    pub(super) cause: Cause,
    pub(super) actor: String,
    pub(super) reason: String,
    pub(super) config: PathBuf,
    pub(super) json: bool,
}

/// Opens a new epoch.
pub(crate) async fn rewind(args: RewindArgs) -> Outcome {
    let (from, cause) = args.place();
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

/// Opens the epoch, and prints what was done.
pub(super) async fn open(wish: EpochRequest) -> Outcome {
    let path = wish.config.clone();
    let loaded: Loaded<SocialFile> = load(&path)?;
    let file = &loaded.value;
    let recipient = RecipientName::new(wish.recipient).map_err(|error| Failure::usage(error.to_string()))?;
    let feed = file.feeds.iter().find(|feed| feed.name.as_str() == wish.feed);
    let feed = feed
        .filter(|feed| feed.recipients.contains(&recipient))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{}: there is no feed {} for {recipient}; correct the name, or describe it there",
                path.display(),
                wish.feed
            ))
        })?;
    if wish.actor.trim().is_empty() || wish.reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept for ever and must say something",
        ));
    }
    let key = file.signing.key(loaded.folder())?;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let mut order = Order {
        lane: Lane {
            recipient: recipient.clone(),
            feed: feed.name.clone(),
        },
        cause: wish.cause,
        actor: wish.actor,
        reason: wish.reason,
        definition: feed.digest_for(&recipient),
        schema: None,
        from: wish.from,
        named: Vec::new(),
        gives_up: None,
    };
    let opened = reopen(&loaded, &exchange, (feed, &key), &mut order).await?;
    let from = goes_on_from(&opened);
    if wish.json {
        output::json(&serde_json::json!({
            "lane": order.lane.to_string(), "epoch": opened.epoch, "sequence": opened.sequence,
            "continues": opened.continues,
        }))?;
    } else {
        output::line(&format!(
            "{}: epoch {} is open and goes on from {from}; a running publisher takes it up by itself",
            order.lane, opened.epoch
        ));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_receipt_the_beginning_or_a_chunk() {
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

//! `slacktide feed rewind`.

use std::path::PathBuf;
use std::sync::Arc;

use gate::Gate;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::column::RowSchema;
use schemas::manifest::Cause;
use schemas::name::{Lane, PartyName, RecipientName};
use social::epoch::{EpochError, Order, Signatory, open_from_receipt};
use social::tail::Trust;

use crate::cli::RewindFrom;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::feed::FeedTable;
use crate::settings::{SocialFile, load};

/// What the operator orders.
pub(crate) struct Wish {
    /// The feed.
    pub(crate) name: String,
    /// For whom.
    pub(crate) recipient: String,
    /// Where it goes on from.
    pub(crate) from: RewindFrom,
    /// Who decides.
    pub(crate) actor: String,
    /// Why.
    pub(crate) reason: String,
    /// As data.
    pub(crate) json: bool,
}

/// Opens a new epoch.
pub(crate) async fn rewind(path: PathBuf, wish: Wish) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&path)?;
    let file = &loaded.value;
    let recipient = RecipientName::new(wish.recipient).map_err(|error| Failure::usage(error.to_string()))?;
    let feed = file.feeds.iter().find(|feed| feed.name.as_str() == wish.name);
    let feed = feed
        .filter(|feed| feed.recipients.contains(&recipient))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{}: there is no feed {} for {recipient}; correct the name, or describe it there",
                path.display(),
                wish.name
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
        cause: if wish.from == RewindFrom::Receipt {
            Cause::ExchangeRestored
        } else {
            Cause::Rewind
        },
        actor: wish.actor,
        reason: wish.reason,
        definition: feed.definition().digest(),
        schema: None,
        from_start: wish.from == RewindFrom::Beginning,
    };
    let mut chunks = file.trust.chunks.clone();
    chunks.push(key.public().clone());
    let trust = Trust {
        chunks,
        receipts: file.trust.receipts.get(&recipient).cloned().unwrap_or_default(),
    };
    let writer = PartyName::new("operator").map_err(|error| Failure::internal(&error))?;
    let instance = social::new_instance();
    let who = Signatory {
        key: &key,
        instance: &instance,
        party: &file.social.name,
        writer: &writer,
    };
    let mut opened = open_from_receipt(&exchange, &order, &trust, &who).await;
    if matches!(opened, Err(EpochError::NoSchema { .. })) {
        // The exchange holds no chunk that tells the columns: the source does.
        order.schema = Some(columns(&loaded, feed).await?);
        opened = open_from_receipt(&exchange, &order, &trust, &who).await;
    }
    let opened = opened.map_err(failed)?;
    let from = opened.continues.map_or("the beginning".to_owned(), |link| {
        format!("epoch {} number {}", link.epoch, link.number)
    });
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

async fn columns(loaded: &Loaded<SocialFile>, feed: &FeedTable) -> Result<RowSchema, Failure> {
    let gate = Gate::fixed_open();
    let source = compose::source(loaded, gate.shut_flag())?;
    let permit = gate.permit().await;
    let reader = Arc::clone(&source).open_feed(&feed.definition(), &permit).await;
    let schema = reader.map(|reader| reader.schema().clone());
    drop(permit);
    source.close().await;
    Ok(schema?)
}

fn failed(error: EpochError) -> Failure {
    match error {
        EpochError::Exchange(error) => error.into(),
        EpochError::Untrusted { .. } => Failure::new(Exit::Evidence, error.to_string()),
        other => Failure::new(Exit::Unfinished, other.to_string()),
    }
}

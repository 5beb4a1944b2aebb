//! `slacktide store …`: an insurer's operator accepts a store or its rows, and refills answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::commercial::receipts::last;
use ::commercial::requester::refill_answers;
use ::commercial::{RequesterParts, StatusRegistry};
use ::exchange::{Exchange, FeedExchange};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane, PartyName};
use schemas::receipt::StoreId;
use social::audit_log::{AuditEvent, append};
use store::{Approval, Refill};

use super::operator::Operator;
use crate::cli::Config;
use crate::cli::store::{AcceptArgs, StoreCommand};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, View};
use crate::settings::{CommercialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: StoreCommand) -> Outcome {
    match command {
        StoreCommand::Accept(args) => accept(args).await,
        StoreCommand::RefillAnswers { config } => refill(config).await,
    }
}

async fn accept(args: AcceptArgs) -> Outcome {
    args.decision.check()?;
    let feed = args.feed.as_deref().map(FeedName::new).transpose();
    let feed = feed.map_err(|error| Failure::usage(error.to_string()))?;
    let loaded: Loaded<CommercialFile> = load(&args.config.config)?;
    let store = compose::refill(&loaded)?;
    store.prepare().await?;
    let exchange = ExchangeClient::connect(loaded.value.exchange.command_options(loaded.folder())?).await?;
    let by = Approval {
        actor: args.decision.actor,
        reason: args.decision.reason,
    };
    let done = match feed {
        Some(feed) => accept_rows(&loaded, (store.as_ref(), &exchange), feed, &by).await,
        None => accept_store(&loaded, (store.as_ref(), &exchange), &by).await,
    };
    store.close().await;
    exchange.close().await;
    done
}

async fn accept_rows(
    loaded: &Loaded<CommercialFile>,
    (store, exchange): (&dyn Refill, &ExchangeClient),
    feed: FeedName,
    by: &Approval,
) -> Outcome {
    let lane = Lane {
        recipient: loaded.value.commercial.recipient.clone(),
        feed,
    };
    if !store.reports().await?.iter().any(|report| report.lane == lane) {
        return Err(Failure::usage(format!(
            "the store knows no feed {}: see `slacktide status`",
            lane.feed
        )));
    }
    let detail = BTreeMap::from([("lane".to_owned(), lane.to_string())]);
    sign(loaded, exchange, by, ("store.accept_rows", detail)).await?;
    store.accept_row_count(&lane, Some(by)).await?;
    output::line(&format!(
        "{lane}: the rows of its table are accepted as they are; counting starts from here"
    ));
    Ok(Exit::Done)
}

async fn accept_store(
    loaded: &Loaded<CommercialFile>,
    (store, exchange): (&dyn Refill, &ExchangeClient),
    by: &Approval,
) -> Outcome {
    let identity = store.identity().await?;
    let mut others: Vec<StoreId> = Vec::new();
    let mut lanes = Vec::new();
    for lane in exchange
        .receipted_lanes(&loaded.value.commercial.recipient)
        .await?
    {
        let receipt = last(exchange, &lane).await?;
        if let Some(other) = receipt.and_then(|(receipt, _)| receipt.store)
            && !identity.owns(&other)
        {
            lanes.push(lane);
            others.push(other);
        }
    }
    others.sort();
    others.dedup();
    if others.is_empty() {
        output::line(&format!(
            "store {} signed the last receipts: nothing to accept",
            identity.id
        ));
        return Ok(Exit::Done);
    }
    let listed: Vec<String> = others.iter().map(StoreId::to_string).collect();
    let detail = BTreeMap::from([
        ("store".to_owned(), identity.id.to_string()),
        ("replaces".to_owned(), listed.join(", ")),
    ]);
    sign(loaded, exchange, by, ("store.accept", detail)).await?;
    store.replace(&others, by).await?;
    output::line(&format!(
        "store {} replaces {}: its agent continues within seconds, and the agent of the other store stops",
        identity.id,
        listed.join(", ")
    ));
    let mut view = View::new();
    view.line("fetch missing chunks with");
    for lane in lanes {
        let command = format!("slacktide feed refill {} --from start --config FILE", lane.feed);
        view.command(2, command);
    }
    output::view(&view);
    Ok(Exit::Done)
}

/// Appends to the party's audit chain, before anything is changed.
pub(super) async fn sign(
    loaded: &Loaded<CommercialFile>,
    exchange: &ExchangeClient,
    by: &Approval,
    (action, detail): (&str, BTreeMap<String, String>),
) -> Result<(), Failure> {
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let party = PartyName::new(file.commercial.recipient.as_str());
    let party = party.map_err(|error| Failure::internal(&error))?;
    let operator = Operator::new()?;
    let signer = operator.signer(&key, &[], &party);
    let act = AuditEvent {
        actor: by.actor.clone(),
        action: action.to_owned(),
        reason: by.reason.clone(),
        detail,
    };
    append(exchange, &signer, &act)
        .await
        .map(|_| ())
        .map_err(|error| {
            Failure::new(
                Exit::Exchange,
                format!("nothing was accepted: cannot append to the audit chain: {error}"),
            )
        })
}

async fn refill(config: Config) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&config.config)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let store = compose::requests(&loaded)?;
    store.prepare().await?;
    let exchange = Arc::new(ExchangeClient::connect(file.exchange.command_options(folder)?).await?);
    let parts = RequesterParts {
        exchange: Arc::<ExchangeClient>::clone(&exchange),
        store: Arc::clone(&store),
        recipient: file.commercial.recipient.clone(),
        trusted: file.trust.answers().to_vec(),
        here: file.origin(),
        decryption_keys: file.encryption.decryption_keys(folder)?,
        key: file.signing.key(folder)?,
        interval: file.poll.interval.get(),
        registry: StatusRegistry::default(),
    };
    let done = refill_answers(&parts).await;
    store.close().await;
    exchange.close().await;
    let refilled = done.map_err(|error| Failure::new(Exit::Unfinished, error.to_string()))?;
    output::line(&format!(
        "{} confirmed answers compared, {} fetched and stored again",
        refilled.compared, refilled.stored
    ));
    for (id, why) in &refilled.left {
        output::line(&format!("  {id} is not stored: {why}"));
    }
    Ok(if refilled.left.is_empty() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

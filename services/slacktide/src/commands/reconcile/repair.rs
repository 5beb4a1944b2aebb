//! `slacktide reconcile repair`: stores again what the exchange has, between two comparisons.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::commercial::refill::{From, RefillParts, refill};
use ::exchange::Exchange;
use ::store::{Approval, Refill, StoredRows};
use runtime::config::Loaded;
use schemas::name::Lane;

use super::comparing::compare;
use super::{finish, lane, open_store};
use crate::cli::reconcile::RepairArgs;
use crate::commands::{agent, feed, store};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// Compares, and if core and store differ, records the decision, stores every chunk again that the exchange has, and compares again.
/// Rows that the exchange never had, and rows that it has and the core lacks, remain: the report names the bureau's command.
pub(super) async fn run(args: RepairArgs) -> Outcome {
    args.decision.check()?;
    let loaded: Loaded<CommercialFile> = load(&args.pass.config.config)?;
    let rows = open_store(&loaded).await?;
    let lane = lane(&loaded, args.pass.feed.clone());
    let repaired = repair(&loaded, rows.as_ref(), &lane, &args).await;
    rows.close().await;
    repaired
}

async fn repair(
    loaded: &Loaded<CommercialFile>,
    rows: &dyn StoredRows,
    lane: &Lane,
    args: &RepairArgs,
) -> Outcome {
    let (actor, timeout) = (&args.decision.actor, args.pass.timeout.get());
    let before = compare(loaded, rows, lane, actor, timeout).await?;
    if before.is_balanced {
        return finish(&before, args.pass.json);
    }
    if !args.pass.json {
        output::report(&before, false)?;
    }
    let by = Approval {
        actor: actor.clone(),
        reason: args.decision.reason.clone(),
    };
    let detail = BTreeMap::from([
        ("lane".to_owned(), lane.to_string()),
        ("errors".to_owned(), before.errors().to_string()),
    ]);
    let folder = loaded.folder();
    let options = loaded.value.exchange.command_options(folder)?;
    let exchange = Arc::new(ExchangeClient::connect(options).await?);
    let signed = store::sign(loaded, &exchange, &by, ("store.reconcile", detail)).await;
    let refilled = match signed {
        Ok(()) => store_again(loaded, &exchange, lane).await,
        Err(error) => Err(error),
    };
    exchange.close().await;
    refilled?;
    let after = compare(loaded, rows, lane, actor, timeout).await?;
    finish(&after, args.pass.json)
}

/// Stores the lane's chunks again, from the first one that the exchange keeps.
async fn store_again(
    loaded: &Loaded<CommercialFile>,
    exchange: &Arc<ExchangeClient>,
    lane: &Lane,
) -> Result<(), Failure> {
    let (file, folder) = (&loaded.value, loaded.folder());
    let stop = agent::stop_on_signals()?;
    let store: Arc<dyn Refill> = compose::refill(loaded)?;
    store.prepare().await?;
    let parts = RefillParts {
        exchange: Arc::<ExchangeClient>::clone(exchange),
        store: Arc::clone(&store),
        lane: lane.clone(),
        trusted: file.trust.chunks.clone(),
        here: file.origin(),
        decryption_keys: file.encryption.decryption_keys(folder)?,
    };
    let done = refill(&parts, From::Start, stop.token(), |_| {}).await;
    store.close().await;
    done.map(|_| ()).map_err(feed::refill::failed)
}

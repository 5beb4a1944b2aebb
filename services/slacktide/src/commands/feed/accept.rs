//! `slacktide feed accept-change`: the receiver approves a schema change.
//!
//! The approval is appended to the party's audit chain before anything is changed, and kept in the store.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use clap::Args;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane, PartyName};
use social::audit_log::{AuditEvent, AuditLogError, append};
use store::table::schema_change::{PendingChange, SchemaChange};
use store::{Approval, PendingChanges};

use crate::cli::Config;
use crate::commands::operator::Operator;
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The feed.
    name: String,
    #[command(flatten)]
    config: Config,
    /// The deciding operator.
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    actor: Option<String>,
    /// The reason. It is signed and kept.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Show the change without applying it.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Approves the change that a lane waits for.
pub(crate) async fn accept(args: AcceptArgs) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.config.config)?;
    let lane = Lane {
        recipient: loaded.value.commercial.recipient.clone(),
        feed: FeedName::new(&args.name).map_err(|error| Failure::usage(error.to_string()))?,
    };
    let store = compose::changes(&loaded)?;
    store.prepare().await?;
    let done = run(&loaded, store.as_ref(), &lane, &args).await;
    store.close().await;
    done
}

async fn run(
    loaded: &Loaded<CommercialFile>,
    store: &dyn PendingChanges,
    lane: &Lane,
    args: &AcceptArgs,
) -> Outcome {
    let pending = store.pending_changes().await?;
    let Some((_, pending)) = pending.into_iter().find(|(waiting, _)| waiting == lane) else {
        return Err(Failure::new(
            Exit::Unfinished,
            format!("feed {} has no pending change; see `slacktide status`", lane.feed),
        ));
    };
    if args.dry_run {
        print(lane, &pending, false, args.json)?;
        return Ok(Exit::Done);
    }
    let (actor, reason) = (
        args.actor.clone().unwrap_or_default(),
        args.reason.clone().unwrap_or_default(),
    );
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept permanently and must not be empty",
        ));
    }
    let approval = Approval { actor, reason };
    sign(loaded, lane, &pending, &approval).await?;
    let accepted = store.accept(lane, &approval).await?.unwrap_or(pending);
    print(lane, &accepted, true, args.json)?;
    Ok(Exit::Done)
}

async fn sign(
    loaded: &Loaded<CommercialFile>,
    lane: &Lane,
    pending: &PendingChange,
    approval: &Approval,
) -> Result<(), Failure> {
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let party = PartyName::new(file.commercial.recipient.as_str());
    let party = party.map_err(|error| Failure::internal(&error))?;
    let operator = Operator::new()?;
    let signer = operator.signer(&key, &[], &party);
    let what: Vec<String> = pending.changes.iter().map(SchemaChange::describe).collect();
    let act = AuditEvent {
        actor: approval.actor.clone(),
        action: "change.accept".to_owned(),
        reason: approval.reason.clone(),
        detail: BTreeMap::from([
            ("lane".to_owned(), lane.to_string()),
            (
                "chunk".to_owned(),
                format!("{}.{}", pending.chunk_number.epoch, pending.chunk_number.number),
            ),
            ("changes".to_owned(), what.join("; ")),
        ]),
    };
    let signed = append(&exchange, &signer, &act).await;
    exchange.close().await;
    signed.map(|_| ()).map_err(|error| match error {
        AuditLogError::Exchange(error) => {
            let failure = Failure::from(error);
            let what = format!("nothing was accepted: cannot append to the audit chain: {failure}");
            Failure::new(failure.exit, what)
        }
        other => Failure::new(Exit::Unfinished, format!("nothing was accepted: {other}")),
    })
}

fn print(lane: &Lane, pending: &PendingChange, accepted: bool, json: bool) -> Result<(), Failure> {
    if json {
        let lines =
            |render: fn(&SchemaChange) -> String| pending.changes.iter().map(render).collect::<Vec<_>>();
        return output::json(&serde_json::json!({
            "lane": lane.to_string(), "epoch": pending.chunk_number.epoch, "number": pending.chunk_number.number,
            "since": pending.since, "changes": lines(SchemaChange::describe), "then": lines(SchemaChange::effect), "accepted": accepted,
        }));
    }
    let (epoch, number) = (pending.chunk_number.epoch, pending.chunk_number.number);
    output::line(&format!("{lane}, since chunk {number} of epoch {epoch}:"));
    for change in &pending.changes {
        output::line(&format!("  {}", change.describe()));
        output::line(&format!("    {}", change.effect()));
    }
    output::line(if accepted {
        "accepted; the lane continues with the next chunk"
    } else {
        "nothing was changed"
    });
    Ok(())
}

//! `slacktide feed accept-change`: the receiver approves a schema change.
//!
//! The approval is appended to the party's audit chain before anything is changed, and kept in the store.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::{FeedName, Lane, PartyName, RecipientName};
use serde::Serialize;
use social::audit_log::{AuditEvent, AuditLogError, append};
use store::table::schema_change::{PendingChange, SchemaChange};
use store::{Approval, PendingChanges};

use crate::cli::feed::AcceptArgs;
use crate::commands::operator::Operator;
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Time, View};
use crate::settings::{CommercialFile, load};

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
        output::report(&ChangeReport::new(lane, &pending, false), args.json)?;
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
    output::report(&ChangeReport::new(lane, &accepted, true), args.json)?;
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

/// A schema change that a lane waits for, or that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "feed accept-change")]
pub(in crate::commands) struct ChangeReport {
    /// `RECIPIENT.FEED`.
    lane: String,
    recipient: RecipientName,
    feed: FeedName,
    /// The epoch of the first chunk with the change.
    epoch: u32,
    /// Its number in the epoch.
    number: u64,
    /// Since when the lane waits.
    since: Time,
    changes: Vec<ChangeItem>,
    /// Whether the change was accepted; `false` with `--dry-run`.
    is_accepted: bool,
}

/// One change of a column.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangeItem {
    /// What changes.
    change: String,
    /// What the store does with it.
    effect: String,
}

impl ChangeReport {
    fn new(lane: &Lane, pending: &PendingChange, is_accepted: bool) -> Self {
        let item = |change: &SchemaChange| ChangeItem {
            change: change.describe(),
            effect: change.effect(),
        };
        Self {
            lane: lane.to_string(),
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            epoch: pending.chunk_number.epoch,
            number: pending.chunk_number.number,
            since: pending.since.into(),
            changes: pending.changes.iter().map(item).collect(),
            is_accepted,
        }
    }
}

impl Report for ChangeReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{}, since chunk {} of epoch {}:",
            self.lane, self.number, self.epoch
        ));
        for change in &self.changes {
            view.line(format!("  {}", change.change));
            view.line(format!("    {}", change.effect));
        }
        view.line(if self.is_accepted {
            "accepted; the lane continues with the next chunk"
        } else {
            "nothing was changed"
        });
        view
    }
}

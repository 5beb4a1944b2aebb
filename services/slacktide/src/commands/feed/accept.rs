//! `slacktide feed accept-change`: the receiver's word on a change of columns.
//!
//! Signed into the party's audit chain first, so that nothing is changed that nobody answers for;
//! kept in the store too, beside the tables that change.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use clap::Args;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane, PartyName};
use social::act::{Act, ActError, append};
use store::table::asked::{Asked, Question};
use store::{Answer, Changes};

use crate::cli::Config;
use crate::commands::operator::Operator;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// What is said on the command line.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The feed.
    name: String,
    #[command(flatten)]
    config: Config,
    /// Who decides.
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    actor: Option<String>,
    /// Why. It is signed and kept.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Shows what is asked and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints it as JSON.
    #[arg(long)]
    json: bool,
}

/// Accepts what a lane waits for.
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
    store: &dyn Changes,
    lane: &Lane,
    args: &AcceptArgs,
) -> Outcome {
    let asked = store.asked().await?;
    let Some((_, question)) = asked.into_iter().find(|(waiting, _)| waiting == lane) else {
        return Err(Failure::new(
            Exit::Unfinished,
            format!("feed {} waits for nothing; see `slacktide status`", lane.feed),
        ));
    };
    if args.dry_run {
        tell(lane, &question, false, args.json)?;
        return Ok(Exit::Done);
    }
    let (actor, reason) = (
        args.actor.clone().unwrap_or_default(),
        args.reason.clone().unwrap_or_default(),
    );
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept for ever and must say something",
        ));
    }
    let answer = Answer { actor, reason };
    sign(loaded, lane, &question, &answer).await?;
    let accepted = store.accept(lane, &answer).await?.unwrap_or(question);
    tell(lane, &accepted, true, args.json)?;
    Ok(Exit::Done)
}

async fn sign(
    loaded: &Loaded<CommercialFile>,
    lane: &Lane,
    question: &Question,
    answer: &Answer,
) -> Result<(), Failure> {
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let party = PartyName::new(file.commercial.recipient.as_str());
    let party = party.map_err(|error| Failure::internal(&error))?;
    let operator = Operator::new()?;
    let who = operator.signs(&key, &[], &party);
    let what: Vec<String> = question.changes.iter().map(Asked::what).collect();
    let act = Act {
        actor: answer.actor.clone(),
        action: "change.accept".to_owned(),
        reason: answer.reason.clone(),
        detail: BTreeMap::from([
            ("lane".to_owned(), lane.to_string()),
            (
                "chunk".to_owned(),
                format!("{}.{}", question.place.epoch, question.place.number),
            ),
            ("changes".to_owned(), what.join("; ")),
        ]),
    };
    let signed = append(&exchange, &who, &act).await;
    exchange.close().await;
    signed.map(|_| ()).map_err(|error| match error {
        ActError::Exchange(error) => {
            let failure = Failure::from(error);
            let what =
                format!("nothing was accepted, for it could not be signed into the audit chain: {failure}");
            Failure::new(failure.exit, what)
        }
        other => Failure::new(Exit::Unfinished, format!("nothing was accepted: {other}")),
    })
}

fn tell(lane: &Lane, question: &Question, accepted: bool, json: bool) -> Result<(), Failure> {
    if json {
        let lines = |of: fn(&Asked) -> String| question.changes.iter().map(of).collect::<Vec<_>>();
        return output::json(&serde_json::json!({
            "lane": lane.to_string(), "epoch": question.place.epoch, "number": question.place.number,
            "since": question.since, "changes": lines(Asked::what), "then": lines(Asked::accepted), "accepted": accepted,
        }));
    }
    let (epoch, number) = (question.place.epoch, question.place.number);
    output::line(&format!("{lane}, since chunk {number} of epoch {epoch}:"));
    for change in &question.changes {
        output::line(&format!("  {}", change.what()));
        output::line(&format!("    {}", change.accepted()));
    }
    output::line(if accepted {
        "accepted; it goes on by itself when the next chunk comes"
    } else {
        "nothing was changed"
    });
    Ok(())
}

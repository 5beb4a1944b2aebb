//! The bureau's side: what it could not send, and what its receivers keep aside.
//!
//! Its credential reads the last message of a subject and no history. So there are the rejects
//! of each lane's last chunk, the numbers that the last receipt reports, and a tail that nobody
//! trusts, which stops the lane. Nothing of the first two can be mended here but by publishing
//! the rows again.
//!
//! - [`mod@found`] what is seen there
//! - [`mod@discard`] a tail that nobody trusts is given up

mod discard;
mod found;

use ::exchange::Exchange;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::seal::SealRing;

use self::discard::discard;
use self::found::{What, found, one};
use super::told::{self, Line};
use super::{Order, QuarantineCommand, act};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::SocialFile;

type File = Loaded<SocialFile>;

const WAYS: &str = "repair the row in the core so that its cursor moves, and it is published again by itself; \
                    or publish from the last receipt or from the beginning with `slacktide feed rewind`";

/// Runs one of them.
pub(super) async fn run(loaded: &File, command: QuarantineCommand) -> Outcome {
    let file = &loaded.value;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let done = match command {
        QuarantineCommand::List { feed, json, .. } => list(loaded, &exchange, feed.as_deref(), json).await,
        QuarantineCommand::Show { id, reveal, order } => show(loaded, &exchange, &id, reveal, &order).await,
        QuarantineCommand::Retry { which, order } => {
            retry(
                loaded,
                &exchange,
                which.id.as_deref(),
                which.feed.as_deref(),
                &order,
            )
            .await
        }
        QuarantineCommand::Discard { id, order } => discard(loaded, &exchange, &id, &order).await,
        QuarantineCommand::Export { .. } | QuarantineCommand::Check { .. } => Err(Failure::usage(
            "what the bureau published stands at the exchange: the auditor reads it with `slacktide audit replay`; \
             export from the insurer's side",
        )),
    };
    exchange.close().await;
    done
}

async fn list(loaded: &File, exchange: &dyn Exchange, feed: Option<&str>, json: bool) -> Outcome {
    let lines: Vec<Line> = found(loaded, exchange, feed)
        .await?
        .into_iter()
        .map(|found| found.line)
        .collect();
    told::list("social", &lines, json)?;
    if !json {
        output::note(
            "note: of each lane the last chunk's rejects and the last receipt's numbers; the auditor reads all: `slacktide audit replay`",
        );
    }
    Ok(Exit::Done)
}

async fn show(loaded: &File, exchange: &dyn Exchange, id: &str, reveal: bool, order: &Order) -> Outcome {
    let found = one(loaded, exchange, id).await?;
    let mut holds = None;
    if reveal {
        let by = act::by(order, Some("reveal"))?;
        sign(loaded, exchange, &by, "quarantine.reveal", &found.line.id).await?;
        holds = match &found.what {
            What::Reject(reject) => serde_json::to_value(reject).ok(),
            What::Tail(stored) => Some(super::held::message(&stored.bytes, &SealRing::default())),
            What::Reported => None,
        };
    }
    if order.json {
        output::json(&serde_json::json!({ "entry": found.line, "holds": holds }))?;
        return Ok(Exit::Done);
    }
    told::show(&found.line);
    if let Some(holds) = holds {
        output::note("note: what follows is personal data; that it was looked at is signed and kept");
        output::json(&holds)?;
    }
    Ok(Exit::Done)
}

async fn sign(
    loaded: &File,
    exchange: &dyn Exchange,
    by: &store::quarantine::By,
    action: &str,
    id: &str,
) -> Result<(), Failure> {
    let key = loaded.value.signing.key(loaded.folder())?;
    let party = loaded.value.social.name.as_str();
    act::sign(exchange, (party, key.as_ref()), by, action, &[id]).await
}

/// Nothing is stored here, so nothing can be stored again: it is said what helps.
async fn retry(
    loaded: &File,
    exchange: &dyn Exchange,
    id: Option<&str>,
    feed: Option<&str>,
    order: &Order,
) -> Outcome {
    let all = match id {
        Some(id) => vec![one(loaded, exchange, id).await?],
        None => found(loaded, exchange, feed).await?,
    };
    let told: Vec<_> = all
        .iter()
        .map(|found| {
            let way = match found.what {
                What::Tail(_) => {
                    "correct [trust] chunks and restart the agent, which then goes on behind it; or give it up with \
                     `slacktide quarantine discard`, which opens a new epoch behind it"
                }
                What::Reject(_) => WAYS,
                What::Reported => {
                    "the receiver retries with `slacktide quarantine retry`; or the rows are published again: repair \
                     them in the core so that their cursor moves, or use `slacktide feed rewind`"
                }
            };
            serde_json::json!({ "id": found.line.id, "lane": found.line.lane, "way": way })
        })
        .collect();
    if order.json {
        output::json(&serde_json::json!({ "entries": told, "left": told.len() }))?;
    } else if told.is_empty() {
        output::line("nothing is in quarantine, and no tail stops a lane");
    } else {
        for found in told {
            let text = |name: &str| {
                found
                    .get(name)
                    .and_then(|value| value.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            output::line(&format!(
                "{}  {}  {}",
                told::short(&text("id")),
                text("lane"),
                text("way")
            ));
        }
    }
    Ok(if all.is_empty() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

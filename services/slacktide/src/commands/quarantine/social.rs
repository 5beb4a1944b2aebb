//! The bureau's side: rejected rows, and chunks in its receivers' quarantine.
//!
//! The bureau's credential reads only the last message of a subject. So it sees the rejects of each lane's last chunk, the
//! numbers in the last receipt, and an untrusted tail, which stops the lane. The first two can only be fixed by publishing
//! the rows again.
//!
//! - [`mod@entries`] finds the entries
//! - [`mod@discard`] discards an untrusted tail

mod discard;
mod entries;

use ::exchange::Exchange;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::encryption::DecryptionKeys;

use self::discard::discard;
use self::entries::{EntryKind, find_all, find_one};
use super::render::{self, Line};
use super::{Order, QuarantineCommand, act};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::SocialFile;

type File = Loaded<SocialFile>;

const REPUBLISH_REMEDY: &str = "repair the row in the core so that its cursor changes: it is then published again automatically; \
                    or publish again from the last receipt or from the beginning with `slacktide feed rewind`";

/// Runs a subcommand.
pub(super) async fn run(loaded: &File, command: QuarantineCommand) -> Outcome {
    let file = &loaded.value;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
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
            "the published messages are at the exchange: the auditor reads them with `slacktide audit replay`; \
             export from the insurer's side",
        )),
    };
    exchange.close().await;
    done
}

async fn list(loaded: &File, exchange: &dyn Exchange, feed: Option<&str>, json: bool) -> Outcome {
    let lines: Vec<Line> = find_all(loaded, exchange, feed)
        .await?
        .into_iter()
        .map(|found| found.line)
        .collect();
    render::list("social", &lines, json)?;
    if !json {
        output::note(
            "note: only the last chunk's rejects and the last receipt's numbers of each lane; the auditor can read all: `slacktide audit replay`",
        );
    }
    Ok(Exit::Done)
}

async fn show(loaded: &File, exchange: &dyn Exchange, id: &str, reveal: bool, order: &Order) -> Outcome {
    let found = find_one(loaded, exchange, id).await?;
    let mut revealed = None;
    if reveal {
        let by = act::decision(order, Some("reveal"))?;
        sign(loaded, exchange, &by, "quarantine.reveal", &found.line.id).await?;
        revealed = match &found.what {
            EntryKind::Reject(reject) => serde_json::to_value(reject).ok(),
            EntryKind::Tail(stored) => Some(super::content::decode_message(
                &stored.bytes,
                &DecryptionKeys::default(),
            )),
            EntryKind::Reported => None,
        };
    }
    if order.json {
        output::json(&serde_json::json!({ "entry": found.line, "content": revealed }))?;
        return Ok(Exit::Done);
    }
    render::show(&found.line);
    if let Some(revealed) = revealed {
        output::note("note: the following is personal data; this access is recorded in the audit chain");
        output::json(&revealed)?;
    }
    Ok(Exit::Done)
}

async fn sign(
    loaded: &File,
    exchange: &dyn Exchange,
    by: &store::quarantine::Decision,
    action: &str,
    id: &str,
) -> Result<(), Failure> {
    let key = loaded.value.signing.key(loaded.folder())?;
    let party = loaded.value.social.name.as_str();
    act::sign(exchange, (party, key.as_ref()), by, action, &[id]).await
}

/// Prints the remedy of each entry: the bureau has no store to retry in.
async fn retry(
    loaded: &File,
    exchange: &dyn Exchange,
    id: Option<&str>,
    feed: Option<&str>,
    order: &Order,
) -> Outcome {
    let all = match id {
        Some(id) => vec![find_one(loaded, exchange, id).await?],
        None => find_all(loaded, exchange, feed).await?,
    };
    let entries: Vec<_> = all
        .iter()
        .map(|found| {
            let remedy = match found.what {
                EntryKind::Tail(_) => {
                    "correct [trust] chunks and restart the agent, which then continues after it; or discard it with \
                     `slacktide quarantine discard`, which opens a new epoch"
                }
                EntryKind::Reject(_) => REPUBLISH_REMEDY,
                EntryKind::Reported => {
                    "the receiver retries with `slacktide quarantine retry`; or the rows are published again: repair \
                     them in the core so that their cursor changes, or use `slacktide feed rewind`"
                }
            };
            serde_json::json!({ "id": found.line.id, "lane": found.line.lane, "remedy": remedy })
        })
        .collect();
    if order.json {
        output::json(&serde_json::json!({ "entries": entries, "left": entries.len() }))?;
    } else if entries.is_empty() {
        output::line("nothing is in quarantine, and no tail stops a lane");
    } else {
        for found in entries {
            let text = |name: &str| {
                found
                    .get(name)
                    .and_then(|value| value.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            output::line(&format!(
                "{}  {}  {}",
                render::short_id(&text("id")),
                text("lane"),
                text("remedy")
            ));
        }
    }
    Ok(if all.is_empty() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

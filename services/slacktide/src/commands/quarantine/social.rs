//! The bureau's side: rejected rows, and chunks in its receivers' quarantine.
//!
//! The bureau's credential reads only the last message of a subject. So it sees the rejects of each lane's last chunk, the
//! numbers in the last receipt, and an untrusted tail, which stops the lane. The first two can only be fixed by publishing
//! the rows again.
//!
//! - [`mod@entries`] finds the entries
//! - [`mod@discard`] discards an untrusted tail

pub(in crate::commands) mod discard;
mod entries;

use ::exchange::Exchange;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::encryption::DecryptionKeys;
use serde::Serialize;

use self::discard::discard;
use self::entries::{EntryKind, find_all, find_one};
use super::act;
use super::render::{EntryList, EntryReport, Line, QuarantineSide, short_id};
use crate::cli::quarantine::{Order, QuarantineCommand};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
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
    output::report(&EntryList::new(QuarantineSide::Bureau, lines), json)?;
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
        output::report(&EntryReport::new(found.line, revealed), true)?;
        return Ok(Exit::Done);
    }
    output::report(&EntryReport::new(found.line, None), false)?;
    if let Some(revealed) = revealed {
        output::note("note: the following is personal data; this access is recorded in the audit chain");
        output::json_text(&revealed)?;
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
    let items: Vec<RemedyItem> = all
        .iter()
        .map(|found| RemedyItem {
            id: found.line.id.clone(),
            lane: found.line.lane.clone(),
            remedy: match found.what {
                EntryKind::Tail(_) => {
                    "correct [trust] chunks and restart the agent, which then continues after it; or discard it with \
                     `slacktide quarantine discard`, which opens a new epoch"
                }
                EntryKind::Reject(_) => REPUBLISH_REMEDY,
                EntryKind::Reported => {
                    "the receiver retries with `slacktide quarantine retry`; or the rows are published again: repair \
                     them in the core so that their cursor changes, or use `slacktide feed rewind`"
                }
            },
        })
        .collect();
    let report = RemedyReport {
        left: items.len(),
        items,
    };
    output::report(&report, order.json)?;
    Ok(if report.left == 0 {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

/// The remedies of entries.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine retry (bureau)")]
pub(in crate::commands) struct RemedyReport {
    items: Vec<RemedyItem>,
    /// All of the entries: none is retried at the bureau.
    left: usize,
}

/// The remedy of an entry.
#[derive(Debug, Serialize, JsonSchema)]
struct RemedyItem {
    id: String,
    /// `RECIPIENT.FEED`.
    lane: String,
    remedy: &'static str,
}

impl Report for RemedyReport {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.is_empty() {
            view.line("nothing is in quarantine, and no tail stops a lane");
        }
        for item in &self.items {
            view.line(format!("{}  {}  {}", short_id(&item.id), item.lane, item.remedy));
        }
        view
    }
}

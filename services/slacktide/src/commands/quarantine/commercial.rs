//! The insurer's side, on its store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::commercial::open::{Opened, open};
use ::exchange::Delivery;
use runtime::backoff::Backoff;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::{FeedName, Lane};
use schemas::subject::Subject;
use serde::Serialize;
use store::Quarantine;
use store::quarantine::{Decision, Entry, EntryFilter, Kind, RetryOutcome};

use super::content::decode_content;
use super::render::{EntryList, EntryReport, Line, QuarantineSide, short_id};
use super::{act, export};
use crate::cli::quarantine::{Order, QuarantineCommand, Which};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Progress, Report, View};
use crate::settings::CommercialFile;

/// Rows per transaction of a retry.
const BATCH_SIZE: usize = 200;

/// Retries of a batch while another process holds a lock. The database itself waits some seconds for a lock.
const MAX_CONTENDED_RETRIES: u32 = 8;
const CONTENDED_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

type File = Loaded<CommercialFile>;

/// Runs a subcommand.
pub(super) async fn run(loaded: &File, command: QuarantineCommand) -> Outcome {
    let quarantine = compose::quarantine(loaded)?;
    quarantine.prepare().await?;
    let done = match command {
        QuarantineCommand::List {
            feed, ended, json, ..
        } => {
            let filter = EntryFilter {
                feed: parse_feed(feed.as_deref())?,
                ended,
                ..EntryFilter::default()
            };
            let entries = quarantine.entries(&filter).await?;
            let lines: Vec<Line> = entries.iter().map(Line::from).collect();
            output::report(&EntryList::new(QuarantineSide::Insurer, lines), json).map(|()| Exit::Done)
        }
        QuarantineCommand::Show { id, reveal, order } => {
            show(loaded, quarantine.as_ref(), &id, reveal, &order).await
        }
        QuarantineCommand::Retry { which, order } => retry(loaded, &quarantine, &which, &order).await,
        QuarantineCommand::Discard { id, order } => discard(loaded, quarantine.as_ref(), &id, &order).await,
        QuarantineCommand::Export { which, out, order } => {
            let by = act::decision(&order, Some("export"))?;
            let entries = select_entries(quarantine.as_ref(), &which).await?;
            if entries.is_empty() {
                return Err(Failure::usage("nothing is in quarantine that could be exported"));
            }
            let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
            let mut file = export::File::create(&out)?;
            sign(loaded, &by, "quarantine.export", &entries).await?;
            let mut progress = Progress::new("entries exported", u64::try_from(entries.len()).ok());
            for (done, entry) in (1_u64..).zip(&entries) {
                progress.set(done, "");
                if let Some(content) = quarantine.content(&entry.lane, &entry.id).await? {
                    file.entry(entry, &content, &decryption_keys)?;
                }
            }
            drop(progress);
            file.finish(&out, order.json)
        }
        QuarantineCommand::Check { .. } => Err(Failure::usage("check reads a file and no configuration")),
    };
    quarantine.close().await;
    done
}

fn parse_feed(name: Option<&str>) -> Result<Option<FeedName>, Failure> {
    name.map(|name| FeedName::new(name).map_err(|error| Failure::usage(error.to_string())))
        .transpose()
}

/// Finds the entry with an id prefix, ended or not.
async fn find_entry(quarantine: &dyn Quarantine, id: &str, feed: Option<FeedName>) -> Result<Entry, Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{id:?} is not an id: give hex digits as in `quarantine list`"
        )));
    }
    let filter = EntryFilter {
        feed,
        prefix: id.to_ascii_lowercase(),
        ended: true,
        limit: Some(2),
    };
    let mut found = quarantine.entries(&filter).await?;
    match (found.pop(), found.pop()) {
        (Some(entry), None) => Ok(entry),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "several entries begin with {id}: give more digits, or --feed"
        ))),
        _ => Err(Failure::usage(format!(
            "no entry begins with {id}: see `quarantine list --ended`"
        ))),
    }
}

async fn select_entries(quarantine: &dyn Quarantine, which: &Which) -> Result<Vec<Entry>, Failure> {
    let feed = parse_feed(which.feed.as_deref())?;
    match &which.id {
        Some(id) => Ok(vec![find_entry(quarantine, id, feed).await?]),
        None => Ok(quarantine
            .entries(&EntryFilter {
                feed,
                ..EntryFilter::default()
            })
            .await?),
    }
}

/// Appends the action to the audit chain before it is done.
async fn sign(loaded: &File, by: &Decision, action: &str, entries: &[Entry]) -> Result<(), Failure> {
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let party = file.commercial.recipient.as_str();
    let signed = act::sign(&exchange, (party, key.as_ref()), by, action, &ids).await;
    ::exchange::Exchange::close(&exchange).await;
    signed
}

async fn show(loaded: &File, quarantine: &dyn Quarantine, id: &str, reveal: bool, order: &Order) -> Outcome {
    let entry = find_entry(quarantine, id, None).await?;
    let line = Line::from(&entry);
    let mut revealed = None;
    if reveal {
        let by = act::decision(order, Some("reveal"))?;
        sign(loaded, &by, "quarantine.reveal", std::slice::from_ref(&entry)).await?;
        let content = quarantine.content(&entry.lane, &entry.id).await?;
        let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
        revealed = content.map(|content| decode_content(entry.kind, &content, &decryption_keys));
    }
    if order.json {
        output::report(&EntryReport::new(line, revealed), true)?;
        return Ok(Exit::Done);
    }
    output::report(&EntryReport::new(line, None), false)?;
    match revealed {
        Some(revealed) => {
            output::note("note: the following is personal data; this access is recorded in the audit chain");
            output::json_text(&revealed)?;
        }
        None if reveal => output::line("its content was deleted when it ended"),
        None => {}
    }
    Ok(Exit::Done)
}

async fn discard(loaded: &File, quarantine: &dyn Quarantine, id: &str, order: &Order) -> Outcome {
    let by = act::decision(order, None)?;
    let entry = find_entry(quarantine, id, None).await?;
    if entry.ended.is_none() {
        sign(loaded, &by, "quarantine.discard", std::slice::from_ref(&entry)).await?;
    }
    let outcome = quarantine
        .discard(&entry.lane, std::slice::from_ref(&entry.id), &by)
        .await?;
    print(&with_outcomes(vec![entry], outcome), order.json)
}

async fn retry(loaded: &File, quarantine: &Arc<dyn Quarantine>, which: &Which, order: &Order) -> Outcome {
    let by = act::decision(order, Some("retry"))?;
    let entries = select_entries(quarantine.as_ref(), which).await?;
    if entries.iter().any(|entry| entry.ended.is_none()) {
        sign(loaded, &by, "quarantine.retry", &entries).await?;
    }
    let mut progress = Progress::new("entries retried", u64::try_from(entries.len()).ok());
    let mut done = Vec::new();
    let mut rows: BTreeMap<Lane, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        if entry.kind == Kind::Message {
            let outcome = retry_message(loaded, quarantine.as_ref(), &entry, &by).await?;
            done.push((entry, outcome));
            progress.set(done.len() as u64, "");
        } else {
            rows.entry(entry.lane.clone()).or_default().push(entry);
        }
    }
    for (lane, entries) in rows {
        for part in entries.chunks(BATCH_SIZE) {
            let ids: Vec<String> = part.iter().map(|entry| entry.id.clone()).collect();
            let outcome = retry_rows(quarantine.as_ref(), &lane, &ids, &by).await?;
            done.extend(with_outcomes(part.to_vec(), outcome));
            progress.set(done.len() as u64, "");
        }
    }
    drop(progress);
    print(&done, order.json)
}

/// Retries a batch of rows while pollers or other operators hold locks. A refused transaction leaves nothing, so the whole
/// batch is repeated.
async fn retry_rows(
    quarantine: &dyn Quarantine,
    lane: &Lane,
    ids: &[String],
    by: &Decision,
) -> store::Result<Vec<RetryOutcome>> {
    let mut failures = 0;
    loop {
        match quarantine.retry_rows(lane, ids, by).await {
            Err(error) if error.kind == store::ErrorKind::Contended && failures < MAX_CONTENDED_RETRIES => {
                failures += 1;
                tokio::time::sleep(CONTENDED_BACKOFF.delay(failures, rand::random())).await;
            }
            done => return done,
        }
    }
}

fn with_outcomes(entries: Vec<Entry>, outcome: Vec<RetryOutcome>) -> Vec<(Entry, RetryOutcome)> {
    entries.into_iter().zip(outcome).collect()
}

async fn retry_message(
    loaded: &File,
    quarantine: &dyn Quarantine,
    entry: &Entry,
    by: &Decision,
) -> Result<RetryOutcome, Failure> {
    if let Some(ended) = &entry.ended {
        return Ok(RetryOutcome::Ended { ending: ended.ending });
    }
    let Some(content) = quarantine.content(&entry.lane, &entry.id).await? else {
        return Ok(RetryOutcome::Unknown);
    };
    let delivery = Delivery {
        subject: Subject::Data(entry.lane.clone()).to_string(),
        sequence: entry.sequence,
        stored_at: entry.exchanged_at,
        attempt: 1,
        trace: None,
        bytes: content.bytes.into(),
        token: String::new(),
    };
    let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
    match open(
        &delivery,
        &loaded.value.trust.chunks,
        &loaded.value.origin(),
        &decryption_keys,
    ) {
        Opened::Chunk(_, arrival) => Ok(quarantine.retry_message(&entry.id, &arrival, by).await?),
        Opened::Unreadable(message) => {
            quarantine
                .record_reason(&entry.lane, &entry.id, &message.reason)
                .await?;
            Ok(RetryOutcome::Stays {
                reason: message.reason,
            })
        }
        Opened::Closed(_, reason) => {
            quarantine.record_reason(&entry.lane, &entry.id, &reason).await?;
            Ok(RetryOutcome::Waits { reason })
        }
        Opened::Foreign(reason) => Ok(RetryOutcome::Stays { reason }),
    }
}

/// What became of entries.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine retry, quarantine discard (insurer)")]
pub(in crate::commands) struct RetryReport {
    items: Vec<RetryItem>,
    /// Entries that are still in quarantine.
    left: usize,
}

/// What became of an entry.
#[derive(Debug, Serialize, JsonSchema)]
struct RetryItem {
    id: String,
    /// `RECIPIENT.FEED`.
    lane: String,
    result: RetryWord,
    /// Rows that were stored.
    rows: Option<u64>,
    /// Rows that constraints refused.
    refused: Option<u64>,
    /// Why it stays.
    reason: Option<String>,
    /// The same for people.
    text: String,
}

/// The kinds of results.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RetryWord {
    /// It is stored.
    Released,
    /// A later epoch superseded it.
    LeftBehind,
    /// It stays in quarantine.
    Stays,
    /// It stays until a key is known or another row is stored.
    Waits,
    /// It stays, because it contradicts stored data.
    Contradicts,
    /// It can never be stored.
    Never,
    /// Its content is deleted.
    Discarded,
    /// It had ended before.
    Ended,
    /// It no longer exists.
    Unknown,
}

impl RetryReport {
    fn new(done: &[(Entry, RetryOutcome)]) -> Self {
        Self {
            items: done.iter().map(RetryItem::new).collect(),
            left: done.iter().filter(|(_, outcome)| !outcome.is_out()).count(),
        }
    }
}

impl RetryItem {
    fn new((entry, outcome): &(Entry, RetryOutcome)) -> Self {
        let (mut rows, mut refused, mut why) = (None, None, None);
        let result = match outcome.clone() {
            RetryOutcome::Released {
                rows: stored,
                refused: not_stored,
            } => {
                (rows, refused) = (Some(stored), Some(not_stored));
                RetryWord::Released
            }
            RetryOutcome::LeftBehind => RetryWord::LeftBehind,
            RetryOutcome::Stays { reason } => {
                why = Some(reason);
                RetryWord::Stays
            }
            RetryOutcome::Waits { reason } => {
                why = Some(reason);
                RetryWord::Waits
            }
            RetryOutcome::Contradicts { reason } => {
                why = Some(reason);
                RetryWord::Contradicts
            }
            RetryOutcome::Never { reason } => {
                why = Some(reason);
                RetryWord::Never
            }
            RetryOutcome::Discarded => RetryWord::Discarded,
            RetryOutcome::Ended { .. } => RetryWord::Ended,
            RetryOutcome::Unknown => RetryWord::Unknown,
        };
        Self {
            id: entry.id.clone(),
            lane: entry.lane.to_string(),
            result,
            rows,
            refused,
            reason: why,
            text: sentence(outcome),
        }
    }
}

impl Report for RetryReport {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.is_empty() {
            view.line("nothing is in quarantine");
        }
        for item in &self.items {
            view.line(format!("{}  {}  {}", short_id(&item.id), item.lane, item.text));
        }
        view
    }
}

fn print(done: &[(Entry, RetryOutcome)], json: bool) -> Outcome {
    let report = RetryReport::new(done);
    output::report(&report, json)?;
    Ok(if report.left == 0 {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

fn sentence(outcome: &RetryOutcome) -> String {
    match outcome {
        RetryOutcome::Released { rows, refused: 0 } => {
            format!("released: {rows} rows stored, unless a newer version exists")
        }
        RetryOutcome::Released { rows, refused } => {
            format!(
                "released: {rows} rows, {refused} of them refused by constraints and quarantined individually"
            )
        }
        RetryOutcome::LeftBehind => "superseded by a later epoch: nothing to store".to_owned(),
        RetryOutcome::Stays { reason } => format!("stays: {reason}"),
        RetryOutcome::Waits { reason } => format!("stays for now: {reason}"),
        RetryOutcome::Contradicts { reason } => {
            format!("stays, because it contradicts stored data: {reason}; discard it")
        }
        RetryOutcome::Never { reason } => format!("stays: {reason}"),
        RetryOutcome::Discarded => "discarded: its content is deleted, its digest is kept".to_owned(),
        RetryOutcome::Ended { ending } => {
            format!("was already {}; nothing changed", ending.word().replace('_', " "))
        }
        RetryOutcome::Unknown => "no longer exists".to_owned(),
    }
}

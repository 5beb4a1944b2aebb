//! The insurer's side: over its store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::commercial::open::{Opened, open};
use ::exchange::Delivery;
use nats::JetStream;
use runtime::backoff::Backoff;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane};
use schemas::subject::Subject;
use store::Quarantine;
use store::quarantine::{Became, By, Entry, Kind, Wanted};

use super::held::held;
use super::told::{self, Line, short};
use super::{Order, QuarantineCommand, Which, act, export};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::CommercialFile;

/// Rows that are retried or discarded in one transaction.
const AT_ONCE: usize = 200;

/// How often a part of the rows is tried again while somebody else holds a lock that it needs, and how long between. The
/// database itself waits some seconds for a lock before it refuses.
const MOST_CONTENDED: u32 = 8;
const CONTENDED: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

type File = Loaded<CommercialFile>;

/// Runs one of them.
pub(super) async fn run(loaded: &File, command: QuarantineCommand) -> Outcome {
    let quarantine = compose::quarantine(loaded)?;
    quarantine.prepare().await?;
    let done = match command {
        QuarantineCommand::List {
            feed, ended, json, ..
        } => {
            let wanted = Wanted {
                feed: feed_of(feed.as_deref())?,
                ended,
                ..Wanted::default()
            };
            let entries = quarantine.entries(&wanted).await?;
            let lines: Vec<Line> = entries.iter().map(Line::from).collect();
            told::list("commercial", &lines, json).map(|()| Exit::Done)
        }
        QuarantineCommand::Show { id, reveal, order } => {
            show(loaded, quarantine.as_ref(), &id, reveal, &order).await
        }
        QuarantineCommand::Retry { which, order } => retry(loaded, &quarantine, &which, &order).await,
        QuarantineCommand::Discard { id, order } => discard(loaded, quarantine.as_ref(), &id, &order).await,
        QuarantineCommand::Export { which, out, order } => {
            let by = act::by(&order, Some("export"))?;
            let entries = chosen(quarantine.as_ref(), &which).await?;
            if entries.is_empty() {
                return Err(Failure::usage("nothing is in quarantine that could be exported"));
            }
            let seals = loaded.value.sealing.ring(loaded.folder())?;
            let mut file = export::File::create(&out)?;
            sign(loaded, &by, "quarantine.export", &entries).await?;
            for entry in &entries {
                if let Some(content) = quarantine.content(&entry.lane, &entry.id).await? {
                    file.entry(entry, &content, &seals)?;
                }
            }
            file.finish(&out, order.json)
        }
        QuarantineCommand::Check { .. } => Err(Failure::usage("check reads a file and no configuration")),
    };
    quarantine.close().await;
    done
}

fn feed_of(name: Option<&str>) -> Result<Option<FeedName>, Failure> {
    name.map(|name| FeedName::new(name).map_err(|error| Failure::usage(error.to_string())))
        .transpose()
}

/// The one entry whose id begins so, ended or not.
async fn one(quarantine: &dyn Quarantine, id: &str, feed: Option<FeedName>) -> Result<Entry, Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{id:?} is no id: give hex digits as `quarantine list` shows them"
        )));
    }
    let wanted = Wanted {
        feed,
        prefix: id.to_ascii_lowercase(),
        ended: true,
        most: Some(2),
    };
    let mut found = quarantine.entries(&wanted).await?;
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

async fn chosen(quarantine: &dyn Quarantine, which: &Which) -> Result<Vec<Entry>, Failure> {
    let feed = feed_of(which.feed.as_deref())?;
    match &which.id {
        Some(id) => Ok(vec![one(quarantine, id, feed).await?]),
        None => Ok(quarantine
            .entries(&Wanted {
                feed,
                ..Wanted::default()
            })
            .await?),
    }
}

/// Signs the act, whatever comes of it: without the exchange nothing is done.
async fn sign(loaded: &File, by: &By, action: &str, entries: &[Entry]) -> Result<(), Failure> {
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let party = file.commercial.recipient.as_str();
    let signed = act::sign(&exchange, (party, key.as_ref()), by, action, &ids).await;
    ::exchange::Exchange::close(&exchange).await;
    signed
}

async fn show(loaded: &File, quarantine: &dyn Quarantine, id: &str, reveal: bool, order: &Order) -> Outcome {
    let entry = one(quarantine, id, None).await?;
    let line = Line::from(&entry);
    let mut holds = None;
    if reveal {
        let by = act::by(order, Some("reveal"))?;
        sign(loaded, &by, "quarantine.reveal", std::slice::from_ref(&entry)).await?;
        let content = quarantine.content(&entry.lane, &entry.id).await?;
        let seals = loaded.value.sealing.ring(loaded.folder())?;
        holds = content.map(|content| held(entry.kind, &content, &seals));
    }
    if order.json {
        output::json(&serde_json::json!({ "entry": line, "holds": holds }))?;
        return Ok(Exit::Done);
    }
    told::show(&line);
    match (reveal, holds) {
        (true, Some(holds)) => {
            output::note("note: what follows is personal data; that it was looked at is signed and kept");
            output::json(&holds)?;
        }
        (true, None) => output::line("what it held was dropped when it ended"),
        (false, _) => {}
    }
    Ok(Exit::Done)
}

async fn discard(loaded: &File, quarantine: &dyn Quarantine, id: &str, order: &Order) -> Outcome {
    let by = act::by(order, None)?;
    let entry = one(quarantine, id, None).await?;
    if entry.ended.is_none() {
        sign(loaded, &by, "quarantine.discard", std::slice::from_ref(&entry)).await?;
    }
    let became = quarantine
        .discard(&entry.lane, std::slice::from_ref(&entry.id), &by)
        .await?;
    tell(&entry_became(vec![entry], became), order.json)
}

async fn retry(loaded: &File, quarantine: &Arc<dyn Quarantine>, which: &Which, order: &Order) -> Outcome {
    let by = act::by(order, Some("retry"))?;
    let entries = chosen(quarantine.as_ref(), which).await?;
    if entries.iter().any(|entry| entry.ended.is_none()) {
        sign(loaded, &by, "quarantine.retry", &entries).await?;
    }
    let mut done = Vec::new();
    let mut rows: BTreeMap<Lane, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        if entry.kind == Kind::Message {
            let became = retry_message(loaded, quarantine.as_ref(), &entry, &by).await?;
            done.push((entry, became));
        } else {
            rows.entry(entry.lane.clone()).or_default().push(entry);
        }
    }
    for (lane, entries) in rows {
        for part in entries.chunks(AT_ONCE) {
            let ids: Vec<String> = part.iter().map(|entry| entry.id.clone()).collect();
            let became = retry_rows(quarantine.as_ref(), &lane, &ids, &by).await?;
            done.extend(entry_became(part.to_vec(), became));
        }
    }
    tell(&done, order.json)
}

/// Pollers and other operators may hold the locks of a row for a while. Nothing of a refused transaction stays, so that the
/// whole part is tried anew.
async fn retry_rows(
    quarantine: &dyn Quarantine,
    lane: &Lane,
    ids: &[String],
    by: &By,
) -> store::Result<Vec<Became>> {
    let mut failures = 0;
    loop {
        match quarantine.retry_rows(lane, ids, by).await {
            Err(error) if error.kind == store::ErrorKind::Contended && failures < MOST_CONTENDED => {
                failures += 1;
                tokio::time::sleep(CONTENDED.delay(failures, rand::random())).await;
            }
            done => return done,
        }
    }
}

fn entry_became(entries: Vec<Entry>, became: Vec<Became>) -> Vec<(Entry, Became)> {
    entries.into_iter().zip(became).collect()
}

async fn retry_message(
    loaded: &File,
    quarantine: &dyn Quarantine,
    entry: &Entry,
    by: &By,
) -> Result<Became, Failure> {
    if let Some(ended) = &entry.ended {
        return Ok(Became::Ended { how: ended.how });
    }
    let Some(content) = quarantine.content(&entry.lane, &entry.id).await? else {
        return Ok(Became::Unknown);
    };
    let delivery = Delivery {
        subject: Subject::Data(entry.lane.clone()).to_string(),
        sequence: entry.sequence,
        stored_at: entry.exchanged_at,
        attempt: 1,
        bytes: content.bytes.into(),
        token: String::new(),
    };
    let seals = loaded.value.sealing.ring(loaded.folder())?;
    match open(
        &delivery,
        &loaded.value.trust.chunks,
        &loaded.value.origin(),
        &seals,
    ) {
        Opened::Chunk(_, arrival) => Ok(quarantine.retry_message(&entry.id, &arrival, by).await?),
        Opened::Unreadable(message) => {
            quarantine.stays(&entry.lane, &entry.id, &message.reason).await?;
            Ok(Became::Stays {
                reason: message.reason,
            })
        }
        Opened::Closed(_, reason) => {
            quarantine.stays(&entry.lane, &entry.id, &reason).await?;
            Ok(Became::Waits { reason })
        }
        Opened::Foreign(reason) => Ok(Became::Stays { reason }),
    }
}

fn tell(done: &[(Entry, Became)], json: bool) -> Outcome {
    let left = done.iter().filter(|(_, became)| !became.is_out()).count();
    if json {
        let entries: Vec<_> = done
            .iter()
            .map(|(entry, became)| serde_json::json!({ "id": entry.id, "lane": entry.lane.to_string(), "result": became }))
            .collect();
        output::json(&serde_json::json!({ "entries": entries, "left": left }))?;
    } else if done.is_empty() {
        output::line("nothing is in quarantine");
    } else {
        for (entry, became) in done {
            output::line(&format!(
                "{}  {}  {}",
                short(&entry.id),
                entry.lane,
                sentence(became)
            ));
        }
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Unfinished })
}

fn sentence(became: &Became) -> String {
    match became {
        Became::Released { rows, refused: 0 } => {
            format!("released: {rows} rows stored where nothing newer stands")
        }
        Became::Released { rows, refused } => {
            format!(
                "released: {rows} rows, {refused} of them refused by constraints and in quarantine by themselves"
            )
        }
        Became::LeftBehind => "left behind by a later epoch: there was nothing to store".to_owned(),
        Became::Stays { reason } => format!("stays: {reason}"),
        Became::Waits { reason } => format!("stays for now: {reason}"),
        Became::Contradicts { reason } => {
            format!("stays, for it contradicts what is stored: {reason}; discard it")
        }
        Became::Never { reason } => format!("stays: {reason}"),
        Became::Discarded => "discarded: what it held is dropped, its digest stays".to_owned(),
        Became::Ended { how } => format!(
            "had been {} before; nothing changed",
            how.word().replace('_', " ")
        ),
        Became::Unknown => "is not there any more".to_owned(),
    }
}

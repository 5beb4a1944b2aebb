//! `slacktide audit rebuild`.

use ::audit::ends::{EndOf, StreamEnd, find_ends};
use ::audit::selection::Selection;
use ::audit::walk::{Page, WalkEnd, next_page, walk};
use ::commercial::direct::ChunkTrust;
use ::commercial::rebuild::{ApprovedChange, Rebuild, RebuildEnd, RebuildError, RebuiltLane};
use ::exchange::port::{ReadFrom, Stream};
use ::exchange::{AuditExchange, Stored};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::audit::AuditEntry;
use schemas::envelope::Envelope;
use schemas::name::{FeedName, PartyName, RecipientName};
use schemas::origin::Origin;
use schemas::receipt::{Receipt, StoreId};
use serde::Serialize;
use std::ops::ControlFlow;
use store::merge::ChunkNumber;
use store::{Approval, PendingChanges};

use super::{connect, failed, require_chunk_keys};
use crate::cli::RebuildArgs;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Progress, Report, Style, View};
use crate::settings::PartyFile;
use crate::settings::store_address::StoreAddress;

/// Runs the command.
pub(super) async fn run(args: RebuildArgs) -> Outcome {
    let end = args.to.unwrap_or(RebuildEnd::Last);
    if matches!(end, RebuildEnd::Chunk(_)) && args.feed.is_none() {
        return Err(Failure::usage(
            "--to names a chunk, and chunks are numbered for each feed: give --feed, or a sequence or a time",
        ));
    }
    let address = StoreAddress::read(&args.into)?;
    let (loaded, exchange) = connect(&args.config.config).await?;
    require_chunk_keys(&loaded)?;
    let stream = data_stream(&exchange, args.recipient.as_ref()).await?;
    let store = compose::store_at(&address)?;
    let done = rebuild(
        &loaded,
        &exchange,
        store.as_ref(),
        &stream,
        (end, args.feed.as_ref()),
    )
    .await;
    store.close().await;
    let mut report = done?;
    report.to = args.to.map(describe_end);
    output::report(&report, args.json)?;
    Ok(if report.is_complete {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

fn describe_end(end: RebuildEnd) -> String {
    match end {
        RebuildEnd::Last => "the end".to_owned(),
        RebuildEnd::Sequence(sequence) => format!("sequence {sequence}"),
        RebuildEnd::Time(time) => time.to_string(),
        RebuildEnd::Chunk(chunk) => format!("chunk {}", format_chunk(chunk)),
    }
}

fn format_chunk(chunk: ChunkNumber) -> String {
    format!("{}.{}", chunk.epoch, chunk.number)
}

/// Returns the recipient's stream of chunks with its end.
async fn data_stream(exchange: &dyn AuditExchange, recipient: Option<&PartyName>) -> Result<EndOf, Failure> {
    let parties: Vec<PartyName> = recipient.into_iter().cloned().collect();
    let ends = find_ends(exchange, &[Stream::Data], &parties, &mut Vec::new()).await;
    let mut ends = ends.map_err(failed)?;
    let names: Vec<String> = ends.iter().map(|end| end.stream.party.to_string()).collect();
    match (ends.len(), recipient) {
        (1, _) => Ok(ends.remove(0)),
        (_, Some(recipient)) => Err(Failure::usage(format!(
            "the exchange has no recipient {recipient}"
        ))),
        (0, None) => Err(Failure::usage("the exchange has no recipient")),
        (_, None) => Err(Failure::usage(format!(
            "a store belongs to one recipient: give --recipient with one of {}",
            names.join(", ")
        ))),
    }
}

async fn rebuild(
    loaded: &Loaded<PartyFile>,
    exchange: &dyn AuditExchange,
    store: &dyn PendingChanges,
    stream: &EndOf,
    (end, feed): (RebuildEnd, Option<&FeedName>),
) -> Result<RebuildReport, Failure> {
    let party = &stream.stream.party;
    let signed = receipt_stores(loaded, exchange, party).await?;
    // Before the bookkeeping of a live store could be upgraded.
    if let Ok(identity) = store.identity().await {
        refuse_live_store(&identity.id, &signed)?;
    }
    store.prepare().await?;
    let identity = store.identity().await?;
    refuse_live_store(&identity.id, &signed)?;
    let approved = approved_changes(loaded, exchange, party).await?;
    let trust = ChunkTrust {
        trusted: loaded.value.trust.chunks.clone(),
        here: Origin {
            site: loaded.value.exchange.site.clone(),
            bureau: None,
            source: None,
        },
        decryption_keys: loaded.value.encryption.decryption_keys(loaded.folder())?,
    };
    let mut rebuild = Rebuild::new(store, trust, &approved, end);
    let selection = Selection {
        feed: feed.cloned(),
        ..Selection::all(Stream::Data)
    };
    let read = read_all(exchange, stream, &selection.filter(party), &mut rebuild).await?;
    let mut lanes = rebuild.finish().await.map_err(stopped)?;
    lanes.retain(|lane| feed.is_none_or(|feed| lane.lane.feed == *feed));
    for lane in &lanes {
        if lane.frontier > lane.last {
            return Err(Failure::new(
                Exit::Evidence,
                format!(
                    "the store held chunks of {} beyond --to before: it is not the store of that time; give an empty store",
                    lane.lane
                ),
            ));
        }
    }
    Ok(RebuildReport::new(party, &identity.id, stream.end, &read, &lanes))
}

/// How far the stream was read.
struct ReadStream {
    last: Option<u64>,
    end: WalkEnd,
}

async fn read_all(
    exchange: &dyn AuditExchange,
    stream: &EndOf,
    filter: &str,
    rebuild: &mut Rebuild<'_>,
) -> Result<ReadStream, Failure> {
    let total = match stream.end {
        StreamEnd::Sequence(last) => Some(last),
        StreamEnd::Unknown => None,
    };
    let mut progress = Progress::new("sequences read", total);
    let (mut from, mut last) = (ReadFrom::Sequence(1), None);
    loop {
        let page = next_page(exchange, &stream.stream, stream.end, filter, from).await;
        let mut messages = match page.map_err(failed)? {
            Page::Messages(messages) => messages,
            Page::End(end) => return Ok(ReadStream { last, end }),
        };
        // What was stored after the end was asked for belongs to no proven state.
        let is_before = |message: &Stored| total.is_none_or(|end| message.sequence <= end);
        let read = messages.len();
        messages.retain(is_before);
        let is_past = messages.len() < read;
        let reached = messages.last().map(|message| message.sequence);
        if let Some(sequence) = reached {
            from = ReadFrom::Sequence(sequence + 1);
            progress.set(sequence, "");
        }
        let flow = rebuild.push(messages).await.map_err(stopped)?;
        last = reached.or(last);
        if is_past || flow.is_break() {
            let end = WalkEnd::Reached;
            return Ok(ReadStream { last, end });
        }
    }
}

fn stopped(error: RebuildError) -> Failure {
    match error {
        RebuildError::Store(error) => error.into(),
        RebuildError::Opening(error) => Failure::new(Exit::Unfinished, error.to_string()),
    }
}

/// Returns the stores for which receipts of the recipient were signed. Unsigned claims count too: they only refuse.
async fn receipt_stores(
    loaded: &Loaded<PartyFile>,
    exchange: &dyn AuditExchange,
    party: &PartyName,
) -> Result<Vec<StoreId>, Failure> {
    let mut stores: Vec<StoreId> = Vec::new();
    let mut visit = |message: Stored| {
        let envelope = Envelope::decode(&message.bytes).ok();
        let trusted = &loaded.value.trust.receipts;
        let receipt = envelope.and_then(|envelope| envelope.verify::<Receipt>(trusted).ok());
        if let Some(id) = receipt.and_then(|receipt| receipt.store)
            && !stores.contains(&id)
        {
            stores.push(id);
        }
        Ok(ControlFlow::Continue(()))
    };
    for end in stream_of(exchange, Stream::Receipts, party).await? {
        let filter = Selection::all(Stream::Receipts).filter(party);
        let walked = walk(exchange, &end, &filter, ReadFrom::Sequence(1), &mut visit).await;
        walked.map_err(failed)?;
    }
    Ok(stores)
}

fn refuse_live_store(id: &StoreId, signed: &[StoreId]) -> Result<(), Failure> {
    if signed.contains(id) {
        return Err(Failure::usage(format!(
            "--into names store {id}, which signed receipts: it is a live store, and nothing was written; name an empty one"
        )));
    }
    Ok(())
}

/// Returns the changes of columns that the recipient's operators approved, from their audit chains.
async fn approved_changes(
    loaded: &Loaded<PartyFile>,
    exchange: &dyn AuditExchange,
    party: &PartyName,
) -> Result<Vec<ApprovedChange>, Failure> {
    let trusted = &loaded.value.trust.entries;
    let mut changes = Vec::new();
    let mut visit = |message: Stored| {
        let entry = Envelope::decode(&message.bytes).and_then(|envelope| envelope.verify(trusted));
        changes.extend(entry.ok().and_then(approved_change));
        Ok(ControlFlow::Continue(()))
    };
    for end in stream_of(exchange, Stream::Audit, party).await? {
        let filter = Selection::all(Stream::Audit).filter(party);
        let walked = walk(exchange, &end, &filter, ReadFrom::Sequence(1), &mut visit).await;
        walked.map_err(failed)?;
    }
    Ok(changes)
}

fn approved_change(entry: AuditEntry) -> Option<ApprovedChange> {
    let mut detail = entry.detail;
    (entry.action == "change.accept").then_some(())?;
    Some(ApprovedChange {
        lane: detail.remove("lane")?,
        changes: detail.remove("changes")?,
        approval: Approval {
            actor: entry.actor,
            reason: entry.reason,
        },
    })
}

async fn stream_of(
    exchange: &dyn AuditExchange,
    stream: Stream,
    party: &PartyName,
) -> Result<Vec<EndOf>, Failure> {
    let parties = [party.clone()];
    let ends = find_ends(exchange, &[stream], &parties, &mut Vec::new()).await;
    ends.map_err(failed)
}

/// The result of a rebuild.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "audit rebuild")]
pub(in crate::commands) struct RebuildReport {
    /// The recipient whose store was rebuilt.
    recipient: String,
    /// The identity of the rebuilt store.
    store: String,
    /// Where it ends; `null`: at the end of the stream.
    to: Option<String>,
    /// The last sequence that was read; `null` if the stream has none.
    last_sequence: Option<u64>,
    /// The last sequence of the stream, as its leader reported it before the read; `null` if the transport does not report it.
    leader_sequence: Option<u64>,
    /// Whether everything up to `to`, or up to the leader's last sequence, was read.
    is_end_reached: bool,
    /// Whether in addition every chunk that was read is stored.
    is_complete: bool,
    /// The lanes.
    items: Vec<RebuiltItem>,
    /// What is missing, and what could not be proven.
    not_covered: Vec<String>,
}

/// A lane of the rebuilt store.
#[derive(Debug, Serialize, JsonSchema)]
struct RebuiltItem {
    recipient: RecipientName,
    feed: FeedName,
    /// Chunks that were read.
    chunks: u64,
    /// Of these, chunks that this run stored.
    chunks_stored: u64,
    /// Of these, chunks of the lost end of an epoch.
    chunks_superseded: u64,
    /// Rows of the chunks that this run stored.
    rows: u64,
    /// Of these, rows that constraints refused.
    rows_quarantined: u64,
    /// Messages that could not be opened; they are in quarantine.
    unreadable: u64,
    /// Chunks that are encrypted to a key that is missing.
    encrypted: u64,
    /// The last chunk up to which everything is stored, as `EPOCH.NUMBER`.
    frontier: Option<String>,
    /// Approved changes of columns that were made.
    changes: Vec<String>,
}

impl RebuildReport {
    fn new(
        party: &PartyName,
        id: &StoreId,
        end: StreamEnd,
        read: &ReadStream,
        lanes: &[RebuiltLane],
    ) -> Self {
        let mut not_covered = Vec::new();
        match read.end {
            WalkEnd::Reached => {}
            WalkEnd::Unknown => not_covered.push(
                "the end of the stream: this transport does not report the last sequence".to_owned(),
            ),
            WalkEnd::Missed { end } => not_covered.push(format!(
                "the end of the stream: its leader has sequence {end}, and the exchange returned no message beyond {}",
                read.last.unwrap_or(0)
            )),
        }
        not_covered.extend(lanes.iter().flat_map(describe_missing));
        Self {
            recipient: party.to_string(),
            store: id.to_string(),
            to: None,
            last_sequence: read.last,
            leader_sequence: match end {
                StreamEnd::Sequence(last) => Some(last),
                StreamEnd::Unknown => None,
            },
            is_end_reached: read.end == WalkEnd::Reached,
            is_complete: not_covered.is_empty(),
            items: lanes.iter().map(RebuiltItem::new).collect(),
            not_covered,
        }
    }
}

/// Describes what the rebuilt lane lacks.
fn describe_missing(lane: &RebuiltLane) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(left) = &lane.left {
        missing.push(format!(
            "{}: {} chunks are not stored, from sequence {} on: {}",
            lane.lane, left.chunks, left.sequence, left.reason
        ));
    }
    if lane.pending > 0 {
        missing.push(format!(
            "{}: {} stored chunks follow a chunk that the stream does not hold; what it held is missing",
            lane.lane, lane.pending
        ));
    }
    missing
}

impl RebuiltItem {
    fn new(lane: &RebuiltLane) -> Self {
        Self {
            recipient: lane.lane.recipient.clone(),
            feed: lane.lane.feed.clone(),
            chunks: lane.chunks,
            chunks_stored: lane.stored,
            chunks_superseded: lane.superseded,
            rows: lane.rows,
            rows_quarantined: lane.quarantined,
            unreadable: lane.unreadable,
            encrypted: lane.encrypted,
            frontier: lane.frontier.map(format_chunk),
            changes: lane.changes.clone(),
        }
    }
}

impl Report for RebuildReport {
    fn view(&self) -> View {
        let mut view = View::new();
        let to = self.to.as_deref().unwrap_or("the end of the stream");
        view.line(format!("store {} of {} up to {to}", self.store, self.recipient));
        for lane in &self.items {
            let frontier = lane.frontier.as_deref().unwrap_or("none");
            view.line(format!(
                "  {}: {} chunks read, {} stored with {} rows, frontier {frontier}",
                lane.feed, lane.chunks, lane.chunks_stored, lane.rows
            ));
            if lane.rows_quarantined + lane.unreadable > 0 {
                view.line(format!(
                    "    in quarantine: {} rows, {} messages",
                    lane.rows_quarantined, lane.unreadable
                ));
            }
            for change in &lane.changes {
                view.line(format!("    approved as recorded: {change}"));
            }
        }
        view.line(match (self.is_end_reached, self.leader_sequence) {
            (true, Some(last)) => format!(
                "read up to sequence {} of {last}, which the stream's leader reported",
                self.last_sequence.unwrap_or(0)
            ),
            _ => "NOT COMPLETE: the end was not reached".to_owned(),
        });
        for text in &self.not_covered {
            view.line(Line::styled(Style::Waiting, "NOT COVERED").and(format!(": {text}")));
        }
        view
    }
}

//! The entries as values, for both sides.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::quarantine::{Ended, Entry};

use crate::output::{Report, Table, Time, View};

/// Digits of an id that are displayed; any unique prefix is accepted.
const SHORT_ID_LENGTH: usize = 12;

/// An entry for display, without row values and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::commands) struct Line {
    /// 64 hex digits.
    pub(in crate::commands) id: String,
    /// `recipient.feed`.
    pub(in crate::commands) lane: String,
    /// The epoch of its chunk, if it has one.
    pub(in crate::commands) epoch: Option<u32>,
    /// The number of its chunk, if it has one.
    pub(in crate::commands) number: Option<u64>,
    /// `message`, `row` or `reject`; at the bureau `tail`, `reject` or `reported`.
    pub(in crate::commands) kind: &'static str,
    /// Its row in the chunk.
    pub(in crate::commands) ordinal: Option<u64>,
    /// The exchange's sequence.
    pub(in crate::commands) sequence: u64,
    /// The reason.
    pub(in crate::commands) reason: String,
    /// When it was quarantined.
    pub(in crate::commands) since: Time,
    /// `kept`, `waits` while it is retried automatically, or how it ended: `released`, `left_behind`, `discarded`.
    pub(in crate::commands) state: &'static str,
    /// Set while it is retried automatically.
    pub(in crate::commands) retry: Option<Retry>,
    /// Size of the content in bytes.
    pub(in crate::commands) bytes: u64,
    /// How it ended.
    pub(in crate::commands) ended: Option<EndedItem>,
}

/// How an entry ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::commands) struct EndedItem {
    /// The digest of the content, if it was kept.
    digest: Option<String>,
    /// The operator.
    actor: String,
    /// The operator's reason.
    reason: String,
    /// When it ended.
    at: Time,
}

impl From<&Ended> for EndedItem {
    fn from(ended: &Ended) -> Self {
        Self {
            digest: ended.digest.clone(),
            actor: ended.actor.clone(),
            reason: ended.reason.clone(),
            at: ended.at.into(),
        }
    }
}

/// Automatic retries of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::commands) struct Retry {
    /// Retries so far.
    pub(in crate::commands) tries: u32,
    /// The next retry, if no chunk of its lane arrives earlier.
    pub(in crate::commands) at: Time,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.clone(),
            lane: entry.lane.to_string(),
            epoch: entry.chunk_number.map(|chunk| chunk.epoch),
            number: entry.chunk_number.map(|chunk| chunk.number),
            kind: entry.kind.word(),
            ordinal: entry.ordinal,
            sequence: entry.sequence,
            reason: entry.reason.clone(),
            since: entry.since.into(),
            state: match (&entry.ended, entry.waiting) {
                (Some(ended), _) => ended.ending.word(),
                (None, Some(_)) => "waits",
                (None, None) => "kept",
            },
            retry: entry.waiting.map(|waiting| Retry {
                tries: waiting.tries,
                at: waiting.at.into(),
            }),
            bytes: entry.bytes,
            ended: entry.ended.as_ref().map(EndedItem::from),
        }
    }
}

impl Line {
    /// Returns the displayed prefix of the id.
    pub(super) fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// Formats `epoch.number`, or `-`.
    fn chunk_name(&self) -> String {
        match (self.epoch, self.number) {
            (Some(epoch), Some(number)) => format!("{epoch}.{number}"),
            _ => "-".to_owned(),
        }
    }
}

/// Returns the displayed prefix of an id.
pub(super) fn short_id(id: &str) -> &str {
    id.get(..SHORT_ID_LENGTH).unwrap_or(id)
}

/// The side of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum QuarantineSide {
    /// The entries of the insurer's store.
    Insurer,
    /// What the bureau published, and what its receivers report.
    Bureau,
}

/// The entries in quarantine.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine list")]
pub(in crate::commands) struct EntryList {
    side: QuarantineSide,
    items: Vec<Line>,
}

impl EntryList {
    pub(in crate::commands) fn new(side: QuarantineSide, items: Vec<Line>) -> Self {
        Self { side, items }
    }
}

impl Report for EntryList {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.is_empty() {
            view.line("nothing is in quarantine");
            return view;
        }
        let mut table = Table::new()
            .fixed("ID")
            .text("LANE")
            .text("CHUNK")
            .text("KIND")
            .text("SINCE")
            .text("STATE")
            .text("REASON");
        for line in &self.items {
            table.row([
                line.short_id().to_owned(),
                line.lane.clone(),
                line.chunk_name(),
                line.kind.to_owned(),
                line.since.to_string(),
                line.state.to_owned(),
                line.reason.clone(),
            ]);
        }
        view.table(table);
        view
    }
}

/// One entry, and its content if it is revealed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine show")]
pub(in crate::commands) struct EntryReport {
    entry: Line,
    /// The decoded content; `null` without `--reveal`, or if it was deleted. Personal data.
    content: Option<Value>,
}

impl EntryReport {
    pub(in crate::commands) fn new(entry: Line, content: Option<Value>) -> Self {
        Self { entry, content }
    }
}

impl Report for EntryReport {
    /// Describes the entry; the content is shown as JSON below it.
    fn view(&self) -> View {
        let line = &self.entry;
        let mut view = View::new();
        view.labelled("id        ", line.id.clone())
            .labelled("lane      ", line.lane.clone())
            .labelled("chunk     ", line.chunk_name())
            .labelled("kind      ", line.kind);
        if let Some(ordinal) = line.ordinal {
            view.labelled("row       ", format!("{ordinal} of its chunk, counted from 0"));
        }
        view.labelled("sequence  ", line.sequence.to_string())
            .labelled("since     ", format!("{:.3}", line.since.0))
            .labelled("bytes     ", line.bytes.to_string())
            .labelled("reason    ", line.reason.clone())
            .labelled("state     ", line.state);
        if let Some(retry) = &line.retry {
            let next = format!(
                "{} times; next with a chunk of its lane, or at {}",
                retry.tries, retry.at
            );
            view.labelled("tried     ", next);
        }
        if let Some(ended) = &line.ended {
            view.labelled(
                "ended     ",
                format!("{} by {}: {}", ended.at, ended.actor, ended.reason),
            )
            .labelled("digest    ", ended.digest.as_deref().unwrap_or("not kept"));
        }
        view
    }
}

//! Formats entries, for both sides.

use jiff::Timestamp;
use serde::Serialize;
use store::quarantine::{Ended, Entry};

use crate::failure::Failure;
use crate::output;

/// Digits of an id that are displayed; any unique prefix is accepted.
const SHORT_ID_LENGTH: usize = 12;

/// An entry for display, without row values and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Line {
    /// 64 hex digits.
    pub(in crate::commands) id: String,
    /// `recipient.feed`.
    pub(in crate::commands) lane: String,
    /// The epoch of its chunk, if it has one.
    pub(in crate::commands) epoch: Option<u32>,
    /// The number of its chunk, if it has one.
    pub(in crate::commands) number: Option<u64>,
    /// The kind.
    pub(in crate::commands) kind: &'static str,
    /// Its row in the chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) ordinal: Option<u64>,
    /// The exchange's sequence.
    pub(in crate::commands) sequence: u64,
    /// The reason.
    pub(in crate::commands) reason: String,
    /// When it was quarantined.
    pub(in crate::commands) since: Timestamp,
    /// `kept`, `waits` while it is retried automatically, or how it ended.
    pub(in crate::commands) state: &'static str,
    /// Set while it is retried automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) retry: Option<Retry>,
    /// Size of the content in bytes.
    pub(in crate::commands) bytes: u64,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) ended: Option<Ended>,
}

/// Automatic retries of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Retry {
    /// Retries so far.
    pub(in crate::commands) tries: u32,
    /// The next retry, if no chunk of its lane arrives earlier.
    pub(in crate::commands) at: Timestamp,
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
            since: entry.since,
            state: match (&entry.ended, entry.waiting) {
                (Some(ended), _) => ended.ending.word(),
                (None, Some(_)) => "waits",
                (None, None) => "kept",
            },
            retry: entry.waiting.map(|waiting| Retry {
                tries: waiting.tries,
                at: waiting.at,
            }),
            bytes: entry.bytes,
            ended: entry.ended.clone(),
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

/// Prints the entries as a table or JSON.
pub(super) fn list(side: &str, lines: &[Line], json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&serde_json::json!({ "side": side, "entries": lines }));
    }
    output::lines(table(lines));
    Ok(())
}

/// Renders a table.
pub(in crate::commands) fn table(lines: &[Line]) -> Vec<String> {
    if lines.is_empty() {
        return vec!["nothing is in quarantine".to_owned()];
    }
    let head = ["ID", "LANE", "CHUNK", "KIND", "SINCE", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = lines
        .iter()
        .map(|line| {
            [
                line.short_id().to_owned(),
                line.lane.clone(),
                line.chunk_name(),
                line.kind.to_owned(),
                format!("{:.0}", line.since),
                line.state.to_owned(),
            ]
        })
        .collect();
    let mut widths = [0; 6];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = |row: &[String; 6]| {
        let cells = row.iter().zip(widths);
        cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect::<Vec<_>>()
            .join("  ")
    };
    let mut shown = vec![format!("{}  REASON", padded(&head))];
    let rows = rows.iter().zip(lines);
    shown.extend(rows.map(|(row, line)| format!("{}  {}", padded(row), line.reason)));
    shown
}

/// Prints one entry.
pub(super) fn show(line: &Line) {
    output::lines(shown(line));
}

/// Renders one entry, one line per field.
pub(in crate::commands) fn shown(line: &Line) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add_field = |name: &str, value: &str| lines.push(format!("{name:<10}{value}"));
    add_field("id", &line.id);
    add_field("lane", &line.lane);
    add_field("chunk", &line.chunk_name());
    add_field("kind", line.kind);
    if let Some(ordinal) = line.ordinal {
        add_field("row", &format!("{ordinal} of its chunk, counted from 0"));
    }
    add_field("sequence", &line.sequence.to_string());
    add_field("since", &line.since.to_string());
    add_field("bytes", &line.bytes.to_string());
    add_field("reason", &line.reason);
    add_field("state", line.state);
    if let Some(retry) = &line.retry {
        let next = format!(
            "{} times; next with a chunk of its lane, or at {:.0}",
            retry.tries, retry.at
        );
        add_field("tried", &next);
    }
    if let Some(ended) = &line.ended {
        add_field(
            "ended",
            &format!("{} by {}: {}", ended.at, ended.actor, ended.reason),
        );
        add_field("digest", ended.digest.as_deref().unwrap_or("not kept"));
    }
    lines
}

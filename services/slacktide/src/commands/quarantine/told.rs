//! How entries look: one shape for both sides.

use jiff::Timestamp;
use serde::Serialize;
use store::quarantine::{Ended, Entry};

use crate::failure::Failure;
use crate::output;

/// Digits of an id that people are shown; any unique beginning is taken.
const SHORT: usize = 12;

/// An entry as it is told. No row's value and no key stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Line {
    /// 64 hex digits.
    pub(in crate::commands) id: String,
    /// `recipient.feed`.
    pub(in crate::commands) lane: String,
    /// The epoch of its chunk, where it has one.
    pub(in crate::commands) epoch: Option<u32>,
    /// The number of its chunk, where it has one.
    pub(in crate::commands) number: Option<u64>,
    /// What it is.
    pub(in crate::commands) kind: &'static str,
    /// Its row in the chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) ordinal: Option<u64>,
    /// The exchange's sequence.
    pub(in crate::commands) sequence: u64,
    /// What is wrong.
    pub(in crate::commands) reason: String,
    /// Since when it is known.
    pub(in crate::commands) since: Timestamp,
    /// `kept`, `waits` while it is tried again without an operator, or how it ended.
    pub(in crate::commands) state: &'static str,
    /// Set while it is tried again without an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) retry: Option<Retry>,
    /// Bytes that it holds.
    pub(in crate::commands) bytes: u64,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) ended: Option<Ended>,
}

/// When a row is tried again without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Retry {
    /// How often it was.
    pub(in crate::commands) tries: u32,
    /// When it is next, if no chunk of its lane comes before.
    pub(in crate::commands) at: Timestamp,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.clone(),
            lane: entry.lane.to_string(),
            epoch: entry.place.map(|place| place.epoch),
            number: entry.place.map(|place| place.number),
            kind: entry.kind.word(),
            ordinal: entry.ordinal,
            sequence: entry.sequence,
            reason: entry.reason.clone(),
            since: entry.since,
            state: match (&entry.ended, entry.waiting) {
                (Some(ended), _) => ended.how.word(),
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
    /// The beginning of the id.
    pub(super) fn short(&self) -> &str {
        short(&self.id)
    }

    /// `epoch.number`, or `-`.
    fn place(&self) -> String {
        match (self.epoch, self.number) {
            (Some(epoch), Some(number)) => format!("{epoch}.{number}"),
            _ => "-".to_owned(),
        }
    }
}

/// The beginning of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// The table, or the same as JSON.
pub(super) fn list(side: &str, lines: &[Line], json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&serde_json::json!({ "side": side, "entries": lines }));
    }
    output::lines(table(lines));
    Ok(())
}

/// PURE: the table.
pub(in crate::commands) fn table(lines: &[Line]) -> Vec<String> {
    if lines.is_empty() {
        return vec!["nothing is in quarantine".to_owned()];
    }
    let head = ["ID", "LANE", "PLACE", "KIND", "SINCE", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = lines
        .iter()
        .map(|line| {
            [
                line.short().to_owned(),
                line.lane.clone(),
                line.place(),
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

/// Shows one entry for people.
pub(super) fn show(line: &Line) {
    output::lines(shown(line));
}

/// PURE: one entry, a line for each thing that is known of it.
pub(in crate::commands) fn shown(line: &Line) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |name: &str, value: &str| lines.push(format!("{name:<10}{value}"));
    say("id", &line.id);
    say("lane", &line.lane);
    say("place", &line.place());
    say("kind", line.kind);
    if let Some(ordinal) = line.ordinal {
        say("row", &format!("{ordinal} of its chunk, counted from 0"));
    }
    say("sequence", &line.sequence.to_string());
    say("since", &line.since.to_string());
    say("bytes", &line.bytes.to_string());
    say("reason", &line.reason);
    say("state", line.state);
    if let Some(retry) = &line.retry {
        let next = format!(
            "{} times; next with a chunk of its lane, or at {:.0}",
            retry.tries, retry.at
        );
        say("tried", &next);
    }
    if let Some(ended) = &line.ended {
        say(
            "ended",
            &format!("{} by {}: {}", ended.at, ended.actor, ended.reason),
        );
        say("digest", ended.digest.as_deref().unwrap_or("not kept"));
    }
    lines
}

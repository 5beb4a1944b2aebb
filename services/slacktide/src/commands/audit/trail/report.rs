//! A trail as a value: messages, keys, what was withheld, and what the trail does not prove.

use std::collections::BTreeMap;

use ::audit::trail::keys_of;
use ::audit::trail::mark::{MatchedBy, PersonMark};
use ::audit::trail::message::TrailMessage;
use ::audit::trail::person::{PersonEvent, PersonTrail};
use ::audit::trail::request::RequestTrail;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::request::RequestId;
use serde::Serialize;

use super::describe::{Description, describe};
use crate::commands::audit::questions::RecordedQuestion;
use crate::output::{Line, Report, Style, Time, View};

/// Everything about one request or one person.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "audit trail")]
pub(in crate::commands) struct TrailReport {
    /// The request's id, or the keyed digest of the person.
    about: String,
    /// The recorded question.
    question: RecordedQuestion,
    /// The messages, in the order in which the exchange stored them.
    items: Vec<TrailItem>,
    /// The keys that signed them.
    keys: Vec<TrailKeyItem>,
    /// Rows of the person that were not sent.
    withheld: Vec<WithheldItem>,
    /// Messages that contradict another one.
    contradictions: Vec<String>,
    /// What the trail does not prove.
    not_covered: Vec<String>,
}

/// A message of a trail.
#[derive(Debug, Serialize, JsonSchema)]
struct TrailItem {
    /// When the exchange stored it.
    at: Time,
    subject: String,
    sequence: u64,
    /// `chunk`, `part`, `request`, `decision`, `cancellation`, `progress`, `reply`, `confirmation`, `order`, `audit_entry`, or
    /// `unreadable`.
    kind: &'static str,
    /// The recipient, where there is one.
    recipient: Option<String>,
    /// The feed, or the kind of request.
    of: Option<String>,
    request: Option<String>,
    /// What it states.
    summary: String,
    /// The basis on which rows were sent or asked for.
    basis: Option<String>,
    /// Rows about the person; of a request's trail all rows.
    rows: Option<u64>,
    /// Of these, rows that delete the row at the recipient.
    rows_deleted: u64,
    /// Rows of the person that the source could not send.
    rows_rejected: u64,
    /// The key of each row about the person.
    row_keys: Vec<Vec<Option<String>>>,
    /// The columns that were sent.
    columns: Vec<String>,
    /// How columns were masked, by column; `null` if the mark does not list the definition.
    masks: Option<BTreeMap<String, String>>,
    /// The columns by which rows are about the person, each by `number` or `token`.
    matched: BTreeMap<String, Vec<&'static str>>,
    /// Whether a receipt of the recipient covers the chunk.
    is_receipted: Option<bool>,
    /// The key that signed.
    key: Option<String>,
    digest: Option<String>,
    /// Whether a trusted key signed it, when the key was valid.
    is_verified: bool,
    /// Why it is not valid.
    fault: Option<String>,
}

/// The use of a key.
#[derive(Debug, Serialize, JsonSchema)]
struct TrailKeyItem {
    key: String,
    /// Messages of the trail that it signed.
    messages: u64,
    /// When the first of them was stored.
    first: Time,
    /// When the last of them was stored.
    last: Time,
}

/// Rows of the person that were not sent.
#[derive(Debug, Serialize, JsonSchema)]
struct WithheldItem {
    /// `RECIPIENT.FEED`, or a request's id.
    from: String,
    /// The hold; `null` for a request, which counts holds and the block list together.
    hold: Option<String>,
    /// How many.
    rows: u64,
    /// The first chunk in whose range rows are missing, as `EPOCH.NUMBER`.
    since: Option<String>,
}

impl TrailReport {
    pub(super) fn of_request(id: &RequestId, trail: RequestTrail, question: RecordedQuestion) -> Self {
        Self {
            about: id.to_string(),
            question,
            keys: keys(&trail.messages),
            items: trail.messages.iter().map(TrailItem::new).collect(),
            withheld: Vec::new(),
            contradictions: trail.contradictions,
            not_covered: trail.not_covered,
        }
    }

    pub(super) fn of_person(
        person: String,
        mark: &PersonMark,
        trail: PersonTrail,
        question: RecordedQuestion,
    ) -> Self {
        let withheld = trail.withheld.into_iter().map(|withheld| WithheldItem {
            from: withheld.from,
            hold: withheld.hold,
            rows: withheld.rows,
            since: withheld.since,
        });
        Self {
            about: person,
            question,
            keys: keys(trail.events.iter().map(|event| &event.message)),
            items: trail
                .events
                .iter()
                .map(|event| TrailItem::of_person(event, mark))
                .collect(),
            withheld: withheld.collect(),
            contradictions: Vec::new(),
            not_covered: trail.not_covered,
        }
    }

    /// Returns how the command ends: a message that is not valid is a fault of the evidence.
    pub(super) fn exit(&self) -> Exit {
        let is_faulty = self.items.iter().any(|item| item.fault.is_some());
        match (
            is_faulty || !self.contradictions.is_empty(),
            self.not_covered.is_empty(),
        ) {
            (true, _) => Exit::Evidence,
            (false, false) => Exit::Unfinished,
            (false, true) => Exit::Done,
        }
    }
}

fn keys<'a>(messages: impl IntoIterator<Item = &'a TrailMessage>) -> Vec<TrailKeyItem> {
    let item = |used: ::audit::trail::TrailKey| TrailKeyItem {
        key: used.key.to_string(),
        messages: used.messages,
        first: used.first.into(),
        last: used.last.into(),
    };
    keys_of(messages).into_iter().map(item).collect()
}

impl TrailItem {
    fn new(message: &TrailMessage) -> Self {
        Self::described(message, describe(message.content.as_ref()))
    }

    fn described(message: &TrailMessage, described: Description) -> Self {
        Self {
            at: message.stored_at.into(),
            subject: message.subject.clone(),
            sequence: message.sequence,
            kind: described.kind,
            recipient: described.recipient,
            of: described.of,
            request: described.request,
            summary: described.summary,
            basis: described.basis,
            rows: described.rows,
            rows_deleted: 0,
            rows_rejected: 0,
            row_keys: Vec::new(),
            columns: described.columns,
            masks: None,
            matched: BTreeMap::new(),
            is_receipted: None,
            key: message.key.as_ref().map(ToString::to_string),
            digest: message.digest.as_ref().map(ToString::to_string),
            is_verified: message.is_verified,
            fault: message.fault.clone(),
        }
    }

    fn of_person(event: &PersonEvent, mark: &PersonMark) -> Self {
        let described = describe(event.message.content.as_ref());
        let definition = described.definition;
        let item = Self::described(&event.message, described);
        let Some(rows) = &event.rows else { return item };
        let words = |by: &std::collections::BTreeSet<MatchedBy>| by.iter().map(|by| by.word()).collect();
        Self {
            rows: Some(rows.rows),
            rows_deleted: rows.deleted,
            rows_rejected: event.rejects,
            row_keys: rows.keys.clone(),
            masks: definition.and_then(|digest| mark.masks(digest)).cloned(),
            matched: rows
                .matched
                .iter()
                .map(|(column, by)| (column.clone(), words(by)))
                .collect(),
            is_receipted: event.is_receipted,
            ..item
        }
    }

    fn add_to(&self, view: &mut View) {
        let recipient = self.recipient.as_deref().unwrap_or("-");
        let rows = self
            .rows
            .map_or_else(String::new, |rows| format!(", {rows} rows"));
        view.line(format!(
            "{} {} {recipient}: {}{rows}",
            self.at, self.kind, self.summary
        ));
        if let Some(basis) = &self.basis {
            view.line(format!("    basis: {basis}"));
        }
        if !self.columns.is_empty() {
            let column = |name: &String| match self.masks.as_ref().and_then(|masks| masks.get(name)) {
                Some(mask) => format!("{name} ({mask})"),
                None => name.clone(),
            };
            let columns: Vec<String> = self.columns.iter().map(column).collect();
            view.line(format!("    columns: {}", columns.join(", ")));
        }
        match self.is_receipted {
            Some(true) => view.line("    covered by a receipt"),
            Some(false) => view.line("    no receipt yet"),
            None => view,
        };
        let key = self.key.as_deref().unwrap_or("unknown");
        view.line(format!(
            "    {} sequence {}, signed by {key}",
            self.subject, self.sequence
        ));
        if let Some(fault) = &self.fault {
            view.line(Line::styled(Style::Alarm, "    FAULT").and(format!(": {fault}")));
        }
    }
}

impl Report for TrailReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "question {} is recorded, digest {}",
            self.question.number, self.question.digest
        ));
        for item in &self.items {
            item.add_to(&mut view);
        }
        if self.items.is_empty() {
            view.line("no message is about it");
        }
        for withheld in &self.withheld {
            let by = withheld.hold.as_ref().map_or_else(
                || "by a hold or the block list".to_owned(),
                |hold| format!("by hold {hold}"),
            );
            view.line(format!(
                "withheld from {}: {} rows {by}",
                withheld.from, withheld.rows
            ));
        }
        for key in &self.keys {
            view.line(format!(
                "key {}: {} messages, {} to {}",
                key.key, key.messages, key.first, key.last
            ));
        }
        for text in &self.contradictions {
            view.line(Line::styled(Style::Alarm, "FAULT").and(format!(" {text}")));
        }
        for text in &self.not_covered {
            view.line(Line::styled(Style::Waiting, "NOT COVERED").and(format!(": {text}")));
        }
        view
    }
}

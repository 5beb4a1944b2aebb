//! The trail of a person: what was sent about them to whom, who asked, who decided, and what was withheld.
//!
//! The streams are read in an order in which a message comes after what makes it relevant: first the requests that name the person,
//! then orders and rows, then the requests again, because an answer to any of them may have rows about the person.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, Stored};
use schemas::audit::AuditEntry;
use schemas::control::{Action, AnyAction, Control};
use schemas::manifest::{Manifest, OutstandingRows};
use schemas::name::Lane;
use schemas::part::Part;
use schemas::request::RequestId;
use verification::examine::Content;
use verification::{StreamId, Trust};

use super::describe_end;
use super::mark::PersonMark;
use super::message::TrailMessage;
use super::rows::{PersonRows, RowsUnknown, find_rows, open_rows};
use crate::ends::{EndOf, find_ends};
use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::walk;

/// The order in which the streams are read.
const ORDER: [Stream; 10] = [
    Stream::Control,
    Stream::Receipts,
    Stream::Data,
    Stream::Parts,
    Stream::Requests,
    Stream::Cancels,
    Stream::Approvals,
    Stream::Replies,
    Stream::Confirms,
    Stream::Audit,
];

/// A message about the person.
#[derive(Debug)]
pub struct PersonEvent {
    /// The message.
    pub message: TrailMessage,
    /// The rows about the person, if it carries rows.
    pub rows: Option<PersonRows>,
    /// Rejected rows of the person: the source could not send them.
    pub rejects: u64,
    /// Whether the recipient's receipts cover the chunk; `None` for other messages.
    pub is_receipted: Option<bool>,
}

/// Rows of the person that were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldRows {
    /// The lane or the request.
    pub from: String,
    /// The hold; `None` for an answer, which counts holds and the block list together.
    pub hold: Option<String>,
    /// How many.
    pub rows: u64,
    /// The first chunk in whose range rows are missing, as `EPOCH.NUMBER`; `None` for an answer.
    pub since: Option<String>,
}

/// Everything about a person.
#[derive(Debug, Default)]
pub struct PersonTrail {
    /// The messages, in the order in which they were stored.
    pub events: Vec<PersonEvent>,
    /// Rows that holds withhold, and rows that answers left out.
    pub withheld: Vec<WithheldRows>,
    /// What the trail does not prove.
    pub not_covered: Vec<String>,
}

/// Reads everything about a person. `progress` gets the number of messages so far.
///
/// # Errors
/// [`AuditError`] from the exchange.
pub async fn person_trail(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    mark: &PersonMark,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<PersonTrail, AuditError> {
    let mut search = Search::new(trust, mark);
    let mut denied = Vec::new();
    let mut ends = find_ends(exchange, &ORDER, &[], &mut denied).await?;
    let place = |end: &EndOf| ORDER.iter().position(|kind| *kind == end.stream.stream);
    ends.sort_by_key(place);
    let mut read = 0;
    for end in ends.iter().filter(|end| end.stream.stream == Stream::Requests) {
        let filter = Selection::all(Stream::Requests).filter(&end.stream.party);
        walk(exchange, end, &filter, ReadFrom::Sequence(1), |stored| {
            search.note_request(&end.stream, &stored);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
    }
    for end in ends {
        let filter = Selection::all(end.stream.stream).filter(&end.stream.party);
        let ended = walk(exchange, &end, &filter, ReadFrom::Sequence(1), |stored| {
            search.push(&end.stream, &stored);
            read += 1;
            progress(read);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        search.not_covered.extend(describe_end(&end.stream, ended));
        if trust.keys(end.stream.stream).is_empty() {
            let list = Trust::list(end.stream.stream);
            let what = format!("{}: no key is trusted under {list}", end.stream);
            search.not_covered.push(what);
        }
    }
    for stream in denied {
        let what = format!("{stream}: the credential may not read it");
        search.not_covered.push(what);
    }
    Ok(search.finish())
}

/// A search in progress.
struct Search<'a> {
    trust: &'a Trust,
    mark: &'a PersonMark,
    events: Vec<PersonEvent>,
    /// Holds that name the person.
    holds: BTreeSet<String>,
    /// Holds that name another person.
    other_holds: BTreeSet<String>,
    /// Requests that name the person, or whose answer has rows about them.
    requests: BTreeSet<RequestId>,
    /// Requests that name the person.
    asked: BTreeSet<RequestId>,
    /// How far the last receipt of each lane goes: epoch and number.
    receipts: BTreeMap<Lane, (u32, u64)>,
    /// Rows that the last chunk of each lane lists as withheld, by the id of the hold.
    outstanding: BTreeMap<Lane, BTreeMap<String, OutstandingRows>>,
    withheld: Vec<WithheldRows>,
    encrypted: BTreeMap<StreamId, u64>,
    unreadable: BTreeMap<StreamId, (u64, u64, String)>,
    /// Orders that name a person by a digest that the mark cannot judge.
    unjudged_orders: u64,
    not_covered: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(trust: &'a Trust, mark: &'a PersonMark) -> Self {
        Self {
            trust,
            mark,
            events: Vec::new(),
            holds: BTreeSet::new(),
            other_holds: BTreeSet::new(),
            requests: BTreeSet::new(),
            asked: BTreeSet::new(),
            receipts: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            withheld: Vec::new(),
            encrypted: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            unjudged_orders: 0,
            not_covered: Vec::new(),
        }
    }

    fn push(&mut self, stream: &StreamId, stored: &Stored) {
        let message = TrailMessage::open(self.trust, stream, stored);
        let Some(content) = &message.content else {
            self.note_unreadable(&message, "the message cannot be read".to_owned());
            return;
        };
        match content {
            Content::Chunk(manifest, _) => {
                let lane = manifest.lane();
                let listed = manifest.content.totals.outstanding.clone();
                self.outstanding.insert(lane, listed);
                self.push_rows(message, stored);
            }
            Content::Part(..) => self.push_rows(message, stored),
            Content::Receipt(receipt) => {
                if message.is_verified {
                    self.receipts.insert(receipt.lane(), (receipt.epoch, receipt.to));
                }
            }
            Content::Order(record) => {
                if self.is_about_person(record) {
                    self.add(message);
                }
            }
            Content::Request(request) => self.add_if_asked(&request.id.clone(), message),
            Content::Reply(reply) => {
                if !self.requests.contains(&reply.id) {
                    return;
                }
                if reply.withheld > 0 && self.asked.contains(&reply.id) {
                    self.withheld.push(WithheldRows {
                        from: reply.id.to_string(),
                        hold: None,
                        rows: reply.withheld,
                        since: None,
                    });
                }
                self.add(message);
            }
            Content::Cancel(cancel) => self.add_if_asked(&cancel.id.clone(), message),
            Content::Approval(approval) => self.add_if_asked(&approval.id.clone(), message),
            Content::Confirm(confirm) => self.add_if_asked(&confirm.id.clone(), message),
            Content::Progress(_) => {}
            Content::Entry(entry) => {
                if self.names_known(entry) {
                    self.add(message);
                }
            }
        }
    }

    /// Notes a request that names the person.
    fn note_request(&mut self, stream: &StreamId, stored: &Stored) {
        let message = TrailMessage::open(self.trust, stream, stored);
        if let Some(Content::Request(request)) = message.content
            && request.arguments.values().any(|value| self.mark.is_number(value))
        {
            self.requests.insert(request.id.clone());
            self.asked.insert(request.id);
        }
    }

    fn add_if_asked(&mut self, id: &RequestId, message: TrailMessage) {
        if self.requests.contains(id) {
            self.add(message);
        }
    }

    fn add(&mut self, message: TrailMessage) {
        self.events.push(PersonEvent {
            message,
            rows: None,
            rejects: 0,
            is_receipted: None,
        });
    }

    /// Returns whether a record's newest order names the person, or ends one that does.
    fn is_about_person(&mut self, record: &Control) -> bool {
        let order = &record.newest;
        if let AnyAction::Known(Action::Hold(hold)) = &order.action
            && let Some(person) = &hold.person
        {
            return match self.mark.is_named_by(person) {
                Some(true) => {
                    self.holds.insert(order.id.clone());
                    true
                }
                Some(false) => {
                    self.other_holds.insert(order.id.clone());
                    false
                }
                None => {
                    self.unjudged_orders += 1;
                    false
                }
            };
        }
        let ends = |id: &String| schemas::control::hold_scope(id) == order.scope;
        self.holds.iter().any(ends)
    }

    /// Returns whether an entry names a hold or a request of the person.
    fn names_known(&self, entry: &AuditEntry) -> bool {
        let names = |id: &str| entry.detail.values().any(|value| value.contains(id));
        self.holds.iter().any(|id| names(id)) || self.requests.iter().any(|id| names(&id.to_string()))
    }

    fn push_rows(&mut self, message: TrailMessage, stored: &Stored) {
        let keys = &self.trust.decryption_keys;
        let found = match &message.content {
            Some(Content::Chunk(manifest, _)) => {
                open_rows::<Manifest>(&stored.bytes, keys).and_then(|(opened, plain)| {
                    let content = opened.content;
                    let rows = find_rows(self.mark, &manifest.recipient, &content, &plain, false)?;
                    Ok((rows, content.rejects))
                })
            }
            Some(Content::Part(part, _)) => {
                let is_whole_answer = self.asked.contains(&part.id);
                open_rows::<Part>(&stored.bytes, keys).and_then(|(opened, plain)| {
                    let content = opened.content;
                    let rows = find_rows(self.mark, &part.recipient, &content, &plain, is_whole_answer)?;
                    Ok((rows, content.rejects))
                })
            }
            _ => return,
        };
        let (rows, rejects) = match found {
            Ok(found) => found,
            Err(RowsUnknown::Encrypted) => {
                *self.encrypted.entry(message.stream.clone()).or_default() += 1;
                return;
            }
            Err(RowsUnknown::Unreadable(why)) => {
                self.note_unreadable(&message, why);
                return;
            }
        };
        let is_named = |reject: &&schemas::manifest::Reject| {
            reject
                .key
                .iter()
                .flatten()
                .any(|value| self.mark.is_number(value))
        };
        let rejects = rejects.iter().filter(is_named).count() as u64;
        if rows.rows + rejects == 0 {
            return;
        }
        let is_receipted = match &message.content {
            Some(Content::Chunk(manifest, _)) => {
                let receipted = self.receipts.get(&manifest.lane());
                Some(receipted.is_some_and(|last| (manifest.epoch, manifest.number) <= *last))
            }
            Some(Content::Part(part, _)) => {
                self.requests.insert(part.id.clone());
                None
            }
            _ => None,
        };
        self.events.push(PersonEvent {
            message,
            rows: Some(rows),
            rejects,
            is_receipted,
        });
    }

    fn note_unreadable(&mut self, message: &TrailMessage, why: String) {
        let first = (0, message.sequence, why);
        self.unreadable.entry(message.stream.clone()).or_insert(first).0 += 1;
    }

    fn finish(mut self) -> PersonTrail {
        for (lane, listed) in &self.outstanding {
            for (id, rows) in listed {
                if self.holds.contains(id) {
                    self.withheld.push(WithheldRows {
                        from: lane.to_string(),
                        hold: Some(id.clone()),
                        rows: rows.rows,
                        since: Some(format!("{}.{}", rows.epoch, rows.number)),
                    });
                } else if rows.rows > 0 && !self.other_holds.contains(id) {
                    self.not_covered.push(format!(
                        "{lane}: {} rows withheld by {id}: the streams do not show about whom they are",
                        rows.rows
                    ));
                }
            }
        }
        for (stream, chunks) in &self.encrypted {
            self.not_covered.push(format!(
                "{stream}: {chunks} messages are encrypted, and [encryption] has no key for them"
            ));
        }
        for (stream, (count, sequence, why)) in &self.unreadable {
            self.not_covered.push(format!(
                "{stream}: {count} messages could not be read, the first at sequence {sequence}: {why}"
            ));
        }
        if self.unjudged_orders > 0 {
            self.not_covered.push(format!(
                "{} orders name a person under a signing key for which the mark has no digest; make the mark with that key",
                self.unjudged_orders
            ));
        }
        if self.mark.tokens.is_empty() {
            let what = "columns that are masked as tokens: the mark has no token";
            self.not_covered.push(what.to_owned());
        }
        let order = |event: &PersonEvent| {
            let message = &event.message;
            (message.stored_at, message.stream.clone(), message.sequence)
        };
        self.events.sort_by_key(order);
        PersonTrail {
            events: self.events,
            withheld: self.withheld,
            not_covered: self.not_covered,
        }
    }
}

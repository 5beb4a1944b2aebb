//! Reading many messages in order, without a consumer that anybody could see or change.
//!
//! One question, many answers (a batch direct get). Messages come in the stream's order; a gap,
//! left by retention, is passed over.

use std::collections::{BTreeMap, BTreeSet};

use exchange::port::{ReadFrom, Stream};
use exchange::{Result, Stored};
use schemas::name::{Lane, PartyName, RecipientName};
use schemas::subject::Subject;
use serde::Deserialize;
use serde_json::json;

use crate::get::stored;
use crate::refusal::Refusal;
use crate::streams::{self, own};
use crate::wire::{Wire, read};

/// Maximum bytes of one batch, which bounds memory for any message size.
/// The server ends the batch early, and the next one goes on; one message always comes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Maximum messages of one batch: the server's own limit is 1024.
const MOST_MESSAGES: usize = 1000;

/// The names of streams, as the server lists them.
#[derive(Debug, Deserialize)]
struct Names {
    #[serde(default)]
    total: usize,
    streams: Option<Vec<String>>,
    error: Option<Refusal>,
}

/// The state of a stream, as far as it lists subjects.
#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    state: State,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
struct State {
    subjects: Option<BTreeMap<String, u64>>,
}

impl Wire {
    /// The parties that have a stream of this kind for themselves, sorted.
    pub(crate) async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        let question = self.api("STREAM.NAMES");
        let (subject, kind) = (format!("{}.>", stream.token()), own(streams::kind(stream), &""));
        let (mut parties, mut seen) = (Vec::new(), 0);
        loop {
            let body = json!({"offset": seen, "subject": subject}).to_string();
            let names: Names = read(&question, &self.ask(&question, None, body.into()).await?)?;
            if let Some(refusal) = names.error {
                return Err(refusal.error(&question));
            }
            let page = names.streams.unwrap_or_default();
            seen += page.len();
            let of_kind = page.iter().filter_map(|name| name.strip_prefix(&kind));
            parties.extend(of_kind.filter_map(|party| PartyName::new(party).ok()));
            if page.is_empty() || seen >= names.total {
                break;
            }
        }
        parties.sort();
        Ok(parties)
    }

    /// The lanes of a recipient that have a message, sorted. Only the last message of each is sent, and a recipient needs no
    /// right beyond the one to read its own stream.
    pub(crate) async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let stream = own(streams::DATA, recipient);
        let last = self.last_of_each(&stream, &format!("data.{recipient}.*")).await?;
        let lane = |message: &Stored| match message.subject.parse() {
            Ok(Subject::Data(lane)) => Some(lane),
            _ => None,
        };
        let lanes: BTreeSet<Lane> = last.iter().filter_map(lane).collect();
        Ok(lanes.into_iter().collect())
    }

    /// The last status of each of a party's agents, by subject.
    pub(crate) async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        let stream = own(streams::STATUS, party);
        let mut last = self.last_of_each(&stream, &format!("status.{party}.*")).await?;
        last.sort_by(|one, other| one.subject.cmp(&other.subject));
        Ok(last)
    }

    /// The last message of each subject that matches `filter`, oldest first.
    async fn last_of_each(&self, stream: &str, filter: &str) -> Result<Vec<Stored>> {
        let question = self.api(&format!("DIRECT.GET.{stream}"));
        let (mut all, mut next) = (Vec::new(), 1);
        loop {
            let body =
                json!({"multi_last": [filter], "seq": next, "batch": MOST_MESSAGES, "max_bytes": MOST_BYTES});
            let answers = self
                .gather(&question, body.to_string().into(), MOST_MESSAGES)
                .await?;
            let page = answers.taken(&question, &[204, 404])?;
            let page: Vec<Stored> = page.into_iter().map(stored).collect::<Result<_>>()?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            next = last.sequence + 1;
            all.extend(page);
        }
    }

    /// The lanes of a recipient that have a receipt, sorted. The state of the stream has its subjects.
    pub(crate) async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let stream = own(streams::RECEIPTS, recipient);
        let question = self.api(&format!("STREAM.INFO.{stream}"));
        let (mut lanes, mut seen) = (BTreeSet::new(), 0);
        loop {
            let filter = format!("receipt.{recipient}.*");
            let body = json!({"subjects_filter": filter, "offset": seen}).to_string();
            let info: Info = read(&question, &self.ask(&question, None, body.into()).await?)?;
            if let Some(refusal) = info.error {
                return Err(refusal.error(&question));
            }
            let subjects = info.state.subjects.unwrap_or_default();
            seen += subjects.len();
            let of = |subject: &String| match subject.parse() {
                Ok(Subject::Receipt(lane)) => Some(lane),
                _ => None,
            };
            lanes.extend(subjects.keys().filter_map(of));
            if subjects.is_empty() || seen >= info.total {
                return Ok(lanes.into_iter().collect());
            }
        }
    }

    /// All messages whose subjects match `filter`, oldest first; for filters that match few.
    pub(crate) async fn all(&self, stream: &str, filter: &str) -> Result<Vec<Stored>> {
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let page = self
                .batch(stream, ReadFrom::Sequence(next), filter, MOST_MESSAGES)
                .await?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            next = last.sequence + 1;
            all.extend(page);
        }
    }

    /// Up to `max` messages whose subjects match `filter`, oldest first.
    pub(crate) async fn batch(
        &self,
        stream: &str,
        from: ReadFrom,
        filter: &str,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let most = max.min(MOST_MESSAGES);
        if most == 0 {
            return Ok(Vec::new());
        }
        let question = self.api(&format!("DIRECT.GET.{stream}"));
        let mut body = json!({"batch": most, "max_bytes": MOST_BYTES, "next_by_subj": filter});
        match from {
            ReadFrom::Sequence(sequence) => body["seq"] = json!(sequence.max(1)),
            ReadFrom::Time(time) => body["start_time"] = json!(time.to_string()),
        }
        let answers = self.gather(&question, body.to_string().into(), most).await?;
        let messages = answers.taken(&question, &[204, 404])?;
        messages.into_iter().map(stored).collect()
    }
}

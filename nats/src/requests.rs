//! The responder's queue: requests without replies, as the streams have them now.

use exchange::port::{ReadFrom, Sequence, Stream};
use exchange::{Error, Result, Stored};
use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::name::RecipientName;
use schemas::request::RequestId;
use schemas::subject::Subject;
use serde::Deserialize;
use serde_json::json;

use crate::refusal::Refusal;
use crate::streams::{self, REPLIES, REQUESTS, own};
use crate::wire::{Wire, read};

/// Requests that are read in one step.
const PAGE: usize = 100;

/// Concurrent lookups of replies.
const AT_ONCE: usize = 16;

#[derive(Debug, Deserialize)]
struct StreamInfo {
    /// Subjects in all, where they come in pages.
    #[serde(default)]
    total: usize,
    #[serde(default)]
    state: StreamState,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamState {
    subjects: Option<std::collections::HashMap<String, u64>>,
}

impl Wire {
    /// Up to `max` requests of a recipient from `from` on that have no reply, oldest first.
    pub(crate) async fn open_requests(
        &self,
        recipient: &RecipientName,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let (stream, filter) = (own(REQUESTS, recipient), format!("request.{recipient}.*"));
        let mut open = Vec::new();
        let mut next = from;
        while open.len() < max {
            let page = self
                .batch(&stream, ReadFrom::Sequence(next), &filter, PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            next = last.sequence + 1;
            let looked_up = stream::iter(page)
                .map(|request| async {
                    let answered = self.answered(&request.subject).await?;
                    Ok::<_, Error>((!answered).then_some(request))
                })
                .buffered(AT_ONCE);
            let found: Vec<Option<Stored>> = looked_up.try_collect().await?;
            open.extend(found.into_iter().flatten());
        }
        open.truncate(max);
        Ok(open)
    }

    /// The requests that have a message in a stream of the recipient's, by the stream's index alone.
    pub(crate) async fn request_ids(
        &self,
        recipient: &RecipientName,
        stream: Stream,
    ) -> Result<Vec<RequestId>> {
        let question = self.api(&format!("STREAM.INFO.{}", own(streams::kind(stream), recipient)));
        let filter = format!("{}.{recipient}.*", stream.token());
        let (mut ids, mut seen) = (Vec::new(), 0);
        loop {
            let body = json!({"subjects_filter": filter, "offset": seen}).to_string();
            let info: StreamInfo = read(&question, &self.ask(&question, None, body.into()).await?)?;
            if let Some(refusal) = info.error {
                return Err(refusal.error(&question));
            }
            let page = info.state.subjects.unwrap_or_default();
            seen += page.len();
            let id = |subject: &String| subject.rsplit('.').next()?.parse().ok();
            ids.extend(page.keys().filter_map(id));
            if page.is_empty() || seen >= info.total {
                break;
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Whether a request has its reply. Asked of the stream's index: a reply may be large, and
    /// whether it is there is all that counts. A subject that is not a request is ignored.
    async fn answered(&self, request: &str) -> Result<bool> {
        let Ok(Subject::Request(recipient, id)) = request.parse() else {
            return Ok(true);
        };
        let question = self.api(&format!("STREAM.INFO.{}", own(REPLIES, &recipient)));
        let reply = Subject::Reply(recipient, id).to_string();
        let body = json!({"subjects_filter": reply}).to_string();
        let answer = self.ask(&question, None, body.into()).await?;
        let info: StreamInfo = read(&question, &answer)?;
        match info.error {
            Some(refusal) => Err(refusal.error(&question)),
            None => Ok(info
                .state
                .subjects
                .is_some_and(|subjects| subjects.contains_key(&reply))),
        }
    }
}

//! Subjects for which no server answers: without a leader for now, or without a stream.
//!
//! A cluster answers 503 at once while the servers elect a leader, and just the same if the stream does not exist. Only the
//! server's own answer to a question about the stream distinguishes the two, and it is not asked before an election should be over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::Request;
use bytes::Bytes;
use exchange::{Error, ErrorKind};
use schemas::subject::Subject;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Wire, no_responders};
use crate::refusal::Refusal;
use crate::streams;

/// How long a subject may be without a leader before its stream is asked for.
const ELECTION: Duration = Duration::from_secs(30);

/// The server's number for a stream that does not exist.
const STREAM_NOT_FOUND: u32 = 10059;

/// Maximum subjects that are remembered.
const MAX_SUBJECTS: usize = 1_000;

/// Since when each subject is without an answer.
#[derive(Debug, Default)]
pub(super) struct Leaderless(Mutex<HashMap<String, Instant>>);

#[derive(Deserialize)]
struct Info {
    error: Option<Refusal>,
}

impl Leaderless {
    /// A subject was answered.
    pub(super) fn answered(&self, subject: &str) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !since.is_empty() {
            since.remove(subject);
        }
    }

    /// Returns for how long a subject was not answered.
    fn lasts(&self, subject: &str, now: Instant) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.len() >= MAX_SUBJECTS && !since.contains_key(subject) {
            since.clear();
        }
        now - *since.entry(subject.to_owned()).or_insert(now)
    }
}

impl Wire {
    /// The error of a request that nothing answers.
    pub(super) async fn unanswered(&self, subject: &str) -> Error {
        if self.client.server_info().cluster.is_none() {
            return no_responders(subject);
        }
        let lasts = self.leaderless.lasts(subject, Instant::now());
        if lasts >= ELECTION && self.is_stream_absent(subject).await {
            return no_responders(subject);
        }
        let text = format!(
            "no server of the exchange leads what answers {subject}, for {} s",
            lasts.as_secs()
        );
        Error::new(ErrorKind::NoLeader, text)
    }

    /// Returns whether the exchange itself answers that the stream of a subject does not exist.
    async fn is_stream_absent(&self, subject: &str) -> bool {
        let Some(stream) = stream_of(subject, self.options.api()) else {
            return false;
        };
        let question = self.api(&format!("STREAM.INFO.{stream}"));
        let request = Request::new()
            .payload(Bytes::new())
            .timeout(Some(self.options.timeout));
        let Ok(answer) = self.client.send_request(question, request).await else {
            return false;
        };
        let info: Option<Info> = serde_json::from_slice(&answer.payload).ok();
        info.and_then(|info| info.error)
            .is_some_and(|refusal| refusal.err_code == STREAM_NOT_FOUND)
    }
}

/// PURE: the stream that a request concerns: by its name in a question to the API, or by the subject of a message.
fn stream_of(subject: &str, api: &str) -> Option<String> {
    let Some(question) = subject.strip_prefix(api) else {
        return subject
            .parse::<Subject>()
            .ok()
            .map(|subject| streams::of(&subject));
    };
    let tokens: Vec<&str> = question.split('.').collect();
    let name = match tokens.as_slice() {
        ["", "STREAM", "INFO", name]
        | ["", "DIRECT", "GET", name, ..]
        | ["", "CONSUMER", "INFO", name, _] => name,
        ["", "CONSUMER", "MSG", "NEXT", name, _] => name,
        _ => return None,
    };
    Some((*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaderless_subject_names_its_stream() {
        let of = |subject: &str| stream_of(subject, "JS.hub.API");
        for (subject, stream) in [
            ("data.insurer-a.claims", Some("DATA_insurer-a")),
            ("lease.core", Some("LEASES")),
            ("JS.hub.API.STREAM.INFO.DATA_insurer-a", Some("DATA_insurer-a")),
            ("JS.hub.API.DIRECT.GET.LEASES.lease.core", Some("LEASES")),
            ("JS.hub.API.DIRECT.GET.DATA_insurer-a", Some("DATA_insurer-a")),
            (
                "JS.hub.API.CONSUMER.MSG.NEXT.DATA_insurer-a.insurer-a",
                Some("DATA_insurer-a"),
            ),
            ("JS.hub.API.STREAM.NAMES", None),
            ("$JS.ACK.DATA_insurer-a.insurer-a.1.1.1.1.1", None),
        ] {
            assert_eq!(of(subject).as_deref(), stream, "{subject}");
        }
    }

    #[tokio::test]
    async fn leaderless_time_begins_again_after_an_answer() {
        let (leaderless, begun) = (Leaderless::default(), Instant::now());
        let later = begun + Duration::from_secs(40);
        assert_eq!(leaderless.lasts("a", begun), Duration::ZERO);
        assert_eq!(leaderless.lasts("b", later), Duration::ZERO);
        assert_eq!(leaderless.lasts("a", later), Duration::from_secs(40));
        leaderless.answered("a");
        assert_eq!(leaderless.lasts("a", later), Duration::ZERO);
    }
}

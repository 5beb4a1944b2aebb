//! An exchange in memory, for tests of agents: the port to the letter, nothing on disk.
//!
//! It passes the whole suite of [`crate::conformance`], so what an agent is seen to do over it, it
//! does over a real exchange. One object is every party's view: there are no credentials here, and
//! rights are the business of the real server's tests. Acknowledgements can be lost on purpose, for
//! that is the one fault that a transport hands to its caller with the message stored.
//!
//! - `log` what is published, in order, and the rules of each kind of subject
//! - `durable` what was fetched and is not settled
//! - `port` the verbs

mod durable;
mod log;
mod port;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schemas::body::MOST_MESSAGE;
use schemas::name::RecipientName;
use schemas::subject::Subject;

use crate::delivery::Delivery;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Filed, Published, Stored};
use crate::port::{Sequence, Stream};
use durable::{Durable, Token};
use log::{Log, matches};

/// How long a fetched message may stay unsettled before it comes again, unless told otherwise.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Tells the time at which a message is stored.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The exchange.
pub struct Memory {
    state: Mutex<State>,
    clock: Clock,
    ack_wait: Duration,
    longest_rest: Duration,
}

#[derive(Default)]
struct State {
    logs: HashMap<&'static str, Log>,
    durables: HashMap<(&'static str, RecipientName), Durable>,
    publishes: u64,
    lose_every: u64,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// An empty exchange with a durable for chunks and one for replies of each of these recipients.
    #[must_use]
    pub fn new(recipients: &[RecipientName]) -> Self {
        let mut state = State::default();
        for recipient in recipients {
            for stream in ["data", "reply"] {
                let durable = Durable::default();
                state.durables.insert((stream, recipient.clone()), durable);
            }
        }
        Self {
            state: Mutex::new(state),
            clock: Box::new(Timestamp::now),
            ack_wait: ACK_WAIT,
            longest_rest: Duration::MAX,
        }
    }

    /// The same with another clock, as the exchange's own: deadlines are judged by it.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The same with another time after which what was fetched and not settled comes again.
    #[must_use]
    pub fn with_ack_wait(mut self, ack_wait: Duration) -> Self {
        self.ack_wait = ack_wait;
        self
    }

    /// The same where what is put off comes again after this time at the latest.
    #[must_use]
    pub fn with_longest_rest(mut self, longest_rest: Duration) -> Self {
        self.longest_rest = longest_rest;
        self
    }

    /// From now on every so many publishes are stored and answered with `Unknown`; 0: none.
    pub fn lose_every(&self, every: u64) {
        self.state().lose_every = every;
    }

    /// All messages of a stream, as they are kept now.
    #[must_use]
    pub fn kept(&self, stream: Stream) -> Vec<Stored> {
        let state = self.state();
        let log = state.logs.get(stream.token());
        log.map(|log| log.messages().cloned().collect())
            .unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what `rule` lets through; loses the acknowledgement when it is due.
    fn publish<T>(&self, subject: &Subject, bytes: &Bytes, rule: &Rule<'_, T>) -> Result<T> {
        if bytes.len() > MOST_MESSAGE {
            let what = format!("{subject}: {} bytes are too large", bytes.len());
            return Err(Error::new(ErrorKind::TooLarge, what));
        }
        let now = (self.clock)();
        let mut state = self.state();
        let text = subject.to_string();
        let log = state.logs.entry(stream_of(subject)).or_default();
        if let Some(answer) = (rule.refuses)(log.last(&text)) {
            return Ok(answer);
        }
        if rule.over {
            log.forget(&text);
        }
        let sequence = log.push(text, bytes.clone(), now);
        state.publishes += 1;
        if state.lose_every > 0 && state.publishes.is_multiple_of(state.lose_every) {
            let what = format!("{subject} was not acknowledged");
            return Err(Error::new(ErrorKind::Unknown, what));
        }
        Ok((rule.done)(sequence))
    }

    fn publish_at(&self, subject: &Subject, bytes: &Bytes, expected: Sequence) -> Result<Published> {
        let rule = Rule {
            refuses: &|last: Option<&Stored>| {
                (last.map_or(0, |last| last.sequence) != expected).then_some(Published::Conflict)
            },
            done: |sequence| Published::Done { sequence },
            over: matches!(subject, Subject::Lease(_)),
        };
        self.publish(subject, bytes, &rule)
    }

    fn publish_once(&self, subject: &Subject, bytes: &Bytes) -> Result<Filed> {
        let rule = Rule {
            refuses: &|last: Option<&Stored>| last.cloned().map(Filed::Already),
            done: |sequence| Filed::Done { sequence },
            over: false,
        };
        self.publish(subject, bytes, &rule)
    }

    fn last(&self, subject: &Subject) -> Option<Stored> {
        let state = self.state();
        let log = state.logs.get(stream_of(subject))?;
        log.last(&subject.to_string()).cloned()
    }

    fn fetch(&self, stream: &'static str, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        let mut state = self.state();
        let State { logs, durables, .. } = &mut *state;
        let durable = durables
            .get_mut(&(stream, recipient.clone()))
            .ok_or_else(|| no_durable(stream, recipient))?;
        let Some(log) = logs.get(stream) else {
            return Ok(Vec::new());
        };
        let filter = format!("{stream}.{recipient}.*");
        let own = log.messages().filter(|stored| matches(&filter, &stored.subject));
        let token = |sequence| Token {
            stream,
            recipient: recipient.clone(),
            sequence,
        };
        Ok(durable.fetch(own, max, self.ack_wait, token))
    }
}

/// What a subject takes.
struct Rule<'a, T> {
    /// The answer to a publish that the last message forbids.
    refuses: &'a dyn Fn(Option<&Stored>) -> Option<T>,
    /// The answer to one that was stored.
    done: fn(Sequence) -> T,
    /// Whether the last message goes.
    over: bool,
}

fn no_durable(stream: &str, recipient: &RecipientName) -> Error {
    let what = format!("{stream}: no consumer {recipient}");
    Error::new(ErrorKind::Topology, what)
}

fn stream_of(subject: &Subject) -> &'static str {
    match subject {
        Subject::Data(_) => "data",
        Subject::Receipt(_) => "receipt",
        Subject::Request(..) => "request",
        Subject::Cancel(..) => "cancel",
        Subject::Approval(..) => "approval",
        Subject::Progress(..) => "progress",
        Subject::Part(..) => "part",
        Subject::Reply(..) => "reply",
        Subject::Confirm(..) => "confirm",
        Subject::Audit(..) => "audit",
        Subject::Lease(_) => "lease",
        Subject::Control(_) => "control",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::name::PartyName;
    use schemas::request::RequestId;

    use super::*;
    use crate::conformance::{Parties, run};
    use crate::port::Exchange;

    fn name() -> RecipientName {
        RecipientName::new("insurer-a").unwrap()
    }

    #[tokio::test]
    async fn memory_keeps_the_port() {
        let exchange = Arc::new(Memory::new(&[name()]));
        let parties = Parties {
            bureau: exchange.clone(),
            recipient: exchange.clone(),
            auditor: exchange,
            name: name(),
            bureau_name: PartyName::new("bureau").unwrap(),
        };
        let passed = run(async || parties.clone())
            .await
            .unwrap_or_else(|failures| panic!("{failures}"));
        assert!(passed >= 30, "{passed}");
    }

    #[tokio::test]
    async fn a_lost_acknowledgement_is_stored_and_said_to_be_unknown() {
        let exchange = Memory::new(&[name()]);
        let id: RequestId = "20260131-abcdefgh".parse().unwrap();
        exchange.lose_every(1);
        let lost = exchange.reply(&name(), &id, Bytes::from_static(b"a")).await;
        assert_eq!(lost.unwrap_err().kind, ErrorKind::Unknown);
        let again = exchange
            .reply(&name(), &id, Bytes::from_static(b"b"))
            .await
            .unwrap();
        assert!(matches!(again, Filed::Already(stored) if stored.bytes == "a"));
        assert_eq!(exchange.kept(Stream::Replies).len(), 1);
    }

    #[tokio::test]
    async fn what_is_not_settled_in_time_comes_again() {
        let exchange = Memory::new(&[name()]).with_ack_wait(Duration::ZERO);
        let id: RequestId = "20260131-abcdefgh".parse().unwrap();
        exchange
            .reply(&name(), &id, Bytes::from_static(b"a"))
            .await
            .unwrap();
        for attempt in 1..=3 {
            let some = exchange.fetch_replies(&name(), 10).await.unwrap();
            assert_eq!(some.iter().map(|d| d.attempt).collect::<Vec<_>>(), [attempt]);
        }
    }
}

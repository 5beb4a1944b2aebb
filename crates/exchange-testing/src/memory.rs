//! An exchange in memory, for tests of agents.
//!
//! It passes the whole suite of [`crate::conformance`], so agents behave over it as over a real exchange. One object serves
//! every party: it has no credentials, and the tests of the real server cover permissions. It can lose acknowledgements,
//! the one fault in which the caller gets an error although the message is stored.
//!
//! - `log` the messages of a stream, in order
//! - `durable` deliveries and their settlement
//! - `port` the operations

mod durable;
mod log;
mod port;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schemas::body::MAX_MESSAGE_BYTES;
use schemas::name::{Lane, RecipientName, SourceName};
use schemas::subject::Subject;

use durable::{Durable, Token};
use exchange::delivery::Delivery;
use exchange::error::{Error, ErrorKind, Result};
use exchange::outcome::{Filed, Published, Stored};
use exchange::port::{Sequence, Stream};
use log::{Log, matches};

/// Default time after which an unsettled message is redelivered.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Returns the time at which a message is stored.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The exchange.
pub struct Memory {
    state: Mutex<State>,
    clock: Clock,
    ack_wait: Duration,
    max_redelivery_delay: Duration,
    keeps_last_only: bool,
}

#[derive(Default)]
struct State {
    logs: HashMap<&'static str, Log>,
    durables: HashMap<(&'static str, RecipientName), Durable>,
    publishes: u64,
    lose_every: u64,
    leases_fail: bool,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// Creates an empty exchange with a durable consumer for chunks and one for replies per recipient.
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
            max_redelivery_delay: Duration::MAX,
            keeps_last_only: false,
        }
    }

    /// Keeps the last message of each subject only, so that a benchmark does not fill the memory.
    #[must_use]
    pub fn keeping_last_only(mut self) -> Self {
        self.keeps_last_only = true;
        self
    }

    /// Sets the exchange's clock, which decides about deadlines.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the time after which an unsettled message is redelivered.
    #[must_use]
    pub fn with_ack_wait(mut self, ack_wait: Duration) -> Self {
        self.ack_wait = ack_wait;
        self
    }

    /// Sets the maximum redelivery delay.
    #[must_use]
    pub fn with_max_redelivery_delay(mut self, max_redelivery_delay: Duration) -> Self {
        self.max_redelivery_delay = max_redelivery_delay;
        self
    }

    /// Answers every nth publish with `Unknown` although it is stored; 0 stops that.
    pub fn lose_acknowledgements(&self, every: u64) {
        self.state().lose_every = every;
    }

    /// Makes reading a lease fail as without a connection, or succeed again.
    pub fn interrupt_leases(&self, is_interrupted: bool) {
        self.state().leases_fail = is_interrupted;
    }

    /// Returns the stored messages of a stream.
    #[must_use]
    pub fn stored_messages(&self, stream: Stream) -> Vec<Stored> {
        let state = self.state();
        let log = state.logs.get(stream.token());
        log.map(|log| log.messages().cloned().collect())
            .unwrap_or_default()
    }

    /// Returns the record of a source's lease.
    #[must_use]
    pub fn stored_lease(&self, source: &SourceName) -> Option<Stored> {
        self.last(&Subject::Lease(source.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Another test thread that panicked has already failed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the message if `rule` has no conflict. Loses the acknowledgement if it is due.
    fn publish<T>(&self, subject: &Subject, bytes: &Bytes, rule: &Rule<'_, T>) -> Result<T> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            let what = format!("{subject}: {} bytes are too large", bytes.len());
            return Err(Error::new(ErrorKind::TooLarge, what));
        }
        let now = (self.clock)();
        let mut state = self.state();
        let text = subject.to_string();
        let log = state.logs.entry(stream_of(subject)).or_default();
        if let Some(conflict) = (rule.conflict)(log.last(&text)) {
            return Ok(conflict);
        }
        if rule.replaces_last {
            log.remove_last(&text);
        }
        let sequence = log.push(text, bytes.clone(), now);
        state.publishes += 1;
        if state.lose_every > 0 && state.publishes.is_multiple_of(state.lose_every) {
            let what = format!("{subject} was not acknowledged");
            return Err(Error::new(ErrorKind::Unknown, what));
        }
        Ok((rule.on_stored)(sequence))
    }

    fn publish_at(&self, subject: &Subject, bytes: &Bytes, expected: Sequence) -> Result<Published> {
        let rule = Rule {
            conflict: &|last: Option<&Stored>| {
                (last.map_or(0, |last| last.sequence) != expected).then_some(Published::Conflict)
            },
            on_stored: |sequence| Published::Done { sequence },
            replaces_last: self.keeps_last_only || matches!(subject, Subject::Lease(_)),
        };
        self.publish(subject, bytes, &rule)
    }

    fn publish_once(&self, subject: &Subject, bytes: &Bytes) -> Result<Filed> {
        let rule = Rule {
            conflict: &|last: Option<&Stored>| last.cloned().map(Filed::Exists),
            on_stored: |sequence| Filed::Done { sequence },
            replaces_last: false,
        };
        self.publish(subject, bytes, &rule)
    }

    fn publish_over(&self, subject: &Subject, bytes: &Bytes) -> Result<Sequence> {
        let rule = Rule {
            conflict: &|_: Option<&Stored>| None,
            on_stored: |sequence| sequence,
            replaces_last: true,
        };
        self.publish(subject, bytes, &rule)
    }

    fn last(&self, subject: &Subject) -> Option<Stored> {
        let state = self.state();
        let log = state.logs.get(stream_of(subject))?;
        log.last(&subject.to_string()).cloned()
    }

    /// Returns the lanes of a recipient that have a message in a stream of lanes, sorted.
    fn lanes_in(&self, stream: &'static str, recipient: &RecipientName) -> Vec<Lane> {
        let state = self.state();
        let messages = state.logs.get(stream).into_iter().flat_map(Log::messages);
        let lane = |stored: &Stored| match stored.subject.parse::<Subject>() {
            Ok(Subject::Data(lane) | Subject::Receipt(lane)) => {
                Some(lane).filter(|lane| lane.recipient == *recipient)
            }
            _ => None,
        };
        let lanes: BTreeSet<Lane> = messages.filter_map(lane).collect();
        lanes.into_iter().collect()
    }

    fn fetch(&self, stream: &'static str, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>> {
        let mut state = self.state();
        let State { logs, durables, .. } = &mut *state;
        let durable = durables
            .get_mut(&(stream, recipient.clone()))
            .ok_or_else(|| missing_consumer(stream, recipient))?;
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

/// The publish rule of a subject.
struct Rule<'a, T> {
    /// Returns the result of a publish that conflicts with the last message.
    conflict: &'a dyn Fn(Option<&Stored>) -> Option<T>,
    /// Returns the result of a stored publish.
    on_stored: fn(Sequence) -> T,
    /// Whether the message replaces the last one.
    replaces_last: bool,
}

fn missing_consumer(stream: &str, recipient: &RecipientName) -> Error {
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
        Subject::Status(..) | Subject::Watch(_) => "status",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::name::PartyName;
    use schemas::request::RequestId;

    use super::*;
    use crate::conformance::{Parties, run};
    use exchange::port::RequestExchange;

    fn name() -> RecipientName {
        RecipientName::new("insurer-a").unwrap()
    }

    #[tokio::test]
    async fn memory_passes_the_conformance_suite() {
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
    async fn memory_lost_acknowledgement_is_stored_and_unknown() {
        let exchange = Memory::new(&[name()]);
        let id: RequestId = "20260131-abcdefgh".parse().unwrap();
        exchange.lose_acknowledgements(1);
        let lost = exchange.reply(&name(), &id, Bytes::from_static(b"a")).await;
        assert_eq!(lost.unwrap_err().kind, ErrorKind::Unknown);
        let again = exchange
            .reply(&name(), &id, Bytes::from_static(b"b"))
            .await
            .unwrap();
        assert!(matches!(again, Filed::Exists(stored) if stored.bytes == "a"));
        assert_eq!(exchange.stored_messages(Stream::Replies).len(), 1);
    }

    #[tokio::test]
    async fn memory_unsettled_delivery_is_redelivered() {
        let exchange = Memory::new(&[name()]).with_ack_wait(Duration::ZERO);
        let id: RequestId = "20260131-abcdefgh".parse().unwrap();
        exchange
            .reply(&name(), &id, Bytes::from_static(b"a"))
            .await
            .unwrap();
        for attempt in 1..=3 {
            let deliveries = exchange.fetch_replies(&name(), 10).await.unwrap();
            assert_eq!(
                deliveries.iter().map(|d| d.attempt).collect::<Vec<_>>(),
                [attempt]
            );
        }
    }
}

//! The conformance suite that every transport must pass.
//!
//! Each check is independent and uses its own names, so all checks may share one exchange or each may have a new one. One
//! object may serve all parties if the transport has no credentials.
//!
//! - [`answer`] messages of a pending request: parts, progress, approvals, confirmations
//! - [`chain`] compare-and-set: chunks, receipts, leases, audit entries, orders
//! - [`delivery`] fetching and settling
//! - [`outcome`] publish-once subjects: requests, cancels, replies
//! - [`replay`] reading in order

pub mod answer;
pub mod chain;
pub mod delivery;
pub mod outcome;
pub mod replay;
mod status;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use schemas::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

use exchange::error::Error;
use exchange::outcome::Filed;
use exchange::port::{Exchange, Sequence};

/// One exchange as its parties access it. The recipient has a durable consumer for chunks and one for replies.
#[derive(Clone)]
pub struct Parties {
    /// Publishes chunks and replies, holds the lease.
    pub bureau: Arc<dyn Exchange>,
    /// Fetches, signs receipts, files requests.
    pub recipient: Arc<dyn Exchange>,
    /// Reads everything.
    pub auditor: Arc<dyn Exchange>,
    /// The recipient's name.
    pub name: RecipientName,
    /// The bureau's name.
    pub bureau_name: PartyName,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

/// The result of a check.
pub type Outcome = Result<(), Failure>;

/// A check of the suite.
pub type Check = for<'a> fn(&'a Parties) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("an empty lane is expected at 0", |p| {
        Box::pin(chain::empty_is_zero(p))
    }),
    ("only the exact sequence is accepted", |p| {
        Box::pin(chain::exact_sequence(p))
    }),
    ("a lost acknowledgement is read back", |p| {
        Box::pin(chain::lost_acknowledgement(p))
    }),
    ("of two writers one wins", |p| Box::pin(chain::one_wins(p))),
    ("lanes are independent", |p| Box::pin(chain::lanes_apart(p))),
    ("receipts form a chain", |p| Box::pin(chain::receipts(p))),
    ("a lease is compare-and-set", |p| Box::pin(chain::lease(p))),
    ("audit entries form a chain", |p| Box::pin(chain::audit(p))),
    ("orders form a chain", |p| Box::pin(chain::control(p))),
    ("the largest message passes and a larger one is refused", |p| {
        Box::pin(chain::sizes(p))
    }),
    ("a settled delivery is not redelivered", |p| {
        Box::pin(delivery::settled(p))
    }),
    ("a nak is redelivered and counted", |p| Box::pin(delivery::nak(p))),
    ("settling is idempotent", |p| Box::pin(delivery::twice(p))),
    ("fetching is bounded and complete", |p| {
        Box::pin(delivery::drains(p))
    }),
    ("an unknown recipient is an error without a timeout", |p| {
        Box::pin(delivery::unknown_recipient(p))
    }),
    ("a request is filed once", |p| Box::pin(outcome::request_once(p))),
    ("a cancel is filed once", |p| Box::pin(outcome::cancel_once(p))),
    ("a request has one reply", |p| Box::pin(outcome::one_reply(p))),
    ("the queue is requests without replies", |p| {
        Box::pin(outcome::queue(p))
    }),
    ("a part is published once for its attempt and number", |p| {
        Box::pin(answer::part_once(p))
    }),
    ("an attempt belongs to one responder", |p| {
        Box::pin(answer::one_attempt(p))
    }),
    ("the largest part passes", |p| Box::pin(answer::largest_part(p))),
    ("only the last progress is stored", |p| {
        Box::pin(answer::progress(p))
    }),
    ("an officer decides once and all are listed", |p| {
        Box::pin(answer::approvals(p))
    }),
    ("a confirmation is filed once", |p| {
        Box::pin(answer::confirm_once(p))
    }),
    ("requests are independent", |p| Box::pin(answer::apart(p))),
    ("cancels, approvals and confirmations are read in order", |p| {
        Box::pin(answer::read_by_the_bureau(p))
    }),
    ("a replay is in order and filtered", |p| {
        Box::pin(replay::ordered(p))
    }),
    ("a replay begins at a sequence or a time", |p| {
        Box::pin(replay::begins(p))
    }),
    ("a replay skips gaps", |p| Box::pin(replay::gaps(p))),
    ("the lanes of a recipient are listed", |p| {
        Box::pin(replay::lanes(p))
    }),
    ("a recipient can read acknowledged chunks again", |p| {
        Box::pin(replay::again(p))
    }),
    ("streams of one party are listed and read by its name", |p| {
        Box::pin(replay::parties(p))
    }),
    ("the last status of each agent is read", |p| {
        Box::pin(status::last_of_each(p))
    }),
    ("the status of one party is in its own stream", |p| {
        Box::pin(status::of_one_party(p))
    }),
    ("the note of a watch is replaced", |p| Box::pin(status::watch(p))),
    ("the state of a stream counts its messages", |p| {
        Box::pin(replay::state(p))
    }),
    ("a ping is answered", |p| Box::pin(ping(p))),
];

/// Runs all checks, each on the parties that `make` returns, and reports every failure with the check's name.
///
/// # Errors
/// One line per failed check.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Parties>,
{
    let mut failures = Vec::new();
    for (name, check) in CHECKS {
        if let Err(Failure(why)) = check(&make().await).await {
            failures.push(format!("{name}: {why}"));
        }
    }
    if failures.is_empty() {
        Ok(CHECKS.len())
    } else {
        Err(failures.join("\n"))
    }
}

async fn ping(parties: &Parties) -> Outcome {
    for party in [&parties.bureau, &parties.recipient, &parties.auditor] {
        party.ping().await?;
    }
    Ok(())
}

impl Parties {
    /// Returns a lane of this recipient, for one check.
    fn lane(&self, feed: &str) -> Result<Lane, Failure> {
        Ok(Lane {
            recipient: self.name.clone(),
            feed: FeedName::new(feed)?,
        })
    }
}

fn source(name: &str) -> Result<SourceName, Failure> {
    Ok(SourceName::new(name)?)
}

fn id(token: &str) -> Result<RequestId, Failure> {
    Ok(format!("20260131-{token}").parse()?)
}

/// Returns the sequence of a publish that must be the first on its subject.
fn filed(what: &str, filed: &Filed) -> Result<Sequence, Failure> {
    match filed {
        Filed::Done { sequence } => Ok(*sequence),
        Filed::Exists(_) => Err(Failure(format!("{what}: the subject already has a message"))),
    }
}

/// Checks that a repeated publish returns the first message, both for equal bytes (a lost acknowledgement) and for others.
fn ensure_exists(what: &str, filed: Filed, sequence: Sequence, bytes: &Bytes) -> Outcome {
    match filed {
        Filed::Exists(stored) => ensure_equal(what, &(stored.sequence, &stored.bytes), &(sequence, bytes)),
        Filed::Done { sequence } => Err(Failure(format!("{what}: stored a second time, at {sequence}"))),
    }
}

fn ensure(is_met: bool, what: impl fmt::Display) -> Outcome {
    if is_met {
        Ok(())
    } else {
        Err(Failure(what.to_string()))
    }
}

fn ensure_equal<T: PartialEq + fmt::Debug>(what: &str, actual: &T, expected: &T) -> Outcome {
    ensure(
        actual == expected,
        format_args!("{what}: got {actual:?}, expected {expected:?}"),
    )
}

fn require<T>(what: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| Failure(format!("{what}: missing")))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{:?}: {error}", error.kind))
    }
}

impl From<schemas::name::BadName> for Failure {
    fn from(error: schemas::name::BadName) -> Self {
        Self(error.to_string())
    }
}

impl From<schemas::request::BadRequestId> for Failure {
    fn from(error: schemas::request::BadRequestId) -> Self {
        Self(error.to_string())
    }
}

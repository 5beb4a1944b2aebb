//! Answers data requests: each exactly once, only while the core has slack.
//!
//! What decides is pure; what acts carries it out:
//!
//! - what it needs from outside: [`answering`]
//! - what the streams say: [`follow`] reads what is new, [`book`] PURE keeps what waits, [`clock`] PURE tells the
//!   exchange's time; what this process did for each, [`standing`]
//! - what is done next: [`plan`] PURE, by the rules as they are now, [`lists`]; what is told meanwhile, [`telling`] PURE
//! - one answer: [`question()`] PURE is what the source is asked, [`fits()`] PURE whether its columns fit the kind, [`packer`] PURE makes blocks of rows, [`answer`] messages of blocks, [`post`] stores them
//! - all of it: [`desk`], one for each term of the lease; what it shows, [`tally`]
//!
//! Nothing of it is state that has to be kept: who takes over reads the streams and goes on. What it cannot
//! know of (an answer half stored by somebody who was killed) shows when the first part of an attempt is taken.

pub mod answer;
pub mod answering;
pub mod book;
pub mod clock;
pub mod desk;
pub mod fits;
pub mod follow;
pub mod lists;
pub mod packer;
pub mod plan;
pub mod post;
pub mod question;
pub mod standing;
pub mod tally;
pub mod telling;

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use gate::Gate;
use requests::forecast::Costs;
use schemas::name::SourceName;
use schemas::origin::Origin;
use schemas::person::PersonKey;
use schemas::sign::{PublicKey, SigningKey};
use source::Source;
use tokio_util::sync::CancellationToken;

use crate::hold::HoldWatch;
use crate::lease_keeper::LeaseWatch;
use crate::quantum::Sizing;
use crate::seal::SealingKeys;
use crate::status::Board;
use crate::turn::Turns;
use desk::Desk;

pub use answering::{AnswerOptions, Answering, AnsweringError};
pub use fits::fits;
pub use question::question;
pub use tally::RequestsStatus;

/// What the responder is made of.
pub struct ResponderParts {
    /// Rules, keys and lists.
    pub answering: Answering,
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The system of record.
    pub source: Arc<dyn Source>,
    /// Its name: the lease's.
    pub source_name: SourceName,
    /// Where requests have to belong.
    pub origin: Origin,
    /// When it may be touched.
    pub gate: Gate,
    /// Whose turn it is there.
    pub turns: Turns,
    /// The lease.
    pub lease: LeaseWatch,
    /// How old the record of a lease that is held may be.
    pub lease_age: Duration,
    /// What operators hold.
    pub holds: HoldWatch,
    /// Signs parts and outcomes.
    pub key: Arc<SigningKey>,
    /// Keys of other agents of the bureau.
    pub trusted: Vec<PublicKey>,
    /// Marks persons.
    pub persons: Arc<PersonKey>,
    /// To whom bodies are sealed.
    pub sealing: SealingKeys,
    /// This life of this process.
    pub instance: String,
    /// Bounds of a quantum.
    pub sizing: Sizing,
    /// Where it shows what it does.
    pub board: Board,
}

/// The executor.
pub struct Responder {
    parts: Arc<ResponderParts>,
    costs: Costs,
}

impl Responder {
    /// One that has read nothing yet.
    #[must_use]
    pub fn new(parts: ResponderParts) -> Self {
        Self {
            parts: Arc::new(parts),
            costs: Costs::default(),
        }
    }

    /// Answers until `stop`. What was read by then is stored; a half-read answer is left to whoever goes on.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease = self.parts.lease.clone();
        while !stop.is_cancelled() {
            self.state("waiting for the lease");
            // What waits, and what is in trouble, is for the holder to tell.
            self.parts.board.requests(RequestsStatus::hand_over);
            let term = tokio::select! { () = stop.cancelled() => break, term = lease.held() => term };
            // Everything anew: another may have answered in between.
            let mut desk = Desk::new(Arc::clone(&self.parts), std::mem::take(&mut self.costs));
            tokio::select! {
                () = lease.over(term) => {}
                () = desk.serve(&stop) => {}
            }
            self.costs = desk.into_costs();
        }
        self.state("ended");
    }

    fn state(&self, text: &str) {
        self.parts
            .board
            .requests(|status| text.clone_into(&mut status.state));
    }
}

#[cfg(test)]
mod tests;

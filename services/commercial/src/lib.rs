//! The commercial agent: polls at a fixed interval, stores, settles, signs for it.
//!
//! - [`step`] PURE: what goes into which transaction, what becomes of a delivery, when a
//!   receipt is due, when the next tick is
//! - [`open`] a delivery becomes a verified chunk, or goes to quarantine
//! - [`poller`] carries it out; `transaction` stores a lane's
//!   chunks and settles them; [`receipts`] the receiver's signed word
//! - [`evidence`] PURE: the store against its own receipts; [`compare`] carries it out; [`rows`] counts the tables' rows
//! - [`refill`] reads and stores again what was acknowledged and lost
//! - [`requester`] the other flow: files requests, stores their answers, confirms them
//! - [`agent`] both at once, and the ordered stop
//! - [`status`] what it shows

pub mod agent;
pub mod compare;
pub mod evidence;
pub mod open;
pub mod poller;
pub mod receipts;
pub mod refill;
pub mod requester;
pub mod rows;
pub mod status;
pub mod step;
mod transaction;

pub use agent::{run, run_asking};
pub use poller::{CommercialError, CommercialParts, PollOptions};
pub use requester::{Requester, RequesterParts, RequestsStatus};
pub use status::{Board, CommercialStatus, HeldStatus};
